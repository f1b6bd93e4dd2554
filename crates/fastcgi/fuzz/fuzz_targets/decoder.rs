//! Any bytes in any pieces: the decoder does not panic, keeps its promises about each event and about what it holds,
//! and says the same whatever the pieces.
//!
//! The first byte of the input seeds the sizes of the pieces, the rest is what the peer sends.
//!
//! ```sh
//! cargo +nightly fuzz run decoder corpus/decoder seeds/decoder -- -dict=decoder.dict -max_len=8192
//! ```
#![no_main]

#[path = "../../tests/support/seen.rs"]
mod seen;

use ftm_fastcgi::{Decoder, Limits};
use libfuzzer_sys::fuzz_target;
use seen::{Seen, Session};

/// Small enough for the fuzzer to reach.
const LIMITS: Limits = Limits {
    params: 600,
    requests: 3,
    max_conns: 20,
    max_reqs: 10,
};

/// Ends requests at a point that depends on the id alone, so that ids are reused and records come late.
fn serve(decoder: &mut Decoder, seen: &Seen) {
    let (id, ended) = match *seen {
        Seen::Begin(id, ..) => (id, id % 8 == 7),
        Seen::Params(id, _) => (id, id % 4 == 1),
        Seen::StdinEnd(id) => (id, id % 4 == 2),
        Seen::Abort(id) | Seen::TooLarge(id) => (id, id % 4 != 0),
        Seen::Stdin(..) | Seen::Reply(..) | Seen::Error(_) => return,
    };
    assert!(decoder.active() > 0);
    if ended {
        let before = decoder.active();
        decoder.finish(id);
        assert_eq!(decoder.active(), before - 1);
    }
    assert!(decoder.active() <= LIMITS.requests);
}

fn decode(mut bytes: &[u8], mut size: impl FnMut() -> usize) -> Vec<Seen> {
    let mut session = Session::new(LIMITS);
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(size().clamp(1, bytes.len()));
        session.feed(piece, serve);
        bytes = rest;
    }
    session.seen
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else {
        return;
    };
    let whole = decode(bytes, || usize::MAX);
    assert_eq!(decode(bytes, || 1), whole);
    let mut state = u32::from(seed);
    let random = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as usize % 40
    };
    assert_eq!(decode(bytes, random), whole);
});

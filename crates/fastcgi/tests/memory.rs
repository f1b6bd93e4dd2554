//! What a connection makes the decoder hold, counted by the allocator.

mod support;

use ftm_fastcgi::{Decoder, Event, Limits, MAX_PARAMS_LIMIT};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{begin, long_len, pair, params, record, request};

/// The system's allocator, counting the bytes each thread holds and has held at most.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are thread-local cells without destructors,
// which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps to the contract of `dealloc`, and `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Feeds `bytes` and returns the bytes held after it and held at most, beyond those held before.
fn cost(decoder: &mut Decoder, mut bytes: &[u8], finish: bool) -> (isize, isize) {
    let before = HELD.get();
    MOST.set(before);
    while let Some(event) = decoder.decode(&mut bytes).expect("the input is sound") {
        if let (Event::StdinEnd { id }, true) = (event, finish) {
            decoder.finish(id);
        }
    }
    (HELD.get() - before, MOST.get() - before)
}

#[test]
fn an_idle_connection_holds_a_few_hundred_bytes() {
    let before = HELD.get();
    let mut decoder = Decoder::new(Limits::new(1, 1));
    assert_eq!(HELD.get(), before, "a new decoder allocates nothing");
    assert!(size_of::<Decoder>() <= 128, "{}", size_of::<Decoder>());

    let long = request(1, 1, &[(b"NAME", &[b'x'; 60_000])], &[b'x'; 60_000]);
    let (held, _) = cost(&mut decoder, &long.repeat(100), true);
    assert!(decoder.is_idle());
    assert!(held <= 400, "{held} bytes after 100 requests");
}

#[test]
fn announced_lengths_cost_nothing_until_their_bytes_come() {
    let mut limits = Limits::new(1, 1);
    limits.params = MAX_PARAMS_LIMIT;
    let mut decoder = Decoder::new(limits);
    let stream = [&long_len(5)[..], &long_len(MAX_PARAMS_LIMIT as u32 - 100), b"NAME_value"].concat();
    let (_, most) = cost(&mut decoder, &[begin(1, 1, 1), params(1, &stream)].concat(), false);
    assert!(most < 1024, "{most} bytes for a pair of which 10 bytes have come");
    let header = &record(9, 0, &[0; 65_535], 0)[..8];
    let (_, most) = cost(&mut decoder, header, false);
    assert!(most < 512, "{most} bytes for the header of a GET_VALUES");
}

#[test]
fn the_body_passes_through_without_being_held() {
    let mut decoder = Decoder::new(Limits::new(1, 1));
    cost(&mut decoder, &[begin(1, 1, 1), params(1, b"")].concat(), false);
    let body = record(5, 1, &[b'x'; 65_535], 1).repeat(100);
    assert_eq!(cost(&mut decoder, &body, false), (0, 0));
}

#[test]
fn the_smallest_pairs_cost_at_most_twelve_times_their_limit() {
    let limits = Limits::new(1, 1);
    let stream: Vec<u8> = (0..limits.params as u32 / 5).flat_map(|n| pair(&n.to_be_bytes()[1..], b"")).collect();
    let mut bytes = begin(1, 1, 1);
    bytes.extend(stream.chunks(60_000).flat_map(|content| params(1, content)));
    bytes.extend(params(1, b""));
    let (_, most) = cost(&mut Decoder::new(limits), &bytes, false);
    assert!(most <= 12 * limits.params as isize, "{most}");
}

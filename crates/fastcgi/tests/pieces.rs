//! Conversations made at random: what is decoded is what was meant, in whatever pieces it comes, and what is nonsense
//! is at least the same nonsense in all of them.

mod support;

use ftm_fastcgi::{Limits, Role};
use std::collections::BTreeMap;
use support::seen::{Seen, Session};
use support::{Random, long_len, record};

/// A request as it was meant.
struct Meant {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// A pair with lengths in either form.
fn any_pair(random: &mut Random, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [name, value] {
        if part.len() < 128 && random.below(4) > 0 {
            bytes.push(part.len() as u8);
        } else {
            bytes.extend(long_len(part.len() as u32));
        }
    }
    bytes.extend(name);
    bytes.extend(value);
    bytes
}

/// Up to six requests, multiplexed, with records of any size and padding, and records that mean nothing among them.
fn conversation(random: &mut Random) -> (Vec<u8>, BTreeMap<u16, Meant>) {
    let mut meant = BTreeMap::new();
    let mut queues: Vec<Vec<Vec<u8>>> = Vec::new();
    for _ in 0..=random.below(6) {
        let id = 1 + random.below(65_535) as u16;
        if meant.contains_key(&id) {
            continue;
        }
        let mut pairs = Vec::new();
        let mut stream = Vec::new();
        for at in 0..random.below(3) * random.below(10) {
            let len = [0, 3, 20, 127, 128, 300][random.below(6)];
            let name = [format!("{at}_").into_bytes(), random.bytes(len)].concat();
            let len = [0, 1, 50, 127, 128, 700][random.below(6)];
            let value = random.bytes(len);
            stream.extend(any_pair(random, &name, &value));
            pairs.push((name, value));
        }
        let len = random.below(3) * random.below(500);
        let body = random.bytes(len);
        let largest = [1, 3, 8, 100, 5000][random.below(5)];
        let mut records = Vec::new();
        let padding = random.below(256) as u8;
        records.push(record(1, id, &[0, 1, 1, 0, 0, 0, 0, 0], padding));
        for (kind, stream) in [(4, &stream), (5, &body)] {
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (content, after) = rest.split_at((1 + random.below(largest)).min(rest.len()));
                let padding = [0, 0, 0, 7, random.below(256) as u8][random.below(5)];
                records.push(record(kind, id, content, padding));
                rest = after;
            }
            records.push(record(kind, id, b"", (random.below(2) * 7) as u8));
        }
        records.reverse();
        queues.push(records);
        meant.insert(id, Meant { pairs, body });
    }
    let mut bytes = record(9, 0, b"", 0);
    while !queues.is_empty() {
        let at = random.below(queues.len());
        match queues[at].pop() {
            Some(record) => bytes.extend(record),
            None => drop(queues.swap_remove(at)),
        }
        if random.below(20) == 0 {
            let unknown = 12 + random.below(200) as u8;
            let id = 1 + random.below(65_535) as u16;
            bytes.extend(record(unknown, id, b"\xFF\xFF\xFF", 2));
        }
    }
    (bytes, meant)
}

fn decode(bytes: &[u8], mut size: impl FnMut() -> usize) -> Vec<Seen> {
    let mut session = Session::new(Limits::new(1, 1));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size().clamp(1, rest.len()));
        session.feed(piece, |decoder, seen| match seen {
            Seen::Abort(id) | Seen::TooLarge(id) => decoder.finish(*id),
            Seen::StdinEnd(id) if id % 2 == 0 => decoder.finish(*id),
            _ => (),
        });
        rest = after;
    }
    session.seen
}

#[test]
fn what_was_meant_is_decoded_whatever_the_pieces() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let (bytes, meant) = conversation(&mut random);
        let seen = decode(&bytes, || usize::MAX);
        assert_eq!(decode(&bytes, || 1), seen, "seed {seed}");
        for _ in 0..5 {
            let most = [2, 9, 100, 10_000][random.below(4)];
            assert_eq!(decode(&bytes, || 1 + random.below(most)), seen, "seed {seed}");
        }
        for (id, meant) in meant {
            let mut own = seen.iter().filter(|event| match event {
                Seen::Begin(of, ..) | Seen::Params(of, _) | Seen::Stdin(of, _) | Seen::StdinEnd(of) => *of == id,
                other => matches!(other, Seen::Error(_)),
            });
            assert_eq!(own.next(), Some(&Seen::Begin(id, Role::Responder, true)), "seed {seed}");
            assert_eq!(own.next(), Some(&Seen::Params(id, meant.pairs)), "seed {seed}");
            let mut body: Vec<u8> = Vec::new();
            let last = loop {
                match own.next() {
                    Some(Seen::Stdin(_, data)) => body.extend(data),
                    other => break other,
                }
            };
            assert_eq!(last, Some(&Seen::StdinEnd(id)), "seed {seed}");
            assert!(body == meant.body, "seed {seed}");
            assert_eq!(own.next(), None, "seed {seed}");
        }
    }
}

#[test]
fn damaged_conversations_are_the_same_in_all_pieces() {
    let mut failed = 0;
    for seed in 0..200 {
        let mut random = Random(seed);
        let (mut bytes, _) = conversation(&mut random);
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes[at] ^= 1 << random.below(8),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.below(12) as u8),
            }
        }
        let seen = decode(&bytes, || usize::MAX);
        failed += usize::from(matches!(seen.last(), Some(Seen::Error(_))));
        assert_eq!(decode(&bytes, || 1), seen, "seed {seed}");
        assert_eq!(decode(&bytes, || 1 + random.below(50)), seen, "seed {seed}");
    }
    assert!((1..200).contains(&failed), "{failed} of the conversations ended in an error");
}

#[test]
fn every_prefix_of_a_request_is_incomplete_and_no_error() {
    let bytes = support::request(300, 1, &[(b"NAME", b"value"), (b"", b"")], b"body");
    for end in 0..=bytes.len() {
        let seen = decode(&bytes[..end], || usize::MAX);
        assert!(!matches!(seen.last(), Some(Seen::Error(_))), "{end} bytes");
        assert_eq!(seen.last() == Some(&Seen::StdinEnd(300)), end == bytes.len(), "{end} bytes");
    }
}

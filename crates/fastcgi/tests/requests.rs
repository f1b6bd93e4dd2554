//! Requests as web servers send them, whole and in every kind of pieces.

mod support;

use ftm_fastcgi::{Limits, Role};
use support::seen::{Seen, Session};
use support::{Random, abort, begin, long_len, pair, pairs, params, record, request, stdin};

const LIMITS: Limits = Limits::new(1000, 100);

fn decode(bytes: &[u8]) -> Vec<Seen> {
    decode_in_pieces(bytes, || usize::MAX)
}

fn decode_in_pieces(mut bytes: &[u8], mut size: impl FnMut() -> usize) -> Vec<Seen> {
    let mut session = Session::new(LIMITS);
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(size().clamp(1, bytes.len()));
        session.feed(piece, |_, _| ());
        bytes = rest;
    }
    session.seen
}

fn vars(vars: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    vars.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// The parameters of a request whose PARAMS stream is `stream`, cut into records of `cut` bytes.
fn params_of(stream: &[u8], cut: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut bytes = begin(1, 1, 0);
    for piece in stream.chunks(cut) {
        bytes.extend(params(1, piece));
    }
    bytes.extend(params(1, b""));
    match decode(&bytes).as_slice() {
        [Seen::Begin(1, Role::Responder, false), Seen::Params(1, params)] => params.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_told_in_order() {
    let bytes = request(1, 1, &[(b"REQUEST_METHOD", b"POST"), (b"SCRIPT_FILENAME", b"/srv/a.php")], b"a=1&b=2");
    assert_eq!(
        decode(&bytes),
        [
            Seen::Begin(1, Role::Responder, true),
            Seen::Params(1, vars(&[(b"REQUEST_METHOD", b"POST"), (b"SCRIPT_FILENAME", b"/srv/a.php")])),
            Seen::Stdin(1, b"a=1&b=2".to_vec()),
            Seen::StdinEnd(1),
        ]
    );
}

#[test]
fn every_role_is_accepted_with_its_flags() {
    for (number, role, name) in
        [(1, Role::Responder, "RESPONDER"), (2, Role::Authorizer, "AUTHORIZER"), (3, Role::Filter, "FILTER")]
    {
        assert_eq!(decode(&begin(7, number, 0)), [Seen::Begin(7, role, false)]);
        assert_eq!(decode(&begin(7, number, 0xFF)), [Seen::Begin(7, role, true)]);
        assert_eq!(decode(&begin(7, number, 0xFE)), [Seen::Begin(7, role, false)]);
        assert_eq!(role.as_c_str().to_bytes(), name.as_bytes());
    }
}

#[test]
fn pairs_may_straddle_records_at_every_offset() {
    let long = [b'x'; 300];
    let expected: [(&[u8], &[u8]); 6] = [
        (b"SHORT", b"value"),
        (b"EMPTY", b""),
        (b"LONG", &long),
        (&long, b"long name"),
        (b"", b"no name"),
        (b"http_x.lower-Case [1]\xFF\x00\n", b"\x00\xFE odd \x80"),
    ];
    let stream = pairs(&expected);
    for at in 0..=stream.len() {
        let mut bytes = begin(1, 1, 0);
        for piece in [&stream[..at], &stream[at..]].into_iter().filter(|piece| !piece.is_empty()) {
            bytes.extend(params(1, piece));
        }
        bytes.extend(params(1, b""));
        assert_eq!(decode(&bytes)[1], Seen::Params(1, vars(&expected)), "cut at {at}");
    }
    for cut in 1..=16 {
        assert_eq!(params_of(&stream, cut), vars(&expected), "records of {cut} bytes");
    }
}

#[test]
fn short_strings_may_have_long_lengths() {
    let mut stream = Vec::new();
    stream.extend(long_len(2));
    stream.push(3);
    stream.extend(b"ABxyz");
    stream.push(1);
    stream.extend(long_len(0));
    stream.extend(b"C");
    for cut in 1..=stream.len() {
        assert_eq!(params_of(&stream, cut), vars(&[(b"AB", b"xyz"), (b"C", b"")]));
    }
}

#[test]
fn lengths_around_the_four_byte_form_are_exact() {
    for len in [126, 127, 128, 129, 255, 256, 65_535, 65_536, 200_000] {
        let value = vec![b'v'; len];
        assert_eq!(params_of(&pair(b"V", &value), 65_535), vars(&[(b"V", &value)]));
        assert_eq!(params_of(&pair(&value, b"n"), 65_535), vars(&[(&value, b"n")]));
    }
}

#[test]
fn a_set_of_200_kib_arrives_whole() {
    let value: Vec<u8> = Random(200).bytes(1000);
    let names: Vec<String> = (0..205).map(|n| format!("HTTP_X_{n}")).collect();
    let expected: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &value[..])).collect();
    let stream = pairs(&expected);
    assert!(stream.len() > 200 * 1024);
    for cut in [7, 8000, 65_535] {
        assert_eq!(params_of(&stream, cut), vars(&expected));
    }
}

#[test]
fn a_repeated_name_keeps_its_place_and_takes_the_last_value() {
    let stream = pairs(&[(b"A", b"1"), (b"B", b"2"), (b"A", b"three"), (b"a", b"4"), (b"B", b"")]);
    assert_eq!(params_of(&stream, 3), vars(&[(b"A", b"three"), (b"B", b""), (b"a", b"4")]));
}

#[test]
fn fifty_thousand_tiny_pairs_and_their_repetition_are_kept_apart() {
    let names: Vec<Vec<u8>> = (0..50_000u32).map(|n| n.to_be_bytes()[1..].to_vec()).collect();
    let mut all: Vec<(&[u8], &[u8])> = names.iter().map(|name| (&name[..], &b"1"[..])).collect();
    all.extend(names.iter().step_by(2).map(|name| (&name[..], &b"22"[..])));
    let decoded = params_of(&pairs(&all), 65_535);
    assert_eq!(decoded.len(), 50_000);
    for (at, (name, value)) in decoded.iter().enumerate() {
        assert_eq!(name, &names[at]);
        assert_eq!(value, if at % 2 == 0 { &b"22"[..] } else { b"1" });
    }
}

#[test]
fn no_parameters_and_no_body_are_a_request_too() {
    assert_eq!(
        decode(&[begin(1, 1, 0), params(1, b""), stdin(1, b"")].concat()),
        [Seen::Begin(1, Role::Responder, false), Seen::Params(1, vec![]), Seen::StdinEnd(1)]
    );
}

/// php-fpm ends PARAMS at the first record of another type.
#[test]
fn stdin_ends_open_params() {
    let open = [begin(1, 1, 0), params(1, &pair(b"A", b"1"))].concat();
    let known = [Seen::Begin(1, Role::Responder, false), Seen::Params(1, vars(&[(b"A", b"1")]))];
    assert_eq!(decode(&[open.clone(), stdin(1, b"")].concat()), [&known[..], &[Seen::StdinEnd(1)]].concat());
    assert_eq!(
        decode(&[open, stdin(1, b"body"), params(1, b""), stdin(1, b"")].concat()),
        [&known[..], &[Seen::Stdin(1, b"body".to_vec()), Seen::StdinEnd(1)]].concat()
    );
}

#[test]
fn padding_of_every_length_is_skipped() {
    for padding in 0..=255 {
        let mut bytes = Vec::new();
        bytes.extend(record(1, 1, &[0, 1, 1, 0, 0, 0, 0, 0], padding));
        bytes.extend(record(4, 1, &pair(b"A", b"1"), padding));
        bytes.extend(record(4, 1, b"", padding));
        bytes.extend(record(9, 0, &pair(b"FCGI_MPXS_CONNS", b""), padding));
        bytes.extend(record(5, 1, b"x", padding));
        bytes.extend(record(5, 1, b"", padding));
        bytes.extend(record(2, 1, b"", padding));
        let expected = [
            Seen::Begin(1, Role::Responder, true),
            Seen::Params(1, vars(&[(b"A", b"1")])),
            Seen::Reply(record_without_noise(10, 0, &pair(b"FCGI_MPXS_CONNS", b"1")), false),
            Seen::Stdin(1, b"x".to_vec()),
            Seen::StdinEnd(1),
            Seen::Abort(1),
        ];
        assert_eq!(decode(&bytes), expected);
        assert_eq!(decode_in_pieces(&bytes, || 1), expected);
    }
}

/// A record as the codec writes it: padded with zeros to a multiple of 8.
fn record_without_noise(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let padding = ((8 - content.len() % 8) % 8) as u8;
    let mut bytes = record(kind, id, content, padding);
    bytes[7] = 0;
    let end = bytes.len() - usize::from(padding);
    bytes[end..].fill(0);
    bytes
}

#[test]
fn multiplexed_requests_do_not_mix() {
    let ids: Vec<u16> = (1..=16).map(|n| n * 4001).collect();
    let mut bytes: Vec<u8> = ids.iter().flat_map(|&id| begin(id, 1, 1)).collect();
    for step in 0..3 {
        for &id in &ids {
            let stream = pair(b"ID", id.to_string().as_bytes());
            bytes.extend(params(id, &stream[step * 2..if step == 2 { stream.len() } else { step * 2 + 2 }]));
        }
    }
    bytes.extend(ids.iter().rev().flat_map(|&id| params(id, b"")));
    for part in 0..2 {
        bytes.extend(ids.iter().flat_map(|&id| stdin(id, format!("body {part} of {id}\n").as_bytes())));
    }
    bytes.extend(ids.iter().flat_map(|&id| stdin(id, b"")));

    let seen = decode(&bytes);
    assert_eq!(decode_in_pieces(&bytes, || 1), seen);
    for &id in &ids {
        assert!(seen.contains(&Seen::Params(id, vars(&[(b"ID", id.to_string().as_bytes())]))));
        assert!(seen.contains(&Seen::StdinEnd(id)));
        let body: Vec<u8> = seen
            .iter()
            .filter_map(|event| match event {
                Seen::Stdin(of, data) if *of == id => Some(&data[..]),
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(body, format!("body 0 of {id}\nbody 1 of {id}\n").as_bytes());
    }
}

#[test]
fn an_abort_is_told_once_and_ends_what_is_heard_of_the_request() {
    let open = [begin(1, 1, 1), begin(2, 1, 1)].concat();
    let begun = [Seen::Begin(1, Role::Responder, true), Seen::Begin(2, Role::Responder, true)];
    let late = [abort(1), params(1, b"\x01"), params(1, b""), stdin(1, b"late"), stdin(1, b"")].concat();
    let other = [params(2, b""), stdin(2, b"")].concat();
    let served = [Seen::Params(2, vec![]), Seen::StdinEnd(2)];

    let in_params = [open.clone(), params(1, b"\x05\x05cut"), abort(1), late.clone(), other.clone()].concat();
    assert_eq!(decode(&in_params), [&begun[..], &[Seen::Abort(1)], &served].concat());

    let in_stdin = [open.clone(), params(1, b""), stdin(1, b"x"), abort(1), late.clone(), other.clone()].concat();
    let before = [Seen::Params(1, vec![]), Seen::Stdin(1, b"x".to_vec())];
    assert_eq!(decode(&in_stdin), [&begun[..], &before, &[Seen::Abort(1)], &served].concat());

    let after_all = [open, params(1, b""), stdin(1, b""), abort(1), late, other].concat();
    let before = [Seen::Params(1, vec![]), Seen::StdinEnd(1)];
    assert_eq!(decode(&after_all), [&begun[..], &before, &[Seen::Abort(1)], &served].concat());
}

#[test]
fn a_finished_request_is_forgotten_and_its_id_free() {
    let mut session = Session::new(LIMITS);
    let first = [begin(1, 1, 1), params(1, b""), stdin(1, b"some")].concat();
    // The answer is complete in the middle of a STDIN record.
    session.feed(&first[..first.len() - 2], |_, _| ());
    assert_eq!(session.decoder.active(), 1);
    session.decoder.finish(1);
    assert_eq!(session.decoder.active(), 0);
    assert!(!session.decoder.is_idle(), "a record is in progress");
    session.feed(&first[first.len() - 2..], |_, _| ());
    assert!(session.decoder.is_idle());
    session.seen.clear();
    session.feed(&[stdin(1, b"rest"), stdin(1, b""), abort(1)].concat(), |_, _| ());
    assert_eq!(session.seen, []);
    session.feed(&request(1, 1, &[(b"AGAIN", b"1")], b"new"), |_, _| ());
    assert_eq!(
        session.seen,
        [
            Seen::Begin(1, Role::Responder, true),
            Seen::Params(1, vars(&[(b"AGAIN", b"1")])),
            Seen::Stdin(1, b"new".to_vec()),
            Seen::StdinEnd(1),
        ]
    );
}

#[test]
fn a_connection_is_idle_only_between_records_without_requests() {
    let bytes = [record(9, 0, b"", 3), request(1, 1, &[], b"")].concat();
    let mut session = Session::new(LIMITS);
    assert!(session.decoder.is_idle());
    for (at, byte) in bytes.iter().enumerate() {
        session.feed(&[*byte], |decoder, seen| {
            if let Seen::StdinEnd(id) = seen {
                decoder.finish(*id);
            }
        });
        assert_eq!(session.decoder.is_idle(), [10, bytes.len() - 1].contains(&at), "after byte {at}");
    }
}

//! What is answered by the codec itself, skipped, or ends the connection.

mod support;

use ftm_fastcgi::{Error, Limits, MAX_PARAMS_LIMIT, ProtocolStatus, Role, end_request};
use support::seen::{Seen, Session};
use support::{abort, begin, long_len, pair, pairs, params, record, request, stdin};

const LIMITS: Limits = Limits::new(1000, 100);

/// What is seen of `bytes`, which has to be the same in one piece and byte by byte.
fn decode_with(limits: Limits, bytes: &[u8]) -> Vec<Seen> {
    let mut whole = Session::new(limits);
    whole.feed(bytes, |_, _| ());
    let mut bytewise = Session::new(limits);
    for byte in bytes {
        bytewise.feed(&[*byte], |_, _| ());
    }
    assert_eq!(bytewise.seen, whole.seen);
    whole.seen
}

fn decode(bytes: &[u8]) -> Vec<Seen> {
    decode_with(LIMITS, bytes)
}

/// The error in which `bytes` end, and its text.
fn error(bytes: &[u8]) -> (Error, String) {
    match decode(bytes).pop() {
        Some(Seen::Error(error)) => (error, error.to_string()),
        other => panic!("no error but {other:?}"),
    }
}

fn values(asked: &[&[u8]]) -> Vec<u8> {
    record(9, 0, &asked.iter().flat_map(|name| pair(name, b"")).collect::<Vec<_>>(), 0)
}

fn refused(id: u16, status: ProtocolStatus, close: bool) -> Seen {
    Seen::Reply(end_request(id, 0, status).to_vec(), close)
}

#[test]
fn get_values_answers_what_is_asked_for_and_known() {
    let all = values(&[b"FCGI_MPXS_CONNS", b"FCGI_MAX_REQS", b"FCGI_SHINY", b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS"]);
    let mut expected = vec![1, 10, 0, 0, 0, 56, 0, 0];
    expected.extend(b"\x0E\x04FCGI_MAX_CONNS1000\x0D\x03FCGI_MAX_REQS100\x0F\x01FCGI_MPXS_CONNS1");
    assert_eq!(decode(&all), [Seen::Reply(expected, false)]);

    let one = b"\x01\x0A\0\0\0\x12\x06\0\x0F\x01FCGI_MPXS_CONNS1\0\0\0\0\0\0".to_vec();
    assert_eq!(decode(&values(&[b"FCGI_MPXS_CONNS"])), [Seen::Reply(one, false)]);

    let none = vec![1, 10, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode(&values(&[])), [Seen::Reply(none.clone(), false)]);
    assert_eq!(decode(&values(&[b"fcgi_max_conns"])), [Seen::Reply(none, false)]);
}

#[test]
fn the_longest_answer_to_get_values_is_whole() {
    let asked = values(&[b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"]);
    let limits = Limits::new(u32::MAX, u32::MAX);
    let [Seen::Reply(reply, false)] = &decode_with(limits, &asked)[..] else { panic!("no reply") };
    assert_eq!(reply.len(), 80);
    assert!(reply.windows(10).any(|part| part == b"4294967295"));
}

#[test]
fn get_values_is_answered_in_the_middle_of_a_request() {
    let whole = request(1, 1, &[(b"A", b"1")], b"x");
    let ask = values(&[]);
    let answer = Seen::Reply(vec![1, 10, 0, 0, 0, 0, 0, 0], false);
    let mut expected = decode(&whole);
    expected.insert(1, answer);
    assert_eq!(decode(&[&whole[..16], &ask, &whole[16..]].concat()), expected);
}

/// php-fpm does not look at the id and answers with 0.
#[test]
fn get_values_is_answered_under_any_id() {
    let mut asked = values(&[b"FCGI_MPXS_CONNS"]);
    let answer = decode(&asked);
    asked[3] = 7;
    assert_eq!(decode(&asked), answer);
    assert_eq!(decode(&[begin(7, 1, 1), asked].concat())[1..], answer);
}

#[test]
fn a_get_values_cut_inside_a_pair_ends_the_connection() {
    for content in [&b"\x0F"[..], b"\x0F\x00FCGI", b"\x80\0\0", b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx"] {
        let (error, text) = error(&record(9, 0, content, 0));
        assert_eq!(error, Error::PairCut { id: 0, offset: 0 });
        assert!(text.contains("GET_VALUES at byte 0"), "{text}");
    }
}

#[test]
fn unknown_management_records_are_answered_with_their_type() {
    for kind in (0..=255).filter(|&kind| kind != 9) {
        let reply = Seen::Reply(vec![1, 11, 0, 0, 0, 8, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0], false);
        assert_eq!(decode(&record(kind, 0, b"whatever", 3)), std::slice::from_ref(&reply));
        assert_eq!(decode(&record(kind, 0, b"", 0)), [reply]);
    }
}

#[test]
fn records_of_no_meaning_for_a_request_are_skipped() {
    let head = [begin(1, 3, 1), params(1, b"")].concat();
    let mut bytes = head.clone();
    for kind in (0..=255).filter(|kind| ![1, 2, 4, 5, 9].contains(kind)) {
        bytes.extend(record(kind, 1, b"content", 1));
        bytes.extend(record(kind, 2, b"", 0));
    }
    for stray in [abort(2), params(2, b"\xFF"), params(2, b""), stdin(2, b"x"), stdin(2, b"")] {
        bytes.extend(stray);
    }
    bytes.extend(stdin(1, b""));
    bytes.extend([params(1, b"\xFF"), params(1, b""), stdin(1, b"late"), stdin(1, b"")].concat());
    assert_eq!(decode(&bytes), [decode(&head), vec![Seen::StdinEnd(1)]].concat());
}

#[test]
fn unknown_roles_are_refused_and_the_connection_goes_on() {
    for role in [0, 4, 256, 65_535] {
        let mut bytes = [begin(9, role, 1), params(9, b"\xFF"), params(9, b""), stdin(9, b"x"), abort(9)].concat();
        bytes.extend(begin(9, 1, 1));
        assert_eq!(
            decode(&bytes),
            [refused(9, ProtocolStatus::UnknownRole, false), Seen::Begin(9, Role::Responder, true)]
        );
        assert_eq!(decode(&begin(9, role, 0)), [refused(9, ProtocolStatus::UnknownRole, true)]);
    }
}

#[test]
fn one_request_too_many_is_refused_until_another_has_finished() {
    let mut session = Session::new(Limits { requests: 2, ..LIMITS });
    session.feed(&[begin(1, 1, 1), begin(2, 1, 1), begin(3, 1, 1), begin(4, 1, 0)].concat(), |_, _| ());
    assert_eq!(
        session.seen[2..],
        [refused(3, ProtocolStatus::Overloaded, false), refused(4, ProtocolStatus::Overloaded, true)]
    );
    assert_eq!(session.decoder.active(), 2);
    session.decoder.finish(1);
    session.feed(&begin(3, 1, 1), |_, _| ());
    assert_eq!(session.seen.last(), Some(&Seen::Begin(3, Role::Responder, true)));
}

#[test]
fn params_up_to_the_limit_are_taken_and_beyond_it_told_once() {
    let limits = Limits { params: 100, ..LIMITS };
    let fits = pairs(&[(b"A", &[b'x'; 40]), (b"B", &[b'y'; 53])]);
    assert_eq!(fits.len(), 99);
    let ends = [params(1, b""), stdin(1, b"")].concat();

    let exactly = pairs(&[(b"A", &[b'x'; 40]), (b"B", &[b'y'; 54])]);
    let seen = decode_with(limits, &[begin(1, 1, 1), params(1, &exactly), ends.clone()].concat());
    assert!(matches!(seen[..], [Seen::Begin(..), Seen::Params(..), Seen::StdinEnd(1)]), "{seen:?}");

    let beyond = pairs(&[(b"A", &[b'x'; 40]), (b"B", &[b'y'; 55])]);
    let tiny = [&fits[..], b"\0\0"].concat();
    for stream in [beyond, tiny] {
        let late = [params(1, b"\xFF"), ends.clone(), abort(1), request(2, 1, &[], b"")].concat();
        let seen = decode_with(limits, &[begin(1, 1, 1), params(1, &stream), late].concat());
        assert_eq!(
            seen,
            [
                Seen::Begin(1, Role::Responder, true),
                Seen::TooLarge(1),
                Seen::Begin(2, Role::Responder, true),
                Seen::Params(2, vec![]),
                Seen::StdinEnd(2),
            ]
        );
    }
}

#[test]
fn a_pair_that_announces_too_much_is_refused_before_it_comes() {
    let limits = Limits { params: usize::MAX, ..LIMITS };
    for (name, value) in [(0x7FFF_FFFF, 0x7FFF_FFFF), (0, 0x7FFF_FFFF), (MAX_PARAMS_LIMIT as u32, 0)] {
        let lengths = [long_len(name), long_len(value)].concat();
        let seen = decode_with(limits, &[begin(1, 1, 1), params(1, &lengths)].concat());
        assert_eq!(seen[1..], [Seen::TooLarge(1)]);
    }
}

#[test]
fn another_version_ends_the_connection_at_its_first_byte() {
    let (seen, text) = error(b"G");
    assert_eq!(seen, Error::Version { version: b'G', offset: 0 });
    assert!(text.contains("does not speak FastCGI") && text.contains("HTTP"), "{text}");
    assert!(!error(b"\x16\x03\x01").1.contains("HTTP"));
    assert_eq!(error(b"\0").0, Error::Version { version: 0, offset: 0 });

    let (seen, text) = error(&[&begin(1, 1, 1)[..], b"\x02"].concat());
    assert_eq!(seen, Error::Version { version: 2, offset: 16 });
    assert!(text.contains("version 2 at byte 16"), "{text}");
}

#[test]
fn a_connection_must_not_open_with_a_record_of_no_request() {
    for kind in (0..=255).filter(|kind| ![1, 9].contains(kind)) {
        let (seen, text) = error(&record(kind, 3, b"", 0));
        assert_eq!(seen, Error::First { kind, id: 3 });
        assert!(text.contains(&format!("type {kind} and request id 3")), "{text}");
    }
}

#[test]
fn a_begin_of_another_length_ends_the_connection() {
    for len in (0..=20).filter(|&len| len != 8) {
        let (seen, text) = error(&record(1, 5, &[0; 20][..len], 0));
        assert_eq!(seen, Error::BeginLength { id: 5, len: len as u16, offset: 0 });
        assert!(text.contains(&format!("of {len} bytes instead of 8 for request id 5")), "{text}");
    }
}

#[test]
fn a_second_begin_of_an_active_request_ends_the_connection() {
    let done = [params(1, b""), stdin(1, b"")].concat();
    for between in [vec![], params(1, b""), done, abort(1)] {
        let bytes = [begin(1, 1, 1), between.clone(), begin(1, 1, 1)].concat();
        let offset = 16 + between.len() as u64;
        let (seen, text) = error(&bytes);
        assert_eq!(seen, Error::BeginActive { id: 1, offset });
        assert!(text.contains(&format!("at byte {offset} for request id 1")), "{text}");
    }
}

#[test]
fn params_that_end_inside_a_pair_end_the_connection() {
    let stream = [pair(b"A", b"1"), [&long_len(3)[..], &long_len(3), b"BBBccc"].concat()].concat();
    for end in 5..stream.len() {
        for last in [params(1, b""), stdin(1, b"x"), stdin(1, b"")] {
            let (seen, text) = error(&[begin(1, 1, 1), params(1, &stream[..end]), last].concat());
            let offset = 16 + 8 + end as u64;
            assert_eq!(seen, Error::PairCut { id: 1, offset });
            assert!(text.contains("request id 1") && text.contains(&format!("byte {offset}")), "{text}");
        }
    }
}

#[test]
fn nothing_is_decoded_after_an_error() {
    let mut session = Session::new(LIMITS);
    session.feed(b"\x07", |_, _| ());
    session.feed(&request(1, 1, &[], b""), |_, _| ());
    assert_eq!(session.seen, [Seen::Error(Error::Version { version: 7, offset: 0 })]);
    assert!(!session.decoder.is_idle());
}

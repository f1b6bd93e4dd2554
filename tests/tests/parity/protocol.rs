//! The protocol itself: roles, kept connections, records in odd pieces, management records.

use ftm_tests::fcgi::{AUTHORIZER, Call, FILTER, RESPONDER, Record, end_of, kind, push_pair, records};
use ftm_tests::parity::{Cases, Sent};

pub fn cases(cases: &mut Cases<'_>) {
    let get = |uri: &str| Call::get(cases.site, uri);
    let form = |body: &str| Call::post(cases.site, "/vars.php", "application/x-www-form-urlencoded", body);
    for (name, role) in [("authorizer", AUTHORIZER), ("filter", FILTER)] {
        let mut call = get("/vars.php");
        call.role = role;
        cases.call(name, call);
    }
    let kept = |calls: &[Call]| {
        let mut calls: Vec<_> = calls.iter().map(|call| call.clone().keep()).collect();
        calls.last_mut().expect("one").keep_conn = false;
        Sent::Kept(calls)
    };
    cases.add("kept", kept(&[get("/hello.php?n=1"), form("a=1"), get("/missing.php"), get("/vars.php?q=2")]));
    let fatal = cases.script("kept fatal", "echo 'x'; undefined();");
    cases.add("kept over an error", kept(&[get(&fatal), get("/hello.php"), get(&fatal), get("/hello.php")]));
    let unread = cases.script("kept unread", "echo 'unread';");
    let post = Call::post(cases.site, &unread, "a/b", "x".repeat(100_000));
    cases.add("kept with a body that nobody reads", kept(&[post.clone(), get("/hello.php"), post, get("/vars.php")]));
}

/// What php-ftm puts into records, and does with faulty ones, otherwise.
pub fn records_of_php_ftm(cases: &mut Cases<'_>) {
    let get = |uri: &str| Call::get(cases.site, uri);
    let form = |body: &str| Call::post(cases.site, "/vars.php", "application/x-www-form-urlencoded", body);
    cases.add("id 65535", Sent::Bytes(get("/hello.php").encode(65535)));
    let call = form("a=1&b=2");
    let chunked = |size: usize| {
        let mut bytes = Record::begin(7, RESPONDER, false).encode();
        bytes.extend(records(kind::PARAMS, 7, &call.param_bytes(), size));
        bytes.extend(end_of(kind::PARAMS, 7));
        bytes.extend(records(kind::STDIN, 7, &call.body, size));
        bytes.extend(end_of(kind::STDIN, 7));
        bytes
    };
    cases.add(
        "body in single bytes",
        Sent::Bytes({
            let mut bytes = call.encode_head(7);
            bytes.extend(records(kind::STDIN, 7, &call.body, 1));
            bytes.extend(end_of(kind::STDIN, 7));
            bytes
        }),
    );
    cases.add("large records", Sent::Bytes(chunked(65535)));
    let mut query = Vec::new();
    ["FCGI_MPXS_CONNS", "UNKNOWN"].iter().for_each(|name| push_pair(&mut query, name.as_bytes(), b""));
    let mut values = Record::new(kind::GET_VALUES, 0, query).encode();
    values.extend(get("/hello.php").encode(1));
    cases.add("values and a request", Sent::Bytes(values));
    let mut role = get("/hello.php");
    role.role = 9;
    cases.add("unknown role", Sent::Bytes(role.encode(1)));
    cases.add(
        "another version",
        Sent::Bytes({
            let mut bytes = get("/hello.php").encode(1);
            bytes[0] = 2;
            bytes
        }),
    );
    cases.add(
        "padded",
        Sent::Bytes({
            let call = get("/vars.php?q=1");
            let mut bytes = Record::begin(1, RESPONDER, false).padded(5).encode();
            bytes.extend(Record::new(kind::PARAMS, 1, call.param_bytes()).padded(255).encode());
            bytes.extend(Record::new(kind::PARAMS, 1, []).encode());
            bytes.extend(end_of(kind::STDIN, 1));
            bytes
        }),
    );
}

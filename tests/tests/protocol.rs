//! FastCGI as the specification has it, record by record: splits, padding, roles, management records, keep-conn.

use ftm_tests::fcgi::{self, Call, Conn, Record, kind};
use ftm_tests::*;

/// Prints the params that a test cares for, in a form that shows each byte.
const SHOW: &str = "<?php foreach ($_SERVER as $k => $v) \
    if (preg_match('/^(HTTP_|X_|mod|lower|EMPTY)/', $k)) echo $k, '=', strlen($v), ':', md5($v), \"\\n\";";

fn one_worker(site: &Site) -> Server {
    Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(1)))
}

/// PHP cuts a value at its first zero byte.
fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().for_each(|b| *b = (*b).max(1));
    bytes
}

/// A request whose PARAMS stream is sent in the given pieces, one record each.
fn in_records(id: u16, call: &Call, pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Record::begin(id, call.role, call.keep_conn).encode();
    for piece in pieces {
        bytes.extend(Record::new(kind::PARAMS, id, *piece).encode());
    }
    bytes.extend(fcgi::end_of(kind::PARAMS, id));
    bytes.extend(fcgi::records(kind::STDIN, id, &call.body, fcgi::MAX_CONTENT));
    bytes.extend(fcgi::end_of(kind::STDIN, id));
    bytes
}

#[test]
fn params_of_200_kib_in_one_set() {
    let site = Site::new();
    site.file("show.php", SHOW);
    let server = one_worker(&site);
    let mut call = Call::get(&site, "/show.php");
    let mut rng = Rng::new(200);
    for n in 0..200 {
        call = call.param(format!("HTTP_X_{n}"), without_nul(rng.bytes(1024)));
    }
    assert!(call.param_bytes().len() > 200 * 1024);
    // Whole pairs in each record, as web servers that php-fpm understands send them.
    let mut pieces = vec![Vec::new()];
    for (name, value) in &call.params {
        if pieces.last().is_some_and(|piece| piece.len() > 30_000) {
            pieces.push(Vec::new());
        }
        fcgi::push_pair(pieces.last_mut().expect("one"), name, value);
    }
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let mut conn = server.connect();
    conn.send(in_records(1, &call, &pieces));
    let text = conn.answer(1).text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 200);
    assert!(lines.iter().all(|line| line.contains("=1024:")), "{text}");
    if server.kind() == Kind::PhpFtm {
        // The same cut where the record is full, whatever stands there.
        assert_eq!(server.call(&call).text(), text);
    }
}

#[test]
fn one_value_of_200_kib() {
    only_php_ftm!("php-fpm wants each pair within one record");
    let site = Site::new();
    site.file("show.php", SHOW);
    let server = one_worker(&site);
    let value = without_nul(Rng::new(1).bytes(200 * 1024));
    let expected = Call::post(&site, "/md5.php", "text/plain", value.clone());
    site.file("md5.php", "<?php $b = file_get_contents('php://input'); echo strlen($b), ':', md5($b);");
    let expected = format!("HTTP_X={}\n", server.call(&expected).text());
    assert_eq!(server.call(&Call::get(&site, "/show.php").param("HTTP_X", value)).text(), expected);
}

#[test]
fn pairs_straddle_records_at_every_offset() {
    only_php_ftm!("php-fpm wants each pair within one record");
    let site = Site::new();
    site.file("show.php", SHOW);
    let server = one_worker(&site);
    // Short and long lengths, empty values, and a name of 200 bytes.
    let call = Call::get(&site, "/show.php")
        .param("HTTP_SHORT", "v")
        .param("HTTP_EMPTY", "")
        .param("HTTP_LONG", "l".repeat(130))
        .param(format!("HTTP_{}", "N".repeat(200)), "name")
        .param("lower", "case")
        .keep();
    let bytes = call.param_bytes();
    let mut conn = server.connect();
    let whole = conn.call(1, &call).stdout;
    assert_eq!(String::from_utf8_lossy(&whole).matches('=').count(), 5 + 1, "five params and a charset");
    for cut in 1..bytes.len() {
        conn.send(in_records(1, &call, &[&bytes[..cut], &bytes[cut..]]));
        assert!(conn.answer(1).stdout == whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    conn.send(in_records(1, &call, &single));
    assert!(conn.answer(1).stdout == whole, "one byte in each record");
    let mut rng = Rng::new(3);
    for round in 0..50 {
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.below(rest.len().min(40)));
            pieces.push(piece);
            rest = after;
        }
        conn.send(in_records(1, &call, &pieces));
        assert!(conn.answer(1).stdout == whole, "random pieces, round {round}");
    }
}

#[test]
fn bytes_arrive_one_by_one() {
    let site = Site::new();
    site.file("echo.php", "<?php echo $_SERVER['HTTP_X'], file_get_contents('php://input');");
    let server = one_worker(&site);
    let call = Call::post(&site, "/echo.php", "text/plain", "the body").param("HTTP_X", "x: ");
    let mut conn = server.connect();
    for byte in call.encode(1) {
        conn.send([byte]);
    }
    assert_eq!(conn.answer(1).text(), "x: the body");
}

#[test]
fn stdin_in_records_of_every_size() {
    let site = Site::new();
    site.file("echo.php", "<?php echo file_get_contents('php://input');");
    let server = one_worker(&site);
    let body = Rng::new(9).bytes(100_000);
    let call = Call::post(&site, "/echo.php", "application/octet-stream", body.clone());
    for size in [1, 7, 8192, 65_535] {
        let mut bytes = call.encode_head(1);
        bytes.extend(fcgi::records(kind::STDIN, 1, &body, size));
        bytes.extend(fcgi::end_of(kind::STDIN, 1));
        let mut conn = server.connect();
        conn.send(bytes);
        assert!(conn.answer(1).web().body == body, "records of {size}");
    }
}

#[test]
fn padding_is_skipped_whatever_its_length() {
    let site = Site::new();
    site.file("echo.php", "<?php echo $_SERVER['HTTP_X'], file_get_contents('php://input');");
    let server = one_worker(&site);
    let call = Call::post(&site, "/echo.php", "text/plain", "body").param("HTTP_X", "x").keep();
    let mut conn = server.connect();
    for padding in 0..=255 {
        // php-fpm takes padding behind the end of a stream for a record.
        let last = if server.kind() == Kind::PhpFtm { padding } else { 0 };
        for record in [
            Record::begin(1, call.role, true).padded(padding),
            Record::new(kind::PARAMS, 1, call.param_bytes()).padded(padding),
            Record::new(kind::PARAMS, 1, []).padded(last),
            Record::new(kind::STDIN, 1, &b"bo"[..]).padded(padding),
            Record::new(kind::STDIN, 1, &b"dy"[..]).padded(padding),
            Record::new(kind::STDIN, 1, []).padded(last),
        ] {
            conn.send(record.encode());
        }
        assert_eq!(conn.answer(1).text(), "xbody", "padding of {padding}");
    }
}

#[test]
fn names_keep_their_case_and_values_may_be_empty() {
    let site = Site::new();
    site.file("json.php", "<?php echo json_encode(array_filter($_SERVER, fn($k) => $k[0] === 'm', 2));");
    let server = one_worker(&site);
    let call = Call::get(&site, "/json.php")
        .param("modHeadersAvailable", "true")
        .param("modheadersavailable", "other")
        .param("mEmpty", "")
        .param("m-dash", "1")
        .param("m\u{e4}", "2");
    let expected =
        r#"{"m\u00e4":"2","m-dash":"1","mEmpty":"","modheadersavailable":"other","modHeadersAvailable":"true"}"#;
    assert_eq!(server.call(&call).text(), expected);
}

#[test]
fn roles() {
    let site = Site::new();
    site.file("role.php", "<?php echo $_SERVER['FCGI_ROLE'];");
    let server = one_worker(&site);
    for (role, name) in [(1, "RESPONDER"), (2, "AUTHORIZER"), (3, "FILTER")] {
        let mut call = Call::get(&site, "/role.php");
        call.role = role;
        let answer = server.call(&call);
        assert_eq!((answer.text().as_str(), answer.protocol_status), (name, fcgi::REQUEST_COMPLETE));
    }
}

#[test]
fn an_unknown_role_is_answered_and_the_connection_goes_on() {
    only_php_ftm!("php-fpm closes the connection");
    let site = Site::new();
    site.file("role.php", "<?php echo $_SERVER['FCGI_ROLE'];");
    let server = one_worker(&site);
    let mut conn = server.connect();
    for role in [0, 4, 0xFFFF] {
        let mut call = Call::get(&site, "/role.php").keep();
        call.role = role;
        let answer = conn.call(9, &call);
        assert_eq!((answer.protocol_status, answer.stdout.len()), (fcgi::UNKNOWN_ROLE, 0), "role {role}");
    }
    assert_eq!(conn.call(9, &Call::get(&site, "/role.php")).text(), "RESPONDER");
}

fn get_values(conn: &mut Conn, names: &[&str]) -> Vec<(String, String)> {
    let mut query = Vec::new();
    names.iter().for_each(|name| fcgi::push_pair(&mut query, name.as_bytes(), b""));
    conn.send(Record::new(kind::GET_VALUES, 0, query).encode());
    let result = conn.record();
    assert_eq!((result.kind, result.id), (kind::GET_VALUES_RESULT, 0));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    fcgi::parse_pairs(&result.content).into_iter().map(|(n, v)| (text(n), text(v))).collect()
}

#[test]
fn get_values_of_multiplexing() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = one_worker(&site);
    let mut conn = server.connect();
    let multiplexing = if server.kind() == Kind::PhpFtm { "1" } else { "0" };
    let expected = [("FCGI_MPXS_CONNS".to_owned(), multiplexing.to_owned())];
    assert_eq!(get_values(&mut conn, &["FCGI_MPXS_CONNS"]), expected);
    assert_eq!(get_values(&mut conn, &["FCGI_MPXS_CONNS", "UNKNOWN"]), expected);
    // The connection is as good as new.
    assert_eq!(conn.call(1, &Call::get(&site, "/hello.php")).text(), "hello");
}

#[test]
fn get_values_of_limits() {
    only_php_ftm!("php-fpm tells FCGI_MPXS_CONNS alone");
    let server = one_worker(&Site::new());
    let mut conn = server.connect();
    let values = get_values(&mut conn, &["FCGI_MAX_CONNS", "FCGI_MAX_REQS"]);
    assert_eq!(values.len(), 2, "{values:?}");
    for (name, value) in &values {
        assert!(value.parse::<u32>().is_ok_and(|n| n > 0), "{name} = {value}");
    }
    assert_eq!(get_values(&mut conn, &[]), []);
}

#[test]
fn unknown_record_types_are_answered_so() {
    only_php_ftm!("php-fpm closes the connection");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = one_worker(&site);
    let mut conn = server.connect();
    for unknown in [12, 100, 255] {
        conn.send(Record::new(unknown, 0, &b"whatever"[..]).padded(3).encode());
        let record = conn.record();
        assert_eq!((record.kind, record.id, record.content.first()), (kind::UNKNOWN_TYPE, 0, Some(&unknown)));
        assert_eq!(record.content.len(), 8);
    }
    assert_eq!(conn.call(1, &Call::get(&site, "/hello.php")).text(), "hello");
}

#[test]
fn a_kept_connection_serves_request_after_request() {
    let site = Site::new();
    site.file("n.php", "<?php echo $_GET['n'], ' ', strlen(file_get_contents('php://input'));");
    let server = one_worker(&site);
    let mut conn = server.connect();
    for n in 0..1000u16 {
        // Ids as different servers choose them: always 1, counted, or anything.
        let id = match n % 3 {
            0 => 1,
            1 => n + 1,
            _ => u16::MAX - n,
        };
        let call = Call::post(&site, &format!("/n.php?n={n}"), "text/plain", vec![b'x'; usize::from(n)]).keep();
        assert_eq!(conn.call(id, &call).text(), format!("{n} {n}"));
    }
    let last = conn.call(1, &Call::get(&site, "/n.php?n=last"));
    assert_eq!(last.text(), "last 0");
    assert!(conn.closed_by_server(), "a request without FCGI_KEEP_CONN ends the connection");
}

#[test]
fn a_connection_that_is_not_kept_is_closed_after_its_answer() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    for pool in [PoolConfig::new("www"), PoolConfig::new("www").tcp()] {
        let server = Server::start(&site, ServerConfig::pool(pool));
        for uri in ["/hello.php", "/missing.php"] {
            let mut conn = server.connect();
            conn.call(1, &Call::get(&site, uri));
            assert!(conn.closed_by_server(), "{uri}");
        }
    }
}

#[test]
fn a_body_shorter_than_announced_ends_with_an_error() {
    only_php_ftm!("php-fpm waits for the rest for ever");
    let site = Site::new();
    let marker = site.writable("state").join("ran");
    site.file(
        "take.php",
        format!("<?php file_put_contents('{}', strlen(file_get_contents('php://input')));", marker.display()),
    );
    site.file("hello.php", "<?php echo 'hello';");
    let server = one_worker(&site);
    for sent in [0, 1, 9, 99] {
        let mut call = Call::post(&site, "/take.php", "application/octet-stream", vec![b'x'; 100]).keep();
        call.body.truncate(sent);
        let answer = server.call(&call);
        assert!(answer.web().status >= 400, "{sent} of 100 bytes: {answer:?}");
        assert!(!marker.exists(), "{sent} of 100 bytes: the script ran");
    }
    // Too long for a buffer: the script already runs when the end comes too early, and reads what there is.
    let mut call = Call::post(&site, "/take.php", "application/octet-stream", vec![b'x'; 2_000_000]).keep();
    call.body.truncate(1_500_000);
    server.call(&call);
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn a_body_longer_than_announced_is_cut() {
    let site = Site::new();
    site.file("take.php", "<?php echo strlen(file_get_contents('php://input'));");
    let server = one_worker(&site);
    let mut call = Call::post(&site, "/take.php", "application/octet-stream", vec![b'x'; 100]);
    call.body.extend_from_slice(&[b'y'; 50]);
    assert_eq!(server.call(&call).text(), "100");
}

#[test]
fn an_unread_body_does_not_disturb_the_next_request() {
    let site = Site::new();
    site.file("ignore.php", "<?php echo 'ignored';");
    let server = one_worker(&site);
    let mut conn = server.connect();
    for size in [0, 10, 300_000, 3_000_000] {
        let call = Call::post(&site, "/ignore.php", "application/octet-stream", vec![b'x'; size]).keep();
        // The answer may come before the body has been taken: write and read at the same time.
        let mut writer = Conn { stream: conn.stream.try_clone().expect("a second handle") };
        let answer = std::thread::scope(|scope| {
            scope.spawn(move || writer.send(call.encode(1)));
            conn.answer(1)
        });
        assert_eq!(answer.text(), "ignored", "{size} bytes");
    }
}

#[test]
fn messages_one_after_the_other_are_one_record() {
    let site = Site::new();
    let script = "<?php error_log('one'); error_log(\"two\\nlines\"); trigger_error('three'); echo 'ab';";
    site.file("log.php", script);
    let server = Server::start(&site, ServerConfig::default().ini("display_errors = 0"));
    let mut conn = server.connect();
    conn.send(Call::get(&site, "/log.php").encode(1));
    // A web server writes a line into its log for each record.
    let (mut answer, mut records) = (fcgi::Answer::default(), 0);
    loop {
        let record = conn.record();
        records += u32::from(record.kind == kind::STDERR && !record.content.is_empty());
        if answer.take(&record) {
            break;
        }
    }
    let notice = format!("PHP Notice:  three in {} on line 1", site.docroot().join("log.php").display());
    let expected = format!("PHP message: one; PHP message: two\nlines; PHP message: {notice}");
    assert_eq!((answer.text().as_str(), answer.error_text(), records), ("ab", expected, 1));
}

/// `fastcgi-client` from crates.io, which knows nothing of this workspace.
#[test]
fn an_independent_client_is_understood() {
    use fastcgi_client::{Client, Params, Request as Theirs, io};
    use futures_util::io::AllowStdIo;

    let site = Site::new();
    site.file(
        "echo.php",
        "<?php echo $_SERVER['SERVER_NAME'], ' ', file_get_contents('php://input'); error_log('said');",
    );
    let server = one_worker(&site);
    let script = site.docroot().join("echo.php").display().to_string();
    let params = |length: usize| {
        let params = Params::default().request_method("POST").script_name("/echo.php").script_filename(script.clone());
        params.server_name("theirs").content_type("text/plain").content_length(length)
    };
    let stream = server.address().connect().expect("connect");
    let mut client = Client::new_keep_alive(AllowStdIo::new(stream));
    for size in [0, 5, 70_000, 500_000] {
        let body = vec![b'b'; size];
        let request = Theirs::new(params(size), io::Cursor::new(body.clone()));
        let response = ready(client.execute(request)).unwrap_or_else(|e| panic!("{size} bytes: {e}"));
        let web = Answer::from_cgi(&response.stdout.expect("output"));
        assert!(web.body == [b"theirs ", &body[..]].concat(), "{size} bytes");
        assert_eq!(response.stderr.as_deref(), Some(&b"PHP message: said"[..]));
    }
    drop(client); // it would keep php-fpm's only worker
    let stream = server.address().connect().expect("connect");
    let request = Theirs::new(params(0), io::empty());
    let response = ready(Client::new(AllowStdIo::new(stream)).execute_once(request)).expect("a response");
    assert_eq!(Answer::from_cgi(&response.stdout.expect("output")).text(), "theirs ");
}

/// Runs a future whose I/O blocks, so that it is never pending.
fn ready<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("blocking I/O was pending"),
    }
}

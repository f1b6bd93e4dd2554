//! Several requests on one connection at the same time, aborts among them. php-fpm has neither.

use std::collections::HashMap;

use ftm_tests::fcgi::{self, Answer, Call, Conn, Record, kind};
use ftm_tests::*;

const REQUESTS: u16 = 16;

/// Reads until all of `ids` have ended; returns their answers and the order in which they ended.
fn answers(conn: &mut Conn, ids: &[u16]) -> (HashMap<u16, Answer>, Vec<u16>) {
    let mut answers: HashMap<u16, Answer> = HashMap::new();
    let mut order = Vec::new();
    while order.len() < ids.len() {
        let record = conn.record();
        assert!(ids.contains(&record.id) && !order.contains(&record.id), "{:?} for {}", record.kind, record.id);
        if answers.entry(record.id).or_default().take(&record) {
            order.push(record.id);
        }
    }
    (answers, order)
}

fn server(site: &Site, children: usize) -> Server {
    Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(children)))
}

#[test]
fn sixteen_requests_on_one_connection_answer_out_of_order() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    let dir = site.writable("turn");
    // Each waits for the one after it: they can only end in reverse order, and only if all run at once.
    let script = r#"
[$n, $dir] = [(int) $_GET['n'], $_GET['dir']];
for ($i = 0; $i < 50; $i++) echo str_repeat(chr(64 + $n), 4000), "\n";
flush();
if ($n < 16) wait_for("$dir/" . ($n + 1));
echo "end of $n";
register_shutdown_function(fn() => touch("$dir/$n"));"#;
    site.file("turn.php", format!("{PHP_WAIT_FOR}{script}"));
    let server = server(&site, REQUESTS.into());
    for pass in 0..3 {
        let turn = dir.join(pass.to_string());
        site.writable(&format!("turn/{pass}"));
        let mut conn = server.connect();
        let call = |n: u16| Call::get(&site, &format!("/turn.php?n={n}&dir={}", turn.display())).keep();
        let ids: Vec<u16> = (1..=REQUESTS).collect();
        match pass {
            // One after the other, all in one go, and record by record in turns.
            0 => ids.iter().for_each(|&id| conn.send(call(id).encode(id))),
            1 => conn.send(ids.iter().flat_map(|&id| call(id).encode(id)).collect::<Vec<u8>>()),
            _ => send_in_turns(&mut conn, &ids, &call),
        }
        let (answers, order) = answers(&mut conn, &ids);
        let reverse: Vec<u16> = ids.iter().rev().copied().collect();
        // The last writes of two requests may meet on the wire in either order; the first and last cannot.
        assert_eq!(order.len(), reverse.len());
        assert!(order[0] > 8 && order[15] < 9, "{order:?}");
        for id in ids {
            let letter = char::from(64 + u8::try_from(id).expect("small"));
            let line = format!("{}\n", letter.to_string().repeat(4000));
            assert!(answers[&id].text() == format!("{}end of {id}", line.repeat(50)), "the answer to {id}");
            assert_eq!(answers[&id].protocol_status, fcgi::REQUEST_COMPLETE);
        }
    }
}

/// Sends the requests' records mixed: first of all, second of all, ... with params cut small.
fn send_in_turns(conn: &mut Conn, ids: &[u16], call: &dyn Fn(u16) -> Call) {
    let mut queues: Vec<std::vec::IntoIter<Record>> = Vec::new();
    for &id in ids {
        let call = call(id);
        let mut records = vec![Record::begin(id, call.role, call.keep_conn)];
        let params = call.param_bytes();
        records.extend(params.chunks(17).map(|part| Record::new(kind::PARAMS, id, part)));
        records.push(Record::new(kind::PARAMS, id, []));
        records.push(Record::new(kind::STDIN, id, []));
        queues.push(records.into_iter());
    }
    loop {
        let round: Vec<u8> = queues.iter_mut().filter_map(Iterator::next).flat_map(|r| r.encode()).collect();
        if round.is_empty() {
            return;
        }
        conn.send(round);
    }
}

#[test]
fn more_requests_on_one_connection_than_threads() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    site.file(
        "echo.php",
        "<?php usleep(1000 * ($_GET['n'] % 7)); echo $_GET['n'], ':', file_get_contents('php://input');",
    );
    let server = server(&site, 3);
    let mut conn = server.connect();
    // As many as a connection may have active at once.
    let ids: Vec<u16> = (1..=128).collect();
    let body = |id: u16| vec![b'a' + u8::try_from(id % 26).expect("small"); usize::from(id) * 50];
    for &id in &ids {
        conn.send(Call::post(&site, &format!("/echo.php?n={id}"), "text/plain", body(id)).keep().encode(id));
    }
    let (answers, _) = answers(&mut conn, &ids);
    for id in ids {
        let expected = [format!("{id}:").as_bytes(), &body(id)].concat();
        assert_eq!(answers[&id].protocol_status, fcgi::REQUEST_COMPLETE, "request {id}");
        assert!(answers[&id].web().body == expected, "the answer to {id}");
    }
}

#[test]
fn one_of_several_is_aborted_and_the_others_do_not_notice() {
    only_php_ftm!("php-fpm ignores FCGI_ABORT_REQUEST");
    let site = Site::new();
    let dir = site.writable("abort");
    let script = r#"
[$n, $dir] = [(int) $_GET['n'], $_GET['dir']];
touch("$dir/started-$n");
if ($n === 7) {
    ignore_user_abort(true);
    while (!connection_aborted()) usleep(1000);
    file_put_contents("$dir/aborted", connection_status());
    exit;
}
wait_for("$dir/go");
echo "end of $n ", connection_status();"#;
    site.file("abort.php", format!("{PHP_WAIT_FOR}{script}"));
    let server = server(&site, REQUESTS.into());
    let mut conn = server.connect();
    let ids: Vec<u16> = (1..=REQUESTS).collect();
    for &id in &ids {
        conn.send(Call::get(&site, &format!("/abort.php?n={id}&dir={}", dir.display())).keep().encode(id));
    }
    eventually("all 16 run", || ids.iter().all(|id| dir.join(format!("started-{id}")).exists()));
    conn.send(Record::new(kind::ABORT_REQUEST, 7, []).encode());
    eventually("the script sees the abort", || std::fs::read(dir.join("aborted")).is_ok_and(|s| !s.is_empty()));
    assert_eq!(std::fs::read_to_string(dir.join("aborted")).expect("status"), "1");
    // It is the only one that ends; an END_REQUEST is owed for it too.
    let (ended, _) = answers(&mut conn, &[7]);
    assert_eq!(ended[&7].protocol_status, fcgi::REQUEST_COMPLETE);
    std::fs::write(dir.join("go"), "").expect("go");
    let others: Vec<u16> = ids.into_iter().filter(|&id| id != 7).collect();
    let (answers, _) = answers(&mut conn, &others);
    for id in others {
        assert_eq!(answers[&id].text(), format!("end of {id} 0"));
    }
    // The id and the connection can be used again.
    std::fs::remove_file(dir.join("started-1")).expect("started");
    let again = Call::get(&site, &format!("/abort.php?n=1&dir={}", dir.display()));
    assert_eq!(conn.call(7, &again).text(), "end of 1 0");
}

#[test]
fn aborts_at_every_stage_leave_the_connection_usable() {
    only_php_ftm!("php-fpm ignores FCGI_ABORT_REQUEST");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello ', strlen(file_get_contents('php://input'));");
    let server = server(&site, 2);
    let call = Call::post(&site, "/hello.php", "text/plain", vec![b'x'; 600_000]).keep();
    let abort = |id| Record::new(kind::ABORT_REQUEST, id, []).encode();
    let begin = Record::begin(5, call.role, true).encode();
    let some_params = Record::new(kind::PARAMS, 5, &call.param_bytes()[..20]).encode();
    let head = call.encode_head(5);
    let some_body = fcgi::records(kind::STDIN, 5, &call.body[..1000], 100);
    let much_body = fcgi::records(kind::STDIN, 5, &call.body[..400_000], 8192);
    let mut conn = server.connect();
    for (stage, sent) in [
        ("before params", begin.clone()),
        ("within params", [begin, some_params].concat()),
        ("before the body", head.clone()),
        ("within a buffered body", [head.clone(), some_body].concat()),
        ("within a streamed body", [head, much_body].concat()),
    ] {
        conn.send(sent);
        conn.send(abort(5));
        // What comes for 5 up to its END_REQUEST is of no matter; the connection and others on it are.
        conn.send(Call::post(&site, "/hello.php", "text/plain", "12345").keep().encode(6));
        let (answers, _) = answers(&mut conn, &[5, 6]);
        assert_eq!(answers[&6].text(), "hello 5", "{stage}");
    }
    // For a request that does not exist there is nothing to end.
    conn.send(abort(77));
    assert_eq!(conn.call(8, &Call::get(&site, "/hello.php")).text(), "hello 0");
}

#[test]
fn a_body_is_read_while_another_request_waits_with_a_full_one() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    site.file("length.php", "<?php echo strlen(file_get_contents('php://input'));");
    let server = server(&site, 1);
    // More than request_body_buffer (256K), so that the scripts start before their bodies are complete; PUT, so that it
    // is the script that reads.
    let call = |uri: &str| {
        let call = Call::post(&site, uri, "application/octet-stream", vec![b'x'; 400_000]);
        call.param("REQUEST_METHOD", "PUT").keep()
    };
    let [first, second] = [call("/length.php?n=1"), call("/length.php?n=2")];
    let stdin = |id: u16, part: &[u8]| fcgi::records(kind::STDIN, id, part, 50_000);
    let mut conn = server.connect();
    // The first one has the only thread, and waits there for the rest of its body.
    conn.send(first.encode_head(1));
    conn.send(stdin(1, &first.body[..300_000]));
    // The second one waits for the thread, with as much of its body as is buffered and more.
    conn.send(second.encode_head(2));
    conn.send(stdin(2, &second.body[..390_000]));
    // What the first one waits for comes behind that.
    conn.send(stdin(1, &first.body[300_000..]));
    conn.send(fcgi::end_of(kind::STDIN, 1));
    assert_eq!(answers(&mut conn, &[1]).0[&1].text(), "400000");
    conn.send(stdin(2, &second.body[390_000..]));
    conn.send(fcgi::end_of(kind::STDIN, 2));
    assert_eq!(answers(&mut conn, &[2]).0[&2].text(), "400000");
}

#[test]
fn whatever_comes_amid_a_large_body_is_answered_before_its_end() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    site.file("echo.php", "<?php echo 'begun '; flush(); echo file_get_contents('php://input');");
    site.file("hello.php", "<?php echo 'hello';");
    let server = server(&site, 2);
    let body: Vec<u8> = (0..1_000_000u32).map(|i| (i / 7) as u8).collect();
    let call = Call::post(&site, "/echo.php", "application/octet-stream", body.clone());
    let call = call.param("REQUEST_METHOD", "PUT").keep();
    let stdin = |part: &[u8]| fcgi::records(kind::STDIN, 1, part, 50_000);
    let mut conn = server.connect();
    conn.send(call.encode_head(1));
    conn.send(stdin(&body[..400_000]));
    let mut answer = Answer::default();
    assert!(!answer.take(&conn.record()));
    assert_eq!(answer.text(), "begun ");
    for (n, part) in body[400_000..].chunks(200_000).enumerate() {
        conn.send(Record::new(kind::GET_VALUES, 0, []).encode());
        assert_eq!(conn.record().kind, kind::GET_VALUES_RESULT);
        // Half of a record, another request behind the other half, and a stretch that nothing breaks.
        let record = stdin(&part[..50_000]);
        let (half, rest) = record.split_at(20_000);
        conn.send(half);
        conn.send([rest, &Call::get(&site, "/hello.php").keep().encode(2)].concat());
        assert_eq!(answers(&mut conn, &[2]).0[&2].text(), "hello", "{n}");
        conn.send(stdin(&part[50_000..]));
    }
    conn.send(fcgi::end_of(kind::STDIN, 1));
    while !answer.take(&conn.record()) {}
    assert!(answer.web().body == [b"begun ", &body[..]].concat());
    assert_eq!(conn.call(3, &Call::get(&site, "/hello.php")).text(), "hello");
}

#[test]
fn a_request_behind_a_body_that_its_script_does_not_read_is_served() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    let dir = site.writable("dir");
    let script = "$in = fopen('php://input', 'r'); for ($n = 0; $n < 300000;) $n += strlen(fread($in, 8192)); echo 'read '; flush();
        wait_for($_GET['file']); echo $n + strlen(stream_get_contents($in));";
    site.file("part.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("touch.php", "<?php echo (int) touch($_GET['file']);");
    let server = server(&site, 2);
    let file = dir.join("go");
    let call = |uri: &str| Call::get(&site, &format!("{uri}?file={}", file.display())).keep();
    let large = Call { body: vec![b'x'; 900_000], ..call("/part.php") }
        .param("REQUEST_METHOD", "PUT")
        .param("CONTENT_LENGTH", "900000");
    let mut conn = server.connect();
    conn.send(large.encode_head(1));
    conn.send(fcgi::records(kind::STDIN, 1, &large.body[..400_000], 50_000));
    let mut answer = Answer::default();
    assert!(!answer.take(&conn.record()));
    assert_eq!(answer.text(), "read ");
    conn.send(call("/touch.php").encode(2));
    conn.send(fcgi::records(kind::STDIN, 1, &large.body[400_000..], 50_000));
    conn.send(fcgi::end_of(kind::STDIN, 1));
    let mut other = Answer::default();
    let mut ended = [false; 2];
    while ended != [true; 2] {
        let record = conn.record();
        match record.id {
            1 => ended[0] |= answer.take(&record),
            _ => ended[1] |= other.take(&record),
        }
    }
    assert_eq!((answer.text(), other.text()), ("read 900000".to_owned(), "1".to_owned()));
}

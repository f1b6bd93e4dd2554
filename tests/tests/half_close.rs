//! Clients that end their sending side and read on, as `shutdown(SHUT_WR)` does. On a unix socket that can be told
//! from a client that has closed.

use std::fs;

use ftm_tests::fcgi::{Call, Conn, MAX_CONTENT, Record, kind, records};
use ftm_tests::*;

/// Sends `bytes`, and no more.
fn half_closed(server: &Server, bytes: impl AsRef<[u8]>) -> Conn {
    let mut conn = server.connect();
    conn.send(bytes);
    conn.stream.end_sending().expect("shutdown");
    conn
}

#[test]
fn a_half_closed_client_costs_no_time_while_its_script_waits() {
    only_php_ftm!("php-fpm waits with the worker that runs the script");
    let site = Site::new();
    // The seconds are what a server could waste, nothing waits for them.
    site.file("sleep.php", "<?php sleep(3); echo 'slept';");
    let server = Server::start(&site, ServerConfig::default());
    let [pool] = server.workers()[..] else { panic!("one process") };
    server.meet(4);
    let before = proc::cpu_ticks(pool);
    let mut conn = half_closed(&server, Call::get(&site, "/sleep.php").encode(1));
    assert_eq!(conn.answer(1).text(), "slept");
    // A tick is 10 ms: a server that spins uses up to 300 of them.
    let used = proc::cpu_ticks(pool) - before;
    assert!(used < 25, "{used} ticks");
    assert!(conn.closed_by_server());
}

#[test]
fn a_half_closed_client_gets_an_answer_that_it_reads_slowly() {
    let site = Site::new();
    site.file("much.php", "<?php echo str_repeat('x', 3000000);");
    let server = Server::start(&site, ServerConfig::default());
    for call in [Call::get(&site, "/much.php"), Call::get(&site, "/much.php").keep()] {
        let mut conn = half_closed(&server, call.encode(1));
        let first = conn.record();
        // The server is waiting for its reader while it serves others.
        assert_eq!(server.get("/much.php").text().len(), 3_000_000);
        let mut answer = fcgi::Answer::default();
        assert!(!answer.take(&first));
        while !answer.take(&conn.record()) {}
        assert_eq!(answer.text().len(), 3_000_000);
        assert!(conn.closed_by_server());
    }
}

#[test]
fn a_half_closed_connection_that_might_be_kept_ends_with_its_answer() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::default());
    for before in 0..3 {
        let mut conn = server.connect();
        for id in 0..before {
            assert_eq!(conn.call(id + 1, &Call::get(&site, "/hello.php").keep()).text(), "hello");
        }
        conn.send(Call::get(&site, "/hello.php").keep().encode(9));
        conn.stream.end_sending().expect("shutdown");
        assert_eq!(conn.answer(9).text(), "hello");
        assert!(conn.closed_by_server());
    }
}

#[test]
fn a_half_closed_client_that_leaves_is_noticed() {
    only_php_ftm!("php-fpm notices only when it writes");
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
ignore_user_abort(true);
touch("{$_GET['dir']}/runs");
for ($i = 0; $i < 25000 && !connection_aborted(); $i++) usleep(1000);
file_put_contents("{$_GET['dir']}/seen", (string) connection_aborted());"#;
    site.file("watch.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let conn = half_closed(&server, Call::get(&site, &format!("/watch.php?dir={}", dir.display())).encode(1));
    eventually("the script runs", || dir.join("runs").exists());
    drop(conn);
    eventually("the script ends", || fs::read(dir.join("seen")).is_ok_and(|s| !s.is_empty()));
    assert_eq!(fs::read_to_string(dir.join("seen")).expect("seen"), "1");
}

#[test]
fn a_connection_half_closed_within_its_params_ends() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::default());
    let call = Call::get(&site, "/hello.php").keep();
    let head = call.encode_head(1);
    let end_of_params = head.len() - 8;
    for sent in [1, 8, 16, 20, 24, end_of_params - 1, end_of_params, end_of_params + 7] {
        let mut conn = half_closed(&server, &head[..sent]);
        assert!(conn.closed_by_server(), "after {sent} of {} bytes", head.len());
    }
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn a_request_half_closed_within_its_body_is_refused() {
    only_php_ftm!("php-fpm starts the script before the body is there");
    let site = Site::new();
    site.file("length.php", "<?php echo strlen(file_get_contents('php://input'));");
    let server = Server::start(&site, ServerConfig::default());
    let call = Call::post(&site, "/length.php", "application/octet-stream", vec![b'x'; 1000]).keep();
    let bytes = call.encode(1);
    let head = call.encode_head(1).len();
    for sent in [head, head + 3, head + 8, head + 500, head + 8 + 999] {
        let mut conn = half_closed(&server, &bytes[..sent]);
        assert_eq!(conn.answer(1).web().status, 400, "after {} bytes of the body's records", sent - head);
        assert!(conn.closed_by_server());
    }
    // The whole body is there, only the empty record behind it is not.
    let mut conn = half_closed(&server, &bytes[..bytes.len() - 8]);
    assert_eq!(conn.answer(1).text(), "1000");
}

#[test]
fn a_body_of_unannounced_length_that_breaks_off_is_refused() {
    only_php_ftm!("php-fpm loses a body without CONTENT_LENGTH");
    let site = Site::new();
    site.file("length.php", "<?php echo strlen(file_get_contents('php://input'));");
    let server = Server::start(&site, ServerConfig::default());
    let mut call = Call::post(&site, "/length.php", "application/octet-stream", vec![b'x'; 1000]);
    call = call.param("CONTENT_LENGTH", "");
    let (bytes, head) = (call.encode(1), call.encode_head(1).len());
    for sent in [head + 9, head + 500, bytes.len() - 8] {
        let mut conn = half_closed(&server, &bytes[..sent]);
        assert_eq!(conn.answer(1).web().status, 400, "after {} bytes of the body's records", sent - head);
    }
    let mut conn = half_closed(&server, &bytes);
    assert_eq!(conn.answer(1).text(), "1000");
}

#[test]
fn a_script_whose_body_was_cut_by_a_half_close_reads_what_came() {
    only_php_ftm!("php-fpm loses the last of it");
    let site = Site::new();
    site.file("length.php", "<?php echo strlen(file_get_contents('php://input'));");
    let server = Server::start(&site, ServerConfig::default().ini("display_errors = 0"));
    // More than is waited for before the script starts.
    let call = Call::post(&site, "/length.php", "application/octet-stream", vec![b'x'; 2_000_000]);
    let call = call.param("REQUEST_METHOD", "PUT");
    let sent = [call.encode_head(1), records(kind::STDIN, 1, &call.body[..1_500_000], MAX_CONTENT)].concat();
    assert_eq!(half_closed(&server, sent).answer(1).text(), "1500000");
}

#[test]
fn a_large_body_may_wait_for_its_script_after_a_half_close() {
    let site = Site::new();
    // Longer than the time after which a server looks whether the client is still there.
    site.file("late.php", "<?php sleep(2); echo strlen(file_get_contents('php://input'));");
    let server = Server::start(&site, ServerConfig::default());
    // More than is waited for before the script starts, and the rest fits into the socket.
    let call = Call::post(&site, "/late.php", "application/octet-stream", vec![b'x'; 400_000]);
    let call = call.param("REQUEST_METHOD", "PUT");
    assert_eq!(half_closed(&server, call.encode(1)).answer(1).text(), "400000");
}

#[test]
fn a_whole_request_is_answered_beside_one_cut_by_the_half_close() {
    only_php_ftm!("php-fpm serves one request at a time on a connection");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::default());
    let call = Call::get(&site, "/hello.php").keep();
    let cut = Record::begin(2, call.role, true).encode();
    let mut conn = half_closed(&server, [cut, call.encode(1)].concat());
    assert_eq!(conn.answer(1).text(), "hello");
    assert!(conn.closed_by_server());
}

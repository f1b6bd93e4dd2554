//! Clients that idle, stall, and vanish: they cost a descriptor while they are there, and nothing afterwards.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ftm_tests::fcgi::{Call, Conn, Record};
use ftm_tests::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process, and servers that it starts, open `n` descriptors. False if the machine does not allow it.
fn allow_descriptors(n: u64) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    soft >= n || setrlimit(Resource::RLIMIT_NOFILE, n, hard.max(n)).is_ok()
}

#[test]
fn two_thousand_idle_connections_while_requests_are_served() {
    only_php_ftm!("each kept-alive connection holds a worker of php-fpm");
    let _alone = heavy();
    if !allow_descriptors(8192) {
        return wait::skipped("8192 descriptors are not allowed");
    }
    let site = Site::new();
    site.file("n.php", "<?php echo $_GET['n'];");
    let pool = PoolConfig::new("www").children(4).set("listen.backlog", "4096");
    let server = Server::start(&site, ServerConfig::pool(pool).global("rlimit_files", "8192"));
    let get = |n: usize| Call::get(&site, &format!("/n.php?n={n}")).keep();
    let mut idle: Vec<Conn> = (0..2000).map(|_| server.connect()).collect();
    for (n, conn) in idle.iter_mut().enumerate() {
        // Half of them have been used, the others have never sent a byte.
        if n % 2 == 0 {
            assert_eq!(conn.call(1, &get(n)).text(), n.to_string());
        }
    }
    // 50 requests per second for 4 seconds, through nginx: the pace is the load, nothing waits for it.
    let nginx = Nginx::start(&site, &server);
    let start = Instant::now();
    for n in 0..200 {
        std::thread::sleep((Duration::from_millis(20) * n).saturating_sub(start.elapsed()));
        let answer = nginx.get(&format!("/n.php?n={n}"));
        assert_eq!((answer.status, answer.text()), (200, n.to_string()));
    }
    // None of the idle ones was closed meanwhile.
    for (n, conn) in idle.iter_mut().enumerate() {
        assert_eq!(conn.call(1, &get(n)).text(), n.to_string(), "idle connection {n}");
    }
}

#[test]
fn a_hundred_clients_that_vanish_at_random_points() {
    let site = Site::new();
    let script = "<?php $b = file_get_contents('php://input');
for ($i = 0; $i < 40; $i++) { echo str_repeat('x', 50000); flush(); if ($i % 10 == 0) usleep(2000); }";
    site.file("much.php", script);
    for (seed, pool) in [(1, PoolConfig::new("www")), (2, PoolConfig::new("www").tcp())] {
        let server = Server::start(&site, ServerConfig::pool(pool.children(4)));
        server.meet(4);
        let before = server.counts();
        let mut rng = Rng::new(seed);
        for n in 0..100 {
            let body_size = [0, 100, 100_000, 1_000_000][rng.below(4)];
            let call = Call::post(&site, "/much.php", "application/octet-stream", vec![b'b'; body_size]);
            let call = if rng.below(2) == 0 { call.keep() } else { call };
            let bytes = call.encode(1);
            let mut conn = server.connect();
            if rng.below(2) == 0 {
                // Leaves within the request ...
                let _ = conn.stream.write_all(&bytes[..rng.below(bytes.len())]);
            } else {
                // ... or within the answer, from before its first byte on.
                let sent = conn.stream.write_all(&bytes);
                let mut some = vec![0; rng.below(1_900_000)];
                if rng.below(4) > 0 && sent.is_ok() {
                    conn.stream.read_exact(&mut some).expect("a part of the answer");
                }
            }
            match n % 3 {
                0 => conn.stream.reset(),
                1 => {
                    let _ = conn.stream.end_sending();
                }
                _ => drop(conn),
            }
        }
        server.meet(4);
        server.wait_nothing_lost(&before);
        let log = server.log();
        assert!(!["ERROR", "ALERT", "panicked", "exited on signal"].iter().any(|bad| log.contains(bad)), "{log}");
        server.stop();
    }
}

/// How a script sees its client go: it computes, without output, until it knows, then writes down what it knows.
fn noticed_while_computing(leave: impl Fn(Conn)) {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
ignore_user_abort(true);
touch("{$_GET['dir']}/runs");
$end = microtime(true) + 25;
while (!connection_aborted() && microtime(true) < $end) for ($i = 0; $i < 1000; $i++) $x = sqrt($i);
echo 'ignored';
file_put_contents("{$_GET['dir']}/seen", connection_aborted() . ' ' . connection_status());"#;
    site.file("compute.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let mut conn = server.connect();
    conn.send(Call::get(&site, &format!("/compute.php?dir={}", dir.display())).encode(1));
    eventually("the script runs", || dir.join("runs").exists());
    leave(conn);
    eventually("the script ends", || std::fs::read(dir.join("seen")).is_ok_and(|s| !s.is_empty()));
    assert_eq!(std::fs::read_to_string(dir.join("seen")).expect("seen"), "1 1");
}

#[test]
fn a_client_that_leaves_is_noticed_while_php_computes() {
    only_php_ftm!("php-fpm notices only when it writes");
    noticed_while_computing(drop);
}

#[test]
fn a_client_that_aborts_is_noticed_while_php_computes() {
    only_php_ftm!("php-fpm notices only when it writes, and no FCGI_ABORT_REQUEST");
    noticed_while_computing(|mut conn| {
        conn.send(Record::new(fcgi::kind::ABORT_REQUEST, 1, []).encode());
        // The connection stays; nobody reads from it.
        std::mem::forget(conn);
    });
}

/// A script that writes until its client is gone, and what is left of it then.
fn after_the_client_left(ignore: bool) -> String {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"
[$dir, $done] = [$_GET['dir'], 'waited'];
ignore_user_abort((bool) $_GET['ignore']);
register_shutdown_function(function () use ($dir, &$done) {
    file_put_contents("$dir/seen", $done . ' ' . connection_aborted() . ' ' . connection_status());
});
echo 'first';
flush();
wait_for("$dir/gone");
$done = 'wrote';
for ($i = 0; $i < 200 && !connection_aborted(); $i++) { echo str_repeat('x', 10000); flush(); usleep(1000); }
echo 'more';
flush();
$done = 'survived';"#;
    site.file("write.php", format!("{PHP_WAIT_FOR}{script}"));
    let server = Server::start(&site, ServerConfig::default());
    let mut conn = server.connect();
    let uri = format!("/write.php?dir={}&ignore={}", dir.display(), u8::from(ignore));
    conn.send(Call::get(&site, &uri).encode(1));
    conn.record();
    drop(conn);
    std::fs::write(dir.join("gone"), "").expect("gone");
    eventually("the script ends", || std::fs::read(dir.join("seen")).is_ok_and(|s| !s.is_empty()));
    // The thread serves on.
    site.file("hello.php", "<?php echo 'hello';");
    for _ in 0..8 {
        assert_eq!(server.get("/hello.php").text(), "hello");
    }
    std::fs::read_to_string(dir.join("seen")).expect("seen")
}

#[test]
fn a_script_ends_when_it_writes_to_a_client_that_has_left() {
    assert_eq!(after_the_client_left(false), "wrote 1 1");
}

#[test]
fn a_script_that_knows_its_client_has_left_may_finish_what_it_does_without_output() {
    only_php_ftm!("php-fpm does not know before it writes");
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
$seen = "{$_GET['dir']}/seen";
register_shutdown_function(fn() => file_put_contents($seen, ' ended', FILE_APPEND));
touch("{$_GET['dir']}/runs");
while (!connection_aborted()) $x = sqrt(2);
file_put_contents($seen, 'finished');
echo 'output';
flush();
file_put_contents($seen, 'not ended by its output');"#;
    site.file("compute.php", script);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let mut conn = server.connect();
    conn.send(Call::get(&site, &format!("/compute.php?dir={}", dir.display())).encode(1));
    eventually("the script runs", || dir.join("runs").exists());
    drop(conn);
    let seen = || std::fs::read_to_string(dir.join("seen")).unwrap_or_default();
    eventually("the script ends", || seen().ends_with(" ended"));
    assert_eq!(seen(), "finished ended");
    server.meet(1);
}

#[test]
fn a_script_that_ignores_aborts_runs_to_its_end() {
    assert_eq!(after_the_client_left(true), "survived 1 1");
}

#[test]
fn a_client_that_only_ends_its_sending_side_gets_its_whole_answer() {
    let site = Site::new();
    site.file("parts.php", "<?php for ($i = 0; $i < 20; $i++) { echo str_repeat('x', 10000); flush(); usleep(1000); }");
    let server = Server::start(&site, ServerConfig::default());
    for uri in ["/parts.php", "/missing.php"] {
        let mut conn = server.connect();
        conn.send(Call::get(&site, uri).encode(1));
        conn.stream.end_sending().expect("shutdown");
        let expected = if uri == "/parts.php" { 200_000 } else { "File not found.\n".len() };
        assert_eq!(conn.answer(1).text().len(), expected);
    }
}

#[test]
fn a_queued_request_whose_client_left_is_not_run() {
    only_php_ftm!("php-fpm runs what it finds in the backlog");
    let site = Site::new();
    let dir = site.writable("state");
    site.file(
        "wait.php",
        format!("{PHP_WAIT_FOR}touch(\"{{$_GET['dir']}}/runs\"); wait_for(\"{{$_GET['dir']}}/go\"); echo 'done';"),
    );
    site.file("mark.php", "<?php touch($_GET['file']); echo 'marked';");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let mark = |name: &str| Call::get(&site, &format!("/mark.php?file={}", dir.join(name).display()));
    let mut running = server.connect();
    // Whoever has connected before, to see whether the server listens, has been let go of then.
    assert_eq!(running.call(1, &mark("first").keep()).text(), "marked");
    running.send(Call::get(&site, &format!("/wait.php?dir={}", dir.display())).encode(1));
    eventually("the first request runs", || dir.join("runs").exists());
    let fds = server.counts().fds;
    let mut queued: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    for (n, conn) in queued.iter_mut().enumerate() {
        conn.send(mark(&format!("left-{n}")).encode(1));
    }
    let mut stays = server.connect();
    stays.send(mark("stayed").encode(1));
    eventually("all connections are accepted", || server.counts().fds >= fds + 21);
    drop(queued);
    eventually("the server has seen them go", || server.counts().fds <= fds + 1);
    std::fs::write(dir.join("go"), "").expect("go");
    assert_eq!(running.answer(1).text(), "done");
    assert_eq!(stays.answer(1).text(), "marked");
    let made: Vec<_> = std::fs::read_dir(&dir).expect("dir").map(|e| e.expect("entry").file_name()).collect();
    assert!(!made.iter().any(|name| name.to_string_lossy().starts_with("left-")), "{made:?}");
}

#[test]
fn queued_requests_are_served_in_order() {
    let site = Site::new();
    let dir = site.writable("state");
    site.file("wait.php", format!("{PHP_WAIT_FOR}wait_for(\"{{$_GET['dir']}}/go\"); echo 'done';"));
    site.file("order.php", "<?php file_put_contents($_GET['file'], $_GET['n'] . ' ', FILE_APPEND); echo 'ok';");
    let pool = PoolConfig::new("www").children(1).set("pm.status_path", "/status");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut running = server.connect();
    running.send(Call::get(&site, &format!("/wait.php?dir={}", dir.display())).encode(1));
    let mut queued: Vec<Conn> = Vec::new();
    for n in 0..50 {
        let mut conn = server.connect();
        conn.send(Call::get(&site, &format!("/order.php?n={n}&file={}/order", dir.display())).encode(1));
        queued.push(conn);
    }
    // Where the kernel is not their only queue, and the page needs no worker.
    if Kind::under_test() == Kind::PhpFtm {
        eventually("all are queued", || server.get("/status").text().contains("listen queue:         50\n"));
    }
    std::fs::write(dir.join("go"), "").expect("go");
    assert_eq!(running.answer(1).text(), "done");
    // php-fpm's worker waits for its client to close, too.
    drop(running);
    for mut conn in queued {
        assert_eq!(conn.answer(1).text(), "ok");
    }
    let expected: String = (0..50).map(|n| format!("{n} ")).collect();
    assert_eq!(std::fs::read_to_string(dir.join("order")).expect("order"), expected);
}

#[test]
fn a_client_that_sends_slowly_holds_no_thread() {
    only_php_ftm!("php-fpm reads a request with the worker that runs it");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello ', strlen(file_get_contents('php://input'));");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let call = Call::post(&site, "/hello.php", "text/plain", vec![b'x'; 1000]);
    let bytes = call.encode(1);
    // Stalled at a byte of the header, within params, and within the body.
    let mut stalled: Vec<(Conn, usize)> = Vec::new();
    for sent in [0, 1, 30, 100, bytes.len() - 500, bytes.len() - 8] {
        let mut conn = server.connect();
        conn.send(&bytes[..sent]);
        stalled.push((conn, sent));
    }
    assert_eq!(server.get("/hello.php").text(), "hello 0");
    for (mut conn, sent) in stalled {
        conn.send(&bytes[sent..]);
        assert_eq!(conn.answer(1).text(), "hello 1000");
    }
}

#[test]
fn a_client_that_reads_slowly_holds_no_thread() {
    only_php_ftm!("php-fpm writes with the worker that runs the script");
    let site = Site::new();
    site.file("much.php", "<?php echo str_repeat('x', 900000);");
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let mut slow: Vec<Conn> = (0..10).map(|_| server.connect()).collect();
    for conn in &mut slow {
        // More than a socket takes at once, less than what the server drains by itself.
        conn.send(Call::get(&site, "/much.php").encode(1));
    }
    assert_eq!(server.get("/hello.php").text(), "hello");
    for conn in &mut slow {
        assert_eq!(conn.answer(1).text().len(), 900_000);
    }
}

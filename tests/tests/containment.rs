//! A request that crashes, and those beside it.

use std::fs;
use std::path::Path;

use ftm_tests::fcgi::{Answer, Call, Conn};
use ftm_tests::*;

/// How to crash, and the signal of it.
const KINDS: [(&str, &str); 5] = [
    ("null", "11 (SIGSEGV)"),
    ("stack", "11 (SIGSEGV)"),
    ("abort", "6 (SIGABRT)"),
    ("division", "8 (SIGFPE)"),
    ("heap", "6 (SIGABRT)"),
];

fn pool() -> PoolConfig {
    let extension = extension::build("ftmcrash");
    PoolConfig::new("www").children(6).set("php_admin_value[extension]", &extension.display().to_string())
}

fn site() -> Site {
    let site = Site::new();
    let said = "if (isset($_GET['say'])) { echo 'said'; flush(); }";
    site.file("crash.php", format!("<?php {said} ftm_crash($_GET['how']); echo 'alive';"));
    site.file("at_end.php", "<?php ftm_crash_at_end($_GET['where']); echo 'armed';");
    site.file("hello.php", "<?php echo 'hello';");
    site.file("crashes.php", "<?php echo ftm_get_status()['crashes'];");
    let wait = "touch(\"$_GET[dir]/$_GET[n]\"); wait_for(\"$_GET[dir]/go\"); echo 'finished ', $_GET['n'];";
    site.file("wait.php", format!("{PHP_WAIT_FOR}{wait}"));
    site
}

/// Four requests that run until `dir/go` is there.
fn neighbours(site: &Site, server: &Server, dir: &Path) -> Vec<Conn> {
    let mut conns: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    for (n, conn) in conns.iter_mut().enumerate() {
        conn.send(Call::get(site, &format!("/wait.php?n={n}&dir={}", dir.display())).encode(1));
    }
    eventually("all run", || (0..4).all(|n| dir.join(n.to_string()).exists()));
    conns
}

fn only(server: &Server) -> u32 {
    let [process] = server.workers()[..] else { panic!("one process, not {:?}", server.workers()) };
    process
}

#[test]
fn a_crash_costs_one_request() {
    only_php_ftm!("php-fpm loses one worker only");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool()));
    for (how, signal) in KINDS {
        let (dir, before) = (site.writable(how), only(&server));
        let mut conns = neighbours(&site, &server, &dir);
        let mut kept = server.connect();
        let hello = Call::get(&site, "/hello.php").keep();
        assert_eq!(kept.call(1, &hello).text(), "hello");

        let answer = server.get(&format!("/crash.php?how={how}"));
        assert_eq!((answer.web().status, answer.app_status), (500, 1), "{how}: {}", answer.text());
        // Whoever comes next is served, while the others go on.
        assert_eq!(server.get("/hello.php").text(), "hello", "{how}");
        assert!(server.workers().iter().any(|&pid| pid != before), "{how}: by another process");
        assert_eq!(kept.call(2, &hello).text(), "hello", "{how}: on a connection that was kept");
        fs::write(dir.join("go"), "").expect("go");
        for (n, conn) in conns.iter_mut().enumerate() {
            let answer = conn.answer(1);
            assert_eq!((answer.web().status, answer.text()), (200, format!("finished {n}")), "{how}");
        }
        drop(conns);
        let script = site.docroot().join("crash.php");
        let request = format!("script '{}' (request: \"GET /crash.php?how={how}\")", script.display());
        server.wait_log(&format!("{request} crashed on signal {signal}"));
        server.wait_log(&format!("[pool www] child {before} exited on signal {signal}"));
        eventually("one process is left", || server.workers().len() == 1);
    }
    assert_eq!(server.get("/crashes.php").text(), KINDS.len().to_string());
    server.stop();
}

#[test]
fn an_answer_that_has_begun_is_broken_off() {
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool()));
    let answer = server.get("/crash.php?how=null&say=1");
    assert_eq!((answer.web().status, answer.text(), answer.app_status), (200, "said".to_owned(), 1));
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.stop();
}

#[test]
fn requests_that_do_not_end_after_a_crash_are_answered() {
    only_php_ftm!("php-fpm loses one worker only");
    let site = site();
    let pool = pool().set("crash_drain_timeout", "1s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let (dir, before) = (site.writable("dir"), only(&server));
    let mut conns = neighbours(&site, &server, &dir);
    assert_eq!(server.get("/crash.php?how=null").web().status, 500);
    for conn in &mut conns {
        let answer = conn.answer(1);
        assert_eq!((answer.web().status, answer.app_status), (503, 1));
    }
    server.wait_log("4 requests have not ended 1s after the crash");
    server.wait_log(&format!("[pool www] child {before} exited on signal 11 (SIGSEGV)"));
    server.stop();
}

/// A pool that serves one request at a time, and those that wait for it.
#[test]
fn requests_that_were_queued_are_served() {
    only_php_ftm!("php-fpm loses one worker only");
    let site = site();
    let crash = "touch(\"$_GET[dir]/begun\"); wait_for(\"$_GET[dir]/go\"); ftm_crash('null');";
    site.file("crash_later.php", format!("{PHP_WAIT_FOR}{crash}"));
    let server = Server::start(&site, ServerConfig::pool(pool().children(1).set("pm.status_path", "/status")));
    let dir = site.writable("dir");
    let mut crashing = server.connect();
    crashing.send(Call::get(&site, &format!("/crash_later.php?dir={}", dir.display())).encode(1));
    eventually("it runs", || dir.join("begun").exists());
    let mut conns: Vec<Conn> = (0..8).map(|_| server.connect()).collect();
    conns.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/hello.php").encode(1)));
    eventually("they wait", || server.get("/status").text().contains("listen queue:         8\n"));
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(crashing.answer(1).web().status, 500);
    for conn in &mut conns {
        assert_eq!(conn.answer(1).text(), "hello");
    }
    server.stop();
}

#[test]
fn extensions_that_crash_at_the_end_of_a_thread_cost_nothing() {
    only_php_ftm!("php-fpm has no threads");
    let site = site();
    // The process leaves without the threads that wait for what the crashed one holds: this is longer than the test waits.
    let pool = pool().set("pm.max_requests", "500").set("crash_drain_timeout", "60s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    for place in ["GSHUTDOWN", "thread_local"] {
        let before = only(&server);
        let hello = Call::get(&site, "/hello.php");
        let load = Load::start(4, server.address(), &hello, |answer: &Answer| answer.text() == "hello");
        assert_eq!(server.get(&format!("/at_end.php?where={place}")).text(), "armed");
        eventually("another process serves", || server.workers().len() == 1 && only(&server) != before);
        load.wait_for(50);
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{place}: {outcome:?}");
        server.wait_log(&format!("[pool www] child {before} exited on signal 6 (SIGABRT)"));
    }
    server.stop();
}

#[test]
fn a_crash_loop_stays_bounded_and_says_so() {
    only_php_ftm!("php-fpm starts each worker anew at once");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool()));
    let dir = site.writable("dir");
    // A process with these requests takes its time to end: not so many of them are let pile up.
    for n in 0..9 {
        let mut conn = server.connect();
        conn.send(Call::get(&site, &format!("/wait.php?n={n}&dir={}", dir.display())).encode(1));
        std::mem::forget(conn);
        eventually("it runs", || dir.join(n.to_string()).exists());
        assert_eq!(server.get("/crash.php?how=null").web().status, 500);
    }
    server.wait_log("[pool www] keeps ending right after its start: next try in 400ms");
    server.wait_log("[pool www] 8 processes that have crashed still finish their requests");
    assert!(server.workers().len() <= 9, "{:?}", server.workers());
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.stop();
}

#[test]
fn a_crash_leaves_no_lock_of_a_session() {
    let site = site();
    let saved = site.writable("sessions");
    site.file(
        "session.php",
        "<?php session_id('one'); session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];",
    );
    site.file("crash_in_session.php", "<?php session_id('one'); session_start(); ftm_crash('null');");
    let pool = pool().set("php_admin_value[session.save_path]", &saved.display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    for n in 1..=3 {
        assert_eq!(server.get("/session.php").text(), n.to_string());
        let mut conn = server.connect();
        conn.send(Call::get(&site, "/crash_in_session.php").encode(1));
        // php-fpm's client gets none.
        assert!(conn.read_answer(1).map_or(true, |answer| answer.web().status == 500));
    }
    server.stop();
}

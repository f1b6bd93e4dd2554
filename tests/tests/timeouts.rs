//! `max_execution_time` and `max_input_time`: what they count, what they end, and that they end nothing else.

use std::time::{Duration, Instant};

use ftm_tests::fcgi::{Call, Conn, Record, end_of, kind};
use ftm_tests::*;
use nix::libc;

/// One thread, so that a request's next one is known to run where it ran.
fn server(site: &Site, config: impl FnOnce(PoolConfig) -> PoolConfig, ini: &[&str]) -> Server {
    let config = ServerConfig::pool(config(PoolConfig::new("www").children(1)));
    Server::start(site, ini.iter().fold(config, |config, line| config.ini(line)))
}

/// A script that computes until `$seconds` of the thread's CPU time, or of the clock, have gone.
const BUSY: &str = r#"<?php
function busy(float $seconds, int $clock): void {
    $now = fn() => $clock ? hrtime(true) / 1e9 : (fn($u) => $u['ru_utime.tv_sec'] + $u['ru_stime.tv_sec'] + ($u['ru_utime.tv_usec'] + $u['ru_stime.tv_usec']) / 1e6)(getrusage(0));
    for ($end = $now() + $seconds; $now() < $end;) for ($i = 0; $i < 1000; $i++);
}
"#;

fn site() -> Site {
    let site = Site::new();
    site.file("sleep.php", "<?php set_time_limit(1); sleep(1); usleep(2000000); echo 'slept';");
    site.file("sleep-then-loop.php", "<?php set_time_limit(1); sleep(2); echo 'slept '; flush(); while (true);");
    site.file("function.php", "<?php set_time_limit(1); while (true) array_sum(range(1, 1000));");
    let again = "register_shutdown_function(function () { set_time_limit(1); echo 'again'; while (true); });";
    site.file("loop-twice.php", format!("<?php {again} set_time_limit(1); while (true);"));
    site.file("fiber.php", "<?php set_time_limit(1); (new Fiber(function () { while (true); }))->start();");
    site.file("leave-armed.php", "<?php set_time_limit(1); echo 'left';");
    site.file("busy.php", format!("{BUSY}busy($_GET['s'], $_GET['clock'] ?? 0); echo 'computed';"));
    site.file(
        "limited.php",
        format!("{BUSY}set_time_limit((int) $_GET['limit']); busy($_GET['s'], 0); echo 'computed';"),
    );
    site.file("slept.php", "<?php sleep(2); echo 'slept';");
    site.file("hello.php", "<?php echo 'hello';");
    site.file("post.php", "<?php echo strlen(file_get_contents('php://input')), json_encode($_POST);");
    site.file("sound.php", PHP_SOUND);
    site
}

const EXCEEDED: &str = "Maximum execution time of 1 second exceeded";

#[test]
fn waiting_is_not_execution_time() {
    let site = site();
    let server = server(&site, |pool| pool, &[]);
    let answer = server.get("/sleep.php");
    assert_eq!((answer.web().status, answer.text().as_str()), (200, "slept"));
}

#[test]
fn a_loop_that_computes_is_ended() {
    let site = site();
    let server = server(&site, |pool| pool, &["display_errors = 0"]);
    for (script, status, text) in [
        ("function.php", 500, ""),
        ("loop-twice.php", 500, "again"),
        ("fiber.php", 500, ""),
        ("sleep-then-loop.php", 200, "slept "),
    ] {
        let answer = server.get(&format!("/{script}"));
        assert_eq!((answer.web().status, answer.text().as_str()), (status, text), "{script}");
        assert!(answer.error_text().contains(EXCEEDED), "{script}: {:?}", answer.error_text());
        assert_eq!(server.get("/sound.php").text(), "sound", "after {script}");
    }
}

#[test]
fn max_execution_time_of_php_ini_counts_too() {
    let site = site();
    let server = server(&site, |pool| pool, &["max_execution_time = 1", "display_errors = 0"]);
    assert_eq!(server.get("/slept.php").text(), "slept");
    let answer = server.get("/busy.php?s=9");
    assert_eq!(answer.web().status, 500);
    assert!(answer.error_text().contains(EXCEEDED), "{:?}", answer.error_text());
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn a_limit_ends_with_its_request() {
    let site = site();
    let server = server(&site, |pool| pool, &["max_execution_time = 20", "max_input_time = 1"]);
    for first in ["/leave-armed.php", "/hello.php"] {
        server.get(first);
        // Longer than whatever could be left of a limit of the request before, on either clock.
        assert_eq!(server.get("/busy.php?s=1.2").text(), "computed", "after {first}");
    }
}

/// A timer that was set for a request goes off in a later one, which has its own time.
#[test]
fn each_request_has_all_of_its_time_and_no_more() {
    let site = site();
    let server = server(&site, |pool| pool, &["max_execution_time = 1", "display_errors = 0"]);
    for _ in 0..4 {
        assert_eq!(server.get("/busy.php?s=0.7").text(), "computed");
        let answer = server.get("/busy.php?s=9");
        assert!(answer.error_text().contains(EXCEEDED), "{:?}", answer.error_text());
    }
    // Shorter and longer limits, and none, over what is left of others.
    for (limit, seconds, text) in [(3, "1.7", "computed"), (1, "9", ""), (0, "1.7", "computed"), (2, "1.7", "computed")]
    {
        let answer = server.get(&format!("/limited.php?limit={limit}&s={seconds}"));
        assert_eq!(answer.text(), text, "{limit}: {:?}", answer.error_text());
    }
}

#[test]
fn the_clock_may_be_the_one_on_the_wall() {
    only_php_ftm!("max_execution_clock is php-ftm's own");
    let site = site();
    let server = server(&site, |pool| pool.set("max_execution_clock", "wall"), &["display_errors = 0"]);
    let answer = server.get("/sleep-then-loop.php");
    assert_eq!((answer.web().status, answer.text().as_str()), (500, ""), "{:?}", answer.error_text());
    assert!(answer.error_text().contains(EXCEEDED), "{:?}", answer.error_text());
    assert_eq!(server.get("/leave-armed.php").text(), "left");
    assert_eq!(server.get("/slept.php").text(), "slept");
    assert_eq!(server.get("/busy.php?s=1.2&clock=1").text(), "computed");
}

/// Sends the head of a POST of `length` bytes, without a body.
fn begin_post(site: &Site, conn: &mut Conn, uri: &str, length: usize) {
    let call =
        Call::post(site, uri, "application/x-www-form-urlencoded", "").param("CONTENT_LENGTH", length.to_string());
    conn.send(call.keep().encode_head(1));
}

/// Sends a byte of the body every 50 ms until an answer comes; returns it and how many bytes went out.
fn trickle(conn: &mut Conn) -> (fcgi::Answer, usize) {
    let mut other = Conn { stream: conn.stream.try_clone().expect("dup") };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                use std::io::Write;
                // The server may have closed the connection by now.
                if other.stream.write_all(&Record::new(kind::STDIN, 1, b"a".as_slice()).encode()).is_err() {
                    break;
                }
                sent += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            sent
        });
        let answer = conn.read_answer(1);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let sent = writer.join().expect("the writing thread");
        (answer.expect("an answer"), sent)
    })
}

#[test]
fn a_body_that_trickles_in_is_ended_by_max_input_time() {
    only_php_ftm!("php-fpm's max_input_time counts CPU time, so it never ends one");
    let site = site();
    let server = server(&site, |pool| pool, &["max_input_time = 2"]);
    let started = Instant::now();
    let mut conn = server.connect();
    begin_post(&site, &mut conn, "/post.php", 100_000);
    let (answer, sent) = trickle(&mut conn);
    assert_eq!(answer.web().status, 408);
    // It was the limit, not the first byte that ended it.
    assert!(started.elapsed() >= Duration::from_secs(2) && sent >= 10, "{sent} bytes were sent");
    server.wait_log("max_input_time");
    assert_eq!(server.get("/busy.php?s=1.2").text(), "computed");
}

#[test]
fn a_large_body_that_stalls_holds_no_thread_for_longer_than_max_input_time() {
    only_php_ftm!("php-fpm's max_input_time counts CPU time, so it never ends one");
    let site = site();
    let pool = |pool: PoolConfig| pool.set("request_body_buffer", "4K").set("request_body_min_rate", "0");
    let server = server(&site, pool, &["max_input_time = 2"]);
    // The script is not run with a part of its input.
    let mut conn = server.connect();
    begin_post(&site, &mut conn, "/post.php", 1_000_000);
    conn.send(Record::new(kind::STDIN, 1, vec![b'a'; 8192]).encode());
    let (answer, _) = trickle(&mut conn);
    assert_eq!(answer.web().status, 408, "{:?}", answer.text());
    assert_eq!(server.get("/busy.php?s=1.2").text(), "computed");
}

#[test]
fn a_body_that_keeps_coming_is_given_more_time() {
    only_php_ftm!("request_body_min_rate is php-ftm's own");
    let site = site();
    let server = server(&site, |pool| pool.set("request_body_min_rate", "1K"), &["max_input_time = 1"]);
    let mut conn = server.connect();
    // Some 2 KiB a tenth of a second, for longer than max_input_time alone would allow.
    begin_post(&site, &mut conn, "/post.php", 50 * 2048);
    let started = Instant::now();
    for _ in 0..50 {
        conn.send(Record::new(kind::STDIN, 1, vec![b'a'; 2048]).encode());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(started.elapsed() > Duration::from_secs(1));
    conn.send(end_of(kind::STDIN, 1));
    let answer = conn.answer(1);
    assert_eq!(answer.web().status, 200);
    assert!(answer.text().starts_with("102400"), "{}", answer.text());
}

/// Sends the signal of PHP's execution timers to each thread of a process, as only a stranger would.
fn signal_threads(pid: u32) {
    for thread in proc::threads(pid) {
        // SAFETY: a system call without pointers.
        unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, libc::SIGRTMIN()) };
    }
}

#[test]
fn a_timer_signal_from_a_stranger_does_no_harm() {
    only_php_ftm!("php-fpm has no thread timers");
    let site = site();
    let dir = site.writable("state");
    let script = format!(
        "{PHP_WAIT_FOR}set_time_limit(20); touch('{0}/runs'); wait_for('{0}/go'); echo 'finished';",
        dir.display()
    );
    site.file("wait.php", script);
    let pool = PoolConfig::new("www").children(2);
    let server = Server::start(&site, ServerConfig::pool(pool).ini("display_errors = 0"));
    server.meet(2);
    let workers = server.workers();
    let mut conn = server.connect();
    conn.send(Call::get(&site, "/wait.php").encode(1));
    eventually("a script runs", || dir.join("runs").exists());
    // One thread runs a script with a timer, the other one is idle.
    (0..3).for_each(|_| signal_threads(workers[0]));
    assert_eq!(server.get("/hello.php").text(), "hello");
    std::fs::write(dir.join("go"), "").expect("go");
    assert_eq!(conn.answer(1).text(), "finished");
    // The real ones still work, on both threads.
    server.meet(2);
    let mut loops: Vec<Conn> = (0..2).map(|_| server.connect()).collect();
    loops.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/function.php").encode(1)));
    for conn in &mut loops {
        let answer = conn.answer(1);
        assert!(answer.error_text().contains(EXCEEDED), "{:?}", answer.error_text());
    }
    assert_eq!(server.get("/sound.php").text(), "sound");
    assert_eq!(server.workers(), workers, "the process is the first one");
}

#[test]
fn an_extension_may_have_the_signal_of_the_timers_for_itself() {
    only_php_ftm!("php-fpm has no thread timers");
    let site = site();
    site.file(
        "handlers.php",
        "<?php foreach (['own', 'ask', 'ignore', 'default', 'ask'] as $what) echo ftmlibc_timer_signal($what), ', ';",
    );
    site.file("loop.php", "<?php ftmlibc_timer_signal($_GET['what']); while (true);");
    let extension = extension::build("ftmlibc").display().to_string();
    let pool = PoolConfig::new("www").children(1).set("php_admin_value[extension]", &extension);
    let config = ServerConfig::pool(pool).ini("max_execution_time = 1").ini("display_errors = 0");
    let server = Server::start(&site, config);
    let workers = server.workers();
    for what in ["own", "ignore", "default"] {
        assert_eq!(server.get("/handlers.php").text(), "another 1, own 1, own 0, ignore 0, default 0, ");
        let answer = server.get(&format!("/loop.php?what={what}"));
        assert!(answer.error_text().contains(EXCEEDED), "{what}: {:?}", answer.error_text());
    }
    assert_eq!(server.workers(), workers, "the process is the first one");
}

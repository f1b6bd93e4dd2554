//! `request_terminate_timeout`: whatever a script does, its time ends.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

fn pool() -> PoolConfig {
    PoolConfig::new("www").children(3).set("request_terminate_timeout", "1s")
}

/// Scripts that would take far longer than any test waits.
const STUCK: &[(&str, &str)] = &[
    ("sleep", "sleep(600);"),
    ("usleep", "while (true) usleep(100000);"),
    ("loop", "set_time_limit(0); while (true) { $x = 1; }"),
    ("calls", "set_time_limit(0); function f() { return 1; } while (true) f();"),
    ("flock", "$a = fopen(__FILE__, 'r'); flock($a, LOCK_EX); $b = fopen(__FILE__, 'r'); flock($b, LOCK_EX);"),
    ("socket", "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($a, 1);"),
    (
        "select",
        "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); $r = [$a]; $w = $e = [];
        while (true) stream_select($r, $w, $e, 600);",
    ),
    ("server", "$s = stream_socket_server('tcp://127.0.0.1:0'); stream_socket_accept($s, 600);"),
    (
        "http",
        "$s = stream_socket_server('tcp://127.0.0.1:0'); file_get_contents('http://' . stream_socket_get_name($s, false));",
    ),
    (
        "curl",
        "$s = stream_socket_server('tcp://127.0.0.1:0'); $c = curl_init('http://' . stream_socket_get_name($s, false));
        curl_exec($c);",
    ),
    ("shell", "shell_exec('sleep 600');"),
    ("proc_open", "$p = proc_open('sleep 600', [1 => ['pipe', 'w']], $pipes); stream_get_contents($pipes[1]);"),
    (
        "ignored",
        "ignore_user_abort(true); set_time_limit(0); try { while (true) usleep(50000); } finally { echo 'x'; }",
    ),
    ("caught", "while (true) { try { sleep(600); } catch (Throwable) {} }"),
    ("shutdown", "register_shutdown_function(function () { sleep(600); });"),
    ("destructor", "class D { function __destruct() { sleep(600); } } $d = new D;"),
    ("buffer", "ob_start(function ($s) { sleep(600); return $s; }); echo 'x';"),
    ("fiber", "$f = new Fiber(function () { while (true) sleep(600); }); $f->start();"),
];

#[test]
fn every_way_to_hang_is_ended() {
    only_php_ftm!("php-fpm kills the process, and the client gets no end");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    for (name, script) in STUCK {
        site.file(&format!("{name}.php"), format!("<?php {script}"));
    }
    let config = pool().set("request_terminate_timeout_track_finished", "yes");
    let server = Server::start(&site, ServerConfig::pool(config));
    let before = server.workers();
    for (name, _) in STUCK {
        let answer = server.get(&format!("/{name}.php"));
        // Output may have been sent before; what has an end is whole.
        assert_eq!(answer.protocol_status, fcgi::REQUEST_COMPLETE, "{name}");
        assert_ne!(answer.app_status, 0, "{name}: {}", answer.text());
        assert_eq!(server.get("/hello.php").text(), "hello", "after {name}");
    }
    assert_eq!(server.workers(), before, "the same process");
    let log = server.log();
    assert!(log.contains("Maximum request time of 1 second exceeded (request_terminate_timeout)"), "{log}");
    assert!(log.contains("/sleep.php' (request: \"GET /sleep.php\") execution timed out (1."), "{log}");
    // All slots serve again.
    let load = Load::start(6, server.address(), &Call::get(&site, "/hello.php"), |answer| answer.text() == "hello");
    load.wait_for(100);
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    server.stop();
}

#[test]
fn the_client_gets_a_504_and_shutdown_functions_run() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    let done = site.writable("dir").join("done");
    let script =
        format!("register_shutdown_function(fn() => file_put_contents('{}', 'x')); sleep(600);", done.display());
    site.file("slow.php", format!("<?php {script}"));
    for errors in ["display_errors = 0", "display_errors = 1"] {
        let server = Server::start(&site, ServerConfig::pool(pool()).ini(errors));
        let answer = server.get("/slow.php");
        assert_eq!(answer.web().status, 504, "{errors}: {:?}", String::from_utf8_lossy(&answer.stdout));
        fs::remove_file(&done).expect("the shutdown function ran");
        server.stop();
    }
}

#[test]
fn requests_beside_it_and_after_it_are_not_hit() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file("stuck.php", "<?php sleep(600);");
    site.file(
        "work.php",
        "<?php usleep(30000); [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        fwrite($b, 'x'); echo fread($a, 1), shell_exec('echo -n y'), usleep(1000) ?? 'z';",
    );
    // Time enough for the others, also where the machine has little.
    let pool = pool().children(6).set("request_terminate_timeout", "3s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let load = Load::start(4, server.address(), &Call::get(&site, "/work.php"), |answer| answer.text() == "xyz");
    for _ in 0..3 {
        assert_ne!(server.get("/stuck.php").app_status, 0);
    }
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0 && outcome.answered > 50, "{outcome:?}");
    server.stop();
}

#[test]
fn finished_requests_are_left_alone_unless_they_are_tracked() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    let dir = site.writable("dir");
    let script = "<?php fastcgi_finish_request(); $n = sleep(3); file_put_contents('DIR/' . $_GET['n'], \"left $n\");";
    site.file("long.php", script.replace("DIR", &dir.display().to_string()));
    for (tracked, name) in [("no", "untracked"), ("yes", "tracked")] {
        let config = pool().set("request_terminate_timeout_track_finished", tracked);
        let server = Server::start(&site, ServerConfig::pool(config));
        server.get(&format!("/long.php?n={name}"));
        if tracked == "yes" {
            server.wait_log("execution timed out");
        }
        server.stop();
    }
    assert!(!dir.join("tracked").exists());
    assert_eq!(fs::read_to_string(dir.join("untracked")).expect("the script ran to its end"), "left 0");
}

/// A search that takes longer than any test, inside C code.
const STUCK_IN_C: &str = "<?php ini_set('pcre.jit', 0); ini_set('pcre.backtrack_limit', '4000000000');
    if (isset($_GET['begun'])) { echo str_repeat('x', 100000); flush(); }
    preg_match('/^(a+)+$/', str_repeat('a', 60) . 'b'); echo 'never';";

#[test]
fn a_thread_that_is_stuck_in_c_gives_its_place_to_another() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file("stuck.php", STUCK_IN_C);
    site.file("figures.php", "<?php echo ftm_get_status()['abandoned-threads'], fpm_get_status()['total-processes'];");
    let pool = pool().children(1).set("force_kill_deadline", "1s").set("access.log", "{room}/access.log");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let before = server.workers();
    let answer = server.get("/stuck.php");
    assert_eq!((answer.web().status, answer.app_status), (504, 1), "{}", answer.text());
    assert_eq!(server.get("/figures.php").text(), "11");
    let answer = server.get("/stuck.php?begun=1");
    assert_eq!((answer.web().body.len(), answer.app_status), (100_000, 1));
    assert_eq!(server.get("/figures.php").text(), "21");
    assert_eq!(server.workers(), before, "the same process");
    assert!(server.log().contains("/stuck.php?begun=1\") does not end (2."), "{}", server.log());
    server.stop();
}

#[test]
fn a_process_with_too_many_stuck_threads_is_replaced() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file("stuck.php", STUCK_IN_C);
    site.file("quick.php", "<?php usleep(20000); echo 'quick';");
    let pool = pool().set("force_kill_deadline", "1s").set("max_abandoned_threads", "2");
    let server = Server::start(&site, ServerConfig::pool(pool.children(4)));
    let before = server.workers();
    let quick = Call::get(&site, "/quick.php").keep();
    let load = Load::start(2, server.address(), &quick, |answer| answer.text() == "quick");
    for _ in 0..2 {
        assert_eq!(server.get("/stuck.php").web().status, 504);
    }
    eventually("another process serves", || server.workers().len() == 1 && server.workers() != before);
    load.wait_for(10);
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    server.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_thread_that_is_stuck() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file("stuck.php", STUCK_IN_C);
    let pool = pool().children(1).set("force_kill_deadline", "1s").set("pm.status_path", "/status");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut conn = server.connect();
    conn.send(Call::get(&site, "/stuck.php").encode(1));
    eventually("it runs", || server.get("/status?full").text().contains("stuck.php"));
    drop(conn);
    server.stop();
}

//! Sessions after requests that end badly: no lock stays.

use ftm_tests::fcgi::Call;
use ftm_tests::*;

const HANDLER: &str = "<?php
class Handler extends SessionHandler {
    function read(string $id): string { if ($_GET['in'] === 'read') ($_GET['how'])(); return parent::read($id); }
    function write(string $id, string $data): bool { if ($_GET['in'] === 'write') ($_GET['how'])(); return parent::write($id, $data); }
    function close(): bool { if ($_GET['in'] === 'close') ($_GET['how'])(); return parent::close(); }
}
function fatal() { undefined_function(); }
function thrown() { throw new Exception('thrown'); }
function memory() { ini_set('memory_limit', '4M'); str_repeat('x', 1 << 24); }
function triggered() { trigger_error('triggered', E_USER_ERROR); }
function slow() { while (true) usleep(10000); }
function leave() { exit; }
if ($_GET['user'] ?? false) session_set_save_handler(new Handler, $_GET['user'] === 'registered');
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
if ($_GET['in'] === 'script') ($_GET['how'])();
session_write_close();
echo 'done';";

#[test]
fn no_lock_stays_whatever_ends_a_request() {
    only_php_ftm!("php-fpm keeps the locks of user handlers, as long as its worker lives");
    let site = Site::new();
    site.file("session.php", HANDLER);
    let dir = site.writable("sessions");
    let pool = PoolConfig::new("www")
        .children(2)
        .set("php_admin_value[session.save_path]", &dir.display().to_string())
        .set("request_terminate_timeout", "1s")
        .set("request_terminate_timeout_track_finished", "yes");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let ask = |query: &str| {
        server.call(&Call::get(&site, &format!("/session.php?{query}")).param("HTTP_COOKIE", "PHPSESSID=one")).text()
    };
    assert_eq!(ask("in=nowhere"), "done");
    let before = server.counts();
    for user in ["", "user=registered&", "user=yes&"] {
        for place in ["script", "read", "write", "close"] {
            for how in ["fatal", "thrown", "memory", "triggered", "leave", "slow"] {
                if user.is_empty() && place != "script" {
                    continue;
                }
                let bad = ask(&format!("{user}in={place}&how={how}"));
                assert!(!bad.ends_with("done") || place == "close", "{user}{place} {how}: {bad}");
                // The lock is there, or this would wait for it until its own time is up.
                assert_eq!(ask("in=nowhere"), "done", "after {user}{place} {how}");
            }
        }
    }
    server.wait_nothing_lost(&before);
    server.stop();
}

#[test]
fn who_waits_for_a_lock_is_ended_and_does_not_break_it() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    let dir = site.writable("sessions");
    let script = "session_start(); $_SESSION['by'] = 'holder'; fastcgi_finish_request(); touch($_GET['dir'] . '/begun'); wait_for($_GET['dir'] . '/go');";
    site.file("hold.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("wait.php", "<?php session_start(); $_SESSION['by'] = 'waiter'; echo 'got it';");
    site.file("who.php", "<?php session_start(); echo $_SESSION['by'] ?? 'nobody';");
    let pool = PoolConfig::new("www")
        .children(3)
        .set("php_admin_value[session.save_path]", &dir.display().to_string())
        .set("request_terminate_timeout", "1s")
        .set("force_kill_deadline", "20s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let ask = |uri: &str| server.call(&Call::get(&site, uri).param("HTTP_COOKIE", "PHPSESSID=one"));
    ask(&format!("/hold.php?dir={}", dir.display()));
    eventually("the session is locked", || dir.join("begun").exists());
    assert_eq!(ask("/wait.php").web().status, 504);
    std::fs::write(dir.join("go"), "").expect("go");
    assert_eq!(ask("/who.php").text(), "holder");
    assert!(!server.log().contains("does not end"), "{}", server.log());
    server.stop();
}

//! Sessions after requests that end badly: no lock stays.

use ftm_tests::fcgi::Call;
use ftm_tests::*;

const REST: &str = "
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
if ($_GET['in'] === 'script') ($_GET['how'])();
session_write_close();
echo 'done';";

#[test]
fn no_lock_stays_whatever_ends_a_request() {
    only_php_ftm!("php-fpm keeps the locks of user handlers, as long as its worker lives");
    let site = Site::new();
    site.file("session.php", format!("{PHP_SESSION}{REST}"));
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
    for handler in ["", "handler=registered&", "handler=yes&"] {
        for place in ["script", "read", "write", "close"] {
            for how in ["fatal", "thrown", "memory", "triggered", "leave", "slow"] {
                if handler.is_empty() && place != "script" {
                    continue;
                }
                let bad = ask(&format!("{handler}in={place}&how={how}"));
                assert!(!bad.ends_with("done") || place == "close", "{handler}{place} {how}: {bad}");
                // The lock is there, or this would wait for it until its own time is up.
                assert_eq!(ask("in=nowhere"), "done", "after {handler}{place} {how}");
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

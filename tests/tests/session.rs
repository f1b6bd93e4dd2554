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

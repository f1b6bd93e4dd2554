//! Sessions whose requests end badly: their locks go, and nobody gets another one's data.

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Outcome, World, ask, wrong};

const SCRIPT: &str = "<?php
class Handler extends SessionHandler {
    function read(string $id): string { if ($_GET['in'] === 'read') ($_GET['how'])(); return parent::read($id); }
    function write(string $id, string $data): bool { if ($_GET['in'] === 'write') ($_GET['how'])(); return parent::write($id, $data); }
    function close(): bool { if ($_GET['in'] === 'close') ($_GET['how'])(); return parent::close(); }
}
function fatal() { undefined_function(); }
function thrown() { throw new Exception('thrown'); }
function memory() { ini_set('memory_limit', '4M'); str_repeat('x', 1 << 24); }
function triggered() { trigger_error('triggered', E_USER_ERROR); }
function leave() { exit; }
if ($_GET['handler'] ?? false) session_set_save_handler(new Handler, $_GET['handler'] === 'registered');
session_start();
if (($_SESSION['of'] ?? $_GET['of']) !== $_GET['of']) exit('a session of ' . $_SESSION['of']);
$_SESSION['of'] = $_GET['of'];
if ($_GET['in'] === 'script') ($_GET['how'])();
session_write_close();
echo 'done';";

pub fn write(site: &Site) {
    site.file("session.php", SCRIPT);
}

/// A request that ends badly, and one after it that needs the lock.
pub fn session(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let id = format!("soak{:016x}", rng.next_u64());
    let ask = |query: &str| {
        let call = Call::get(&world.site, &format!("/session.php?of={id}&{query}"));
        ask(address, &call.param("HTTP_COOKIE", format!("PHPSESSID={id}")))
    };
    let handler = ["", "handler=registered&", "handler=yes&"][rng.below(3)];
    let place = if handler.is_empty() { "script" } else { ["script", "read", "write", "close"][rng.below(4)] };
    let how = ["fatal", "thrown", "memory", "triggered", "leave"][rng.below(5)];
    let bad = ask(&format!("{handler}in={place}&how={how}"))?;
    if String::from_utf8_lossy(&bad.stdout).contains("a session of") {
        return Err(wrong("another one's session", &bad));
    }
    for _ in 0..2 {
        let good = ask("in=nowhere")?;
        if !good.stdout.ends_with(b"\r\n\r\ndone") {
            return Err(wrong(&format!("after {handler}{place} {how}"), &good));
        }
    }
    // The files would be the only thing that grows.
    let _ = std::fs::remove_file(world.site.dir().join("sessions").join(format!("sess_{id}")));
    Ok(())
}

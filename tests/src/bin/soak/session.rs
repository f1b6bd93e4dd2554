//! Sessions whose requests end badly: their locks go, and nobody gets another one's data.

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, PHP_SESSION, Rng, Site};

use crate::world::{Outcome, World, ask, wrong};

const REST: &str = "
if (($_SESSION['of'] ?? $_GET['of']) !== $_GET['of']) exit('a session of ' . $_SESSION['of']);
$_SESSION['of'] = $_GET['of'];
if ($_GET['in'] === 'script') ($_GET['how'])();
session_write_close();
echo 'done';";

pub fn write(site: &Site) {
    site.file("session.php", format!("{PHP_SESSION}{REST}"));
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

//! Tables of small scripts that end in one way or another, with what each answers.

use crate::server::{PoolConfig, Server, ServerConfig};
use crate::site::Site;
use crate::sound::{PHP_SOUND, PHP_SPOIL};

/// A script, and what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    name: &'static str,
    status: u16,
    text: &'static str,
    code: &'static str,
}

/// One row of a table: the status and the body that `code` (without `<?php`) answers with.
pub const fn script(name: &'static str, status: u16, text: &'static str, code: &'static str) -> Script {
    Script { name, status, text, code }
}

/// Runs the scripts one after the other on one thread, twice, each of them also behind a script that changes all it
/// can. The request after each is unharmed, and no process is lost. Their errors are not shown (`display_errors = 0`).
#[track_caller]
pub fn check_scripts(site: &Site, scripts: &[Script]) {
    site.file("sound.php", PHP_SOUND);
    for Script { name, code, .. } in scripts {
        site.file(&format!("{name}.php"), format!("<?php {code}"));
        site.file(&format!("{name}-spoilt.php"), format!("{}<?php {code}", PHP_SPOIL.trim_end()));
    }
    let config = ServerConfig::pool(PoolConfig::new("www").children(1)).ini("display_errors = 0");
    let server = Server::start(site, config.ini("memory_limit = 64M"));
    let mut wrong = Vec::new();
    for _ in 0..2 {
        for Script { name, status, text, .. } in scripts {
            let answer = server.get(&format!("/{name}.php"));
            let got = (answer.web().status, answer.text());
            if (got.0, got.1.as_str()) != (*status, *text) {
                wrong.push(format!("{name}: {got:?}, not {status} {text:?}: {}", answer.error_text()));
            }
            assert_eq!(server.get("/sound.php").text(), "sound", "after {name}");
            // With error handlers and a changed state of everything the answer may be another one; the next one may not.
            server.get(&format!("/{name}-spoilt.php"));
            assert_eq!(server.get("/sound.php").text(), "sound", "after {name}, spoilt");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

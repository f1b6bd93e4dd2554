//! Waiting for conditions, skipping, and keeping heavy tests apart.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// How long a condition may take before a test gives up on it. It bounds a hang; no test measures it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Polls `condition` until it holds; panics with `what` at the deadline.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let found = eventually_some(DEADLINE, || condition().then_some(()));
    assert!(found.is_some(), "not within {DEADLINE:?}: {what}");
}

/// Polls `probe` until it returns something, or `deadline` has passed.
pub fn eventually_some<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Holds back other heavy tests (of this and other test binaries) while the returned guard lives.
pub fn heavy() -> impl Drop {
    let path = std::env::temp_dir().join(format!("ftm-tests-{}.lock", nix::unistd::getuid()));
    let file = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Flock::lock(file, FlockArg::LockExclusive).unwrap_or_else(|(_, e)| panic!("lock {}: {e}", path.display()))
}

/// Says on the terminal, past the test runner's capture, that something is skipped and why.
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}").expect("stderr");
}

/// Ends the test, loudly, if the server under test is not php-ftm.
#[macro_export]
macro_rules! only_php_ftm {
    ($why:expr) => {
        if $crate::Kind::under_test() != $crate::Kind::PhpFtm {
            $crate::wait::skipped(concat!("php-ftm only: ", $why));
            return;
        }
    };
}

/// The start of a PHP script that may wait for a file which the test, or another script, makes: `wait_for($path)`. It
/// gives up with an error after [`DEADLINE`].
pub const PHP_WAIT_FOR: &str = r#"<?php
function wait_for(string $file): void {
    for ($i = 0; !file_exists($file); $i++) {
        if ($i > 6000) { http_response_code(504); exit("no $file"); }
        usleep(5000);
        clearstatcache();
    }
}
"#;

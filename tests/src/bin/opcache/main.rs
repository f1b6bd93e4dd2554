//! opcache restarts under full load: what that costs the requests beside. Started by `scripts/opcache`.
//!
//! ```text
//!  undisturbed  the load alone: what is normal (a minute at most)
//!  reset        the same, and opcache_reset() 20 times a second
//!  overflow     the same in a cache of 8 MiB, which is less than the scripts need; they change all the time
//! ```
//!
//! Each has a server of its own, with the JIT. Scripts check what they get from the cache.

mod measured;
mod phase;

use std::process::ExitCode;
use std::time::Duration;

use ftm_tests::Kind;

use measured::Measured;
use phase::Phase;

/// The longest that the load runs alone.
const UNDISTURBED: Duration = Duration::from_secs(60);

/// 99 of 100 requests are to be done in less than so many times what is normal.
const MOST: f64 = 10.0;

fn main() -> ExitCode {
    let time = match time(std::env::args().skip(1)) {
        Ok(time) => time,
        Err(message) => {
            eprintln!("opcache: {message}");
            return ExitCode::from(2);
        }
    };
    let (major, minor) = Kind::PhpFtm.php_version();
    println!("PHP {major}.{minor}, {} threads, {} clients", phase::THREADS, phase::CLIENTS);
    println!("{}", Measured::HEAD);
    let normal = phase::run(Phase::Undisturbed, time.min(UNDISTURBED));
    println!("{normal}");
    let mut wrong = normal.wrong(false);
    for phase in [Phase::Reset, Phase::Overflow] {
        let measured = phase::run(phase, time);
        let ratio = measured.p99().as_secs_f64() / normal.p99().as_secs_f64();
        println!("{measured} {ratio:8.1}");
        wrong.extend(measured.wrong(true));
        if ratio.is_nan() || ratio >= MOST {
            wrong.push(format!("{}: 99 of 100 requests took {ratio:.1} times what is normal", phase.name()));
        }
    }
    wrong.iter().for_each(|what| println!("BAD: {what}"));
    if wrong.is_empty() {
        println!("no request failed, no process was lost, and opcache did restart");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// Reads `[--minutes N]`.
fn time(mut words: impl Iterator<Item = String>) -> Result<Duration, String> {
    let Some(word) = words.next() else { return Ok(Duration::from_secs(5 * 60)) };
    let value = words.next().unwrap_or_default();
    match (word.as_str(), value.parse::<u64>(), words.next()) {
        ("--minutes", Ok(n), None) if n > 0 => Ok(Duration::from_secs(n * 60)),
        _ => Err(format!("{word} {value}: want --minutes N")),
    }
}

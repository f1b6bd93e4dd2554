//! Whether it went well.

use ftm_tests::Server;

use crate::arguments::Arguments;
use crate::figures::Sample;
use crate::isolation::secrets;
use crate::mix::Counts;

/// The last third's memory may be larger than the first third's by that much of it, and so many bytes: what the allocator
/// does not give back differs from moment to moment.
const MEMORY_PART: f64 = 0.05;
const MEMORY_BYTES: f64 = 4.0 * 1024.0 * 1024.0;

/// Prints the outcome; true if there is nothing to complain of.
pub fn pronounce(arguments: &Arguments, samples: &[Sample], outcome: &Counts, server: &Server) -> bool {
    println!("\nseed {}, {} requests:", arguments.seed, outcome.all());
    for (kind, (done, failed)) in &outcome.kinds {
        println!("  {kind:12} {:8} {failed:6} failed", done + failed);
    }
    let mut fine = true;
    let mut check = |right: bool, what: String| {
        println!("{} {what}", if right { "ok:  " } else { "BAD: " });
        fine &= right;
    };
    check(outcome.failed() == 0 && outcome.failures.is_empty(), format!("{} failures", outcome.failed()));
    let (log, mut lines) = (server.log(), server.alarms());
    lines.extend(log.lines().filter(|line| lost(line) || mixed(line)).map(str::to_owned));
    lines.truncate(5);
    check(lines.is_empty(), format!("the log is clean {lines:#?}"));
    let steady: Vec<&Sample> = samples.iter().filter(|sample| sample.steady).collect();
    let third = steady.len() / 3;
    if third == 0 {
        check(false, format!("{} samples are too few to tell whether anything grows", steady.len()));
        return fine;
    }
    let (first, last) = (&steady[..third], &steady[steady.len() - third..]);
    for (name, figure) in MEMORY {
        let (before, after) = (median(first, figure), median(last, figure));
        let most = before * (1.0 + MEMORY_PART) + MEMORY_BYTES;
        let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1024.0 / 1024.0);
        let figures = format!("{} in the first third, {} in the last, {} allowed", mib(before), mib(after), mib(most));
        check(after <= most, format!("{name}: {figures}"));
    }
    for (name, figure) in HELD {
        let (before, after) = (median(first, figure), last.iter().map(|sample| figure(sample)).min().unwrap_or(0));
        check(after as f64 <= before, format!("{name}: {before} in the first third, down to {after} in the last"));
    }
    let same = steady.iter().all(|sample| sample.process == steady[0].process);
    check(same, "one process served all the time".to_owned());
    fine
}

/// A figure of a sample.
type Figure = fn(&Sample) -> u64;

const MEMORY: [(&str, Figure); 2] = [("RSS", |sample| sample.rss), ("PSS", |sample| sample.pss)];

/// What varies with what has not quite ended, so that only what is never given back tells.
const HELD: [(&str, Figure); 2] =
    [("threads", |sample| sample.held.threads as u64), ("descriptors", |sample| sample.held.fds as u64)];

fn median(samples: &[&Sample], figure: fn(&Sample) -> u64) -> f64 {
    let mut all: Vec<u64> = samples.iter().map(|sample| figure(sample)).collect();
    all.sort_unstable();
    all[all.len() / 2] as f64
}

/// Whether the pool ends in which nothing crashes.
fn lost(line: &str) -> bool {
    line.contains("[pool sound] child ") && line.contains(" exited ") && !line.contains("with code 0")
}

/// Whether one request speaks under the name of another one.
fn mixed(line: &str) -> bool {
    secrets(line).len() > 1
}

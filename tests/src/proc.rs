//! What /proc says about processes: trees, memory, descriptors, threads.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::eventually;

/// `pid` and all its descendants that exist at this moment.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        found.extend(children(found[at]));
        at += 1;
    }
    found
}

/// The child processes of `pid`, of whichever of its threads.
pub fn children(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    for task in threads(pid) {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
        all.extend(list.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
    }
    all
}

/// The thread ids of `pid`; empty if there is no such process.
pub fn threads(pid: u32) -> Vec<u32> {
    numbered_entries(&format!("/proc/{pid}/task"))
}

/// Stops `pid`: when this returns, none of its threads runs. SIGCONT lets it go on.
pub fn stop(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGSTOP).expect("SIGSTOP");
    eventually("it has stopped", || {
        threads(pid).iter().all(|thread| state(&format!("/proc/{pid}/task/{thread}/stat")) == Some('T'))
    });
}

/// The state in a file like `/proc/PID/stat`.
fn state(file: &str) -> Option<char> {
    fs::read_to_string(file).ok()?.rsplit_once(')')?.1.trim_start().chars().next()
}

/// How many descriptors `pid` has open.
pub fn fd_count(pid: u32) -> usize {
    numbered_entries(&format!("/proc/{pid}/fd")).len()
}

/// What the descriptors of `pid` point to, as `readlink` shows it; sorted.
pub fn fds(pid: u32) -> Vec<String> {
    let mut all: Vec<String> = numbered_entries(&format!("/proc/{pid}/fd"))
        .into_iter()
        .filter_map(|fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// How much of the system a process tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Processes.
    pub processes: usize,
    /// Threads of all of them.
    pub threads: usize,
    /// Open descriptors of all of them.
    pub fds: usize,
}

impl Counts {
    /// Counts what `pid` and its descendants hold at this moment.
    pub fn of_tree(pid: u32) -> Self {
        let tree = tree(pid);
        let threads = tree.iter().map(|&pid| threads(pid).len()).sum();
        Self { processes: tree.len(), threads, fds: tree.into_iter().map(fd_count).sum() }
    }

    /// Whether nothing was lost (as many processes and threads) and nothing leaked (no more descriptors) since
    /// `before`. Fewer descriptors are no loss: `before` may have counted a connection that was about to close.
    pub fn within(&self, before: &Self) -> bool {
        self.processes == before.processes && self.threads == before.threads && self.fds <= before.fds
    }
}

/// Proportional set size of one process, bytes: shared pages count in parts, so that sums over processes are true.
pub fn pss(pid: u32) -> u64 {
    kib_line(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Resident set size of one process, bytes.
pub fn rss(pid: u32) -> u64 {
    kib_line(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Proportional set size of `pid` and its descendants together, bytes.
pub fn tree_pss(pid: u32) -> u64 {
    tree(pid).into_iter().map(pss).sum()
}

/// Resident set size of `pid` and its descendants together, bytes.
pub fn tree_rss(pid: u32) -> u64 {
    tree(pid).into_iter().map(rss).sum()
}

/// CPU time (user and system) that `pid` has used, in clock ticks.
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold blanks: count from behind it. utime and stime are fields 14 and 15.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// Whether `pid` exists and is no zombie.
pub fn alive(pid: u32) -> bool {
    state(&format!("/proc/{pid}/stat")).is_some_and(|state| !['Z', 'X'].contains(&state))
}

fn kib_line(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(|v| v.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn numbered_entries(dir: &str) -> Vec<u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

//! What the server takes, while it has nothing to do.

use std::fmt;
use std::time::Duration;

use ftm_tests::proc::{self, Counts as Held};
use ftm_tests::{Server, wait};

use crate::mix::Counts;

/// How long what is left of the requests may take to go: threads that were left to themselves, programs, connections.
const SETTLE: Duration = Duration::from_secs(20);

/// One look at the server.
pub struct Sample {
    pub at: Duration,
    /// No reload comes any more.
    pub steady: bool,
    /// Resident and proportional size of the process of the pool that does not crash, bytes.
    pub rss: u64,
    pub pss: u64,
    /// The process whose size it is.
    pub process: u32,
    /// Of master and pools.
    pub held: Held,
    /// Programs that should not be there any more.
    pub programs: Vec<String>,
    pub counts: Counts,
}

impl Sample {
    /// The line above the samples.
    pub const HEAD: &str = "  time  requests  failed |  process  RSS KiB  PSS KiB | processes  threads  fds";

    /// Looks at the server, once it has settled: its pools have so many `threads` each.
    pub fn take(server: &Server, threads: usize, at: Duration, steady: bool, counts: Counts) -> Self {
        let _ = wait::eventually_some(SETTLE, || settled(server, threads).then_some(()));
        let process = process(server);
        let (rss, pss) = (proc::rss(process), proc::pss(process));
        Self { at, steady, rss, pss, process, held: server.counts(), programs: programs(server), counts }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:3}:{:02}  {:8}  {:6} | {:8} {:8} {:8} | {:9} {:8} {:4}{} {}",
            self.at.as_secs() / 60,
            self.at.as_secs() % 60,
            self.counts.all(),
            self.counts.failed(),
            self.process,
            self.rss / 1024,
            self.pss / 1024,
            self.held.processes,
            self.held.threads,
            self.held.fds,
            if self.steady { "" } else { "  storm" },
            self.programs.join(", ")
        )
    }
}

/// The process of the first pool.
fn process(server: &Server) -> u32 {
    let named = |pid: &u32| {
        let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&title).contains("pool sound")
    };
    server.workers().into_iter().find(named).unwrap_or_default()
}

/// Whether each pool is one process with its main thread and its PHP threads, and no program runs.
fn settled(server: &Server, threads: usize) -> bool {
    let pools = server.workers();
    pools.len() == 2
        && pools.iter().all(|&pool| proc::threads(pool).len() == 1 + threads && proc::children(pool).is_empty())
}

/// Programs that the pools have started and that have not ended.
fn programs(server: &Server) -> Vec<String> {
    let children = server.workers().into_iter().flat_map(proc::children);
    let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    children.map(|pid| stat(pid).split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect()
}

//! What a phase has shown.

use std::fmt;
use std::time::Duration;

use ftm_tests::load::Outcome;

/// Figures of a phase.
pub struct Measured {
    pub name: &'static str,
    pub time: Duration,
    /// The requests that are measured.
    pub load: Outcome,
    /// opcache_reset() and what became of it, where that was called.
    pub resets: Option<Outcome>,
    /// Restarts that opcache has counted: by opcache_reset(), and for lack of memory or room for names.
    pub by_hand: u64,
    pub by_need: u64,
    /// Whether the JIT was on.
    pub jit: bool,
    /// The same process has served all the time.
    pub same_process: bool,
    /// Lines of the log that should not be there.
    pub alarms: Vec<String>,
}

impl Measured {
    /// The line above them.
    pub const HEAD: &str = "phase         seconds  requests  failed  resets  restarts (by hand, by need)   p50 ms   p99 ms   max ms  p99/normal";

    /// The time within which 99 of 100 requests were done.
    pub fn p99(&self) -> Duration {
        self.load.times.within(990)
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        [&self.load].into_iter().chain(&self.resets)
    }

    fn failed(&self) -> usize {
        self.outcomes().map(|outcome| outcome.broken + outcome.failures.len()).sum()
    }

    /// What is to be complained of. `restarts`: whether there are to be any.
    pub fn wrong(&self, restarts: bool) -> Vec<String> {
        let counted = self.by_hand + self.by_need;
        let first = self.outcomes().flat_map(|outcome| outcome.failures.first()).next();
        let checks = [
            (self.failed() == 0, format!("{} requests failed, such as {first:?}", self.failed())),
            (self.load.answered > 0, "no request was answered".to_owned()),
            (self.jit, "the JIT is off".to_owned()),
            ((counted > 0) == restarts, format!("opcache has restarted {counted} times")),
            (self.same_process, "another process serves than at the start".to_owned()),
            (self.alarms.is_empty(), format!("the log: {:#?}", self.alarms)),
        ];
        let wrong = checks.into_iter().filter(|(right, _)| !right);
        wrong.map(|(_, what)| format!("{}: {what}", self.name)).collect()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [500, 990, 1000].map(|part| self.load.times.within(part).as_secs_f64() * 1000.0);
        write!(
            f,
            "{:12} {:8} {:9} {:7} {:7} {:9} {:18} {:17.1} {p99:8.1} {max:8.1}",
            self.name,
            self.time.as_secs(),
            self.load.answered,
            self.failed(),
            self.resets.as_ref().map_or(0, |resets| resets.answered),
            self.by_hand + self.by_need,
            format!("({}, {})", self.by_hand, self.by_need),
            p50,
        )
    }
}

//! How many threads a pool has: `pm`. Decisions only, from figures; [`super::threads`] carries them out.
//!
//! PHP-FPM looks once a second and starts processes in growing steps, because a process is dear. A thread boots in less
//! than a millisecond, so where a request waits and none is idle one is booted at once, whatever `pm` is. What happens once
//! a second is PHP-FPM's: keeping spare threads, giving back those that are too many, and its warnings.

use std::time::Duration;

use ftm_config::ProcessManager;

/// From this rate on PHP-FPM warns that the pool is busy.
const BUSY_RATE: usize = 8;

/// The pool as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Threads, those that boot included.
    pub threads: usize,
    /// Threads that boot.
    pub booting: usize,
    /// Threads that wait for a request.
    pub idle: usize,
    /// Requests that wait for a thread.
    pub queued: usize,
    /// Threads that have been idle for longer than `pm.process_idle_timeout`.
    pub expired: usize,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// So many threads are to be booted.
    pub boot: usize,
    /// So many idle threads are to leave.
    pub retire: usize,
    /// The pool needs more threads than it may have: counts as "max children reached".
    pub reached: bool,
    /// PHP-FPM's warning, without the pool's name.
    pub warning: Option<String>,
}

/// Decides, and remembers what it said.
#[derive(Clone, Debug)]
pub struct Sizing {
    manager: ProcessManager,
    most: usize,
    rate: usize,
    /// The limit was reached, which was said.
    warned: bool,
}

impl Sizing {
    /// `most` is `pm.max_children`.
    pub fn new(manager: ProcessManager, most: usize) -> Sizing {
        Sizing { manager, most, rate: 1, warned: false }
    }

    /// `pm.process_idle_timeout`, after which idle threads are expired.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match self.manager {
            ProcessManager::Ondemand { process_idle_timeout } => Some(process_idle_timeout),
            ProcessManager::Static | ProcessManager::Dynamic { .. } => None,
        }
    }

    /// How many threads there are at the start.
    pub fn at_start(&self) -> usize {
        match self.manager {
            ProcessManager::Static => self.most,
            ProcessManager::Dynamic { start_servers, .. } => start_servers as usize,
            ProcessManager::Ondemand { .. } => 0,
        }
    }

    /// Whether a thread that leaves after `pm.max_requests` is replaced even if nothing waits.
    pub fn replaces(&self) -> bool {
        !matches!(self.manager, ProcessManager::Ondemand { .. })
    }

    /// Requests wait: as many threads are booted as there are requests for.
    pub fn grow(&mut self, counts: Counts) -> Decision {
        let wanted = counts.queued.saturating_sub(counts.booting);
        let boot = wanted.min(self.most.saturating_sub(counts.threads));
        if boot > 0 {
            self.warned = false;
        }
        let mut decision = Decision { boot, ..Decision::default() };
        // PHP-FPM notices here with ondemand, and once a second with dynamic.
        if boot < wanted && matches!(self.manager, ProcessManager::Ondemand { .. }) {
            self.reached("max_children", &mut decision);
        }
        decision
    }

    /// Once a second.
    pub fn tick(&mut self, counts: Counts) -> Decision {
        match self.manager {
            ProcessManager::Static => Decision {
                // Those that could not be booted when it was tried.
                boot: self.most.saturating_sub(counts.threads),
                ..Decision::default()
            },
            ProcessManager::Dynamic { min_spare_servers, max_spare_servers, max_spawn_rate, .. } => {
                self.keep_spare(counts, min_spare_servers as usize, max_spare_servers as usize, max_spawn_rate as usize)
            }
            ProcessManager::Ondemand { .. } => Decision { retire: counts.expired, ..self.grow(counts) },
        }
    }

    fn keep_spare(&mut self, counts: Counts, least: usize, most: usize, max_rate: usize) -> Decision {
        let spare = counts.idle + counts.booting;
        if spare >= least {
            self.rate = 1;
            // Half of what is too many, so that a load that comes and goes does not move all of them each time. PHP-FPM
            // lets one go a second.
            let surplus = counts.idle.saturating_sub(most);
            return Decision { retire: surplus.div_ceil(2), ..Decision::default() };
        }
        let room = self.most.saturating_sub(counts.threads);
        let mut decision = Decision::default();
        if room == 0 {
            self.rate = 1;
            self.reached("pm.max_children", &mut decision);
            return decision;
        }
        if self.rate >= BUSY_RATE {
            decision.warning = Some(format!(
                "seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), \
                 spawning {} children, there are {} idle, and {} total children",
                self.rate, counts.idle, counts.threads
            ));
        }
        self.warned = false;
        decision.boot = self.rate.min(least - spare).min(room);
        if self.rate < max_rate {
            self.rate *= 2;
        }
        decision
    }

    fn reached(&mut self, directive: &str, decision: &mut Decision) {
        if !self.warned {
            self.warned = true;
            decision.reached = true;
            decision.warning = Some(format!("server reached {directive} setting ({}), consider raising it", self.most));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(least: u32, most_spare: u32, rate: u32, most: usize) -> Sizing {
        let manager = ProcessManager::Dynamic {
            start_servers: least,
            min_spare_servers: least,
            max_spare_servers: most_spare,
            max_spawn_rate: rate,
        };
        Sizing::new(manager, most)
    }

    fn ondemand(most: usize) -> Sizing {
        Sizing::new(ProcessManager::Ondemand { process_idle_timeout: Duration::from_secs(10) }, most)
    }

    fn counts(threads: usize, idle: usize, queued: usize) -> Counts {
        Counts { threads, idle, queued, ..Counts::default() }
    }

    #[test]
    fn the_start_is_pms() {
        assert_eq!(Sizing::new(ProcessManager::Static, 7).at_start(), 7);
        assert_eq!(dynamic(2, 4, 32, 7).at_start(), 2);
        assert_eq!(ondemand(7).at_start(), 0);
    }

    #[test]
    fn waiting_requests_get_threads_at_once() {
        for mut sizing in [dynamic(1, 2, 32, 200), ondemand(200)] {
            assert_eq!(sizing.grow(counts(3, 0, 150)).boot, 150);
            let booting = Counts { booting: 140, ..counts(143, 0, 150) };
            assert_eq!(sizing.grow(booting).boot, 10, "140 are on their way");
            assert_eq!(sizing.grow(counts(195, 0, 150)).boot, 5, "no more than may be");
            assert_eq!(sizing.grow(counts(3, 0, 0)), Decision::default());
        }
    }

    #[test]
    fn static_fills_up_what_is_missing() {
        let mut sizing = Sizing::new(ProcessManager::Static, 4);
        assert_eq!(sizing.tick(counts(4, 4, 0)), Decision::default());
        assert_eq!(sizing.tick(counts(1, 0, 9)).boot, 3);
    }

    #[test]
    fn ondemand_says_once_that_it_has_no_more() {
        let mut sizing = ondemand(2);
        let full = sizing.grow(counts(2, 0, 1));
        assert_eq!(full.warning.as_deref(), Some("server reached max_children setting (2), consider raising it"));
        assert!(full.reached);
        assert_eq!(sizing.grow(counts(2, 0, 5)), Decision::default());
        assert_eq!(sizing.tick(counts(2, 0, 5)), Decision::default());
        assert_eq!(sizing.grow(counts(1, 0, 1)).boot, 1, "room again");
        assert!(sizing.grow(counts(2, 0, 1)).reached, "and full again");
    }

    #[test]
    fn ondemand_lets_expired_threads_go() {
        let expired = Counts { expired: 3, ..counts(5, 4, 0) };
        assert_eq!(ondemand(9).tick(expired), Decision { retire: 3, ..Decision::default() });
    }

    #[test]
    fn dynamic_keeps_spare_threads_in_growing_steps() {
        let mut sizing = dynamic(20, 30, 8, 100);
        let mut steps = Vec::new();
        let mut threads = 0;
        for _ in 0..6 {
            let decision = sizing.tick(counts(threads, 0, 0));
            threads += decision.boot;
            steps.push((decision.boot, decision.warning.is_some()));
        }
        assert_eq!(steps, [(1, false), (2, false), (4, false), (8, true), (8, true), (8, true)]);
        let busy = sizing.tick(counts(31, 0, 0)).warning.expect("a warning");
        let words = "seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), \
                     spawning 8 children, there are 0 idle, and 31 total children";
        assert_eq!(busy, words);
        assert_eq!(sizing.tick(counts(50, 25, 0)), Decision::default(), "enough");
        assert_eq!(sizing.tick(counts(50, 19, 0)).boot, 1, "from the beginning");
        assert_eq!(sizing.tick(Counts { booting: 5, ..counts(50, 16, 0) }).boot, 0, "they are on their way");
    }

    #[test]
    fn dynamic_gives_back_half_of_what_is_too_many() {
        let mut sizing = dynamic(2, 4, 8, 100);
        assert_eq!(sizing.tick(counts(90, 84, 0)).retire, 40);
        assert_eq!(sizing.tick(counts(6, 5, 0)).retire, 1);
        assert_eq!(sizing.tick(counts(6, 4, 0)), Decision::default());
    }

    #[test]
    fn dynamic_says_once_that_it_has_no_more() {
        let mut sizing = dynamic(2, 4, 8, 3);
        let full = sizing.tick(counts(3, 1, 0));
        assert_eq!(full.warning.as_deref(), Some("server reached pm.max_children setting (3), consider raising it"));
        assert!(full.reached && full.boot == 0);
        assert_eq!(sizing.tick(counts(3, 0, 4)), Decision::default());
        assert_eq!(sizing.tick(counts(2, 0, 0)).boot, 1, "room again");
        assert!(sizing.tick(counts(3, 0, 0)).reached, "and full again");
        assert_eq!(sizing.grow(counts(3, 0, 9)), Decision::default());
    }
}

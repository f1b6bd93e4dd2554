//! Which requests take long, and whether they compute or wait meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::slot::Slot;

/// How long a request has run when it is none of the short ones, for which others wait, and after how long that is looked at
/// again. Where several threads share a processor, one that computes has run as often that, up to [`MOST_SHARE`]: otherwise
/// requests would count as long because of those that were called for the sake of long ones.
const SHORT: Duration = Duration::from_millis(20);
const MOST_SHARE: usize = 4;

/// A request waits, for its client, a program or a server, if it has used no more of its time than this part of what a thread
/// gets that shares the processors with the others.
const SLIGHT: u32 = 4;

/// Requests that take long, as they were at the last look.
#[derive(Debug, Default)]
pub struct Burden {
    looked: Option<Instant>,
    busy: Vec<(Duration, Duration)>,
}

impl Burden {
    /// Looks at the slots, unless it has just done so.
    pub fn look(&mut self, slots: &[Arc<Slot>]) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= SHORT) {
            self.busy.clear();
            self.busy.extend(slots.iter().filter_map(|slot| slot.row().effort(SHORT)));
            self.looked = Some(Instant::now());
        }
    }

    /// How many wait, and how many compute, where `busy` threads are at work and `enough` would keep the processors busy.
    pub fn weigh(&self, busy: usize, enough: usize) -> (usize, usize) {
        let share = busy.div_ceil(enough).max(1);
        let long = SHORT * share.min(MOST_SHARE) as u32;
        let waits = |&(took, used): &(Duration, Duration)| used * SLIGHT * (share as u32) < took;
        let waiting = self.busy.iter().filter(|effort| waits(effort)).count();
        let computing = self.busy.iter().filter(|effort| !waits(effort) && effort.0 >= long).count();
        (waiting, computing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_told_from_those_that_compute_however_many_there_are() {
        const PROCESSORS: u32 = 2;
        let took = SHORT * MOST_SHARE as u32;
        for computing in 1..200 {
            let used = took * PROCESSORS / computing.max(PROCESSORS);
            let mut busy = vec![(took, used); computing as usize];
            busy.extend([(SHORT, Duration::from_micros(10)); 100]);
            let burden = Burden { busy, ..Burden::default() };
            assert_eq!(burden.weigh(computing as usize + 100, PROCESSORS as usize + 1), (100, computing as usize));
        }
    }

    #[test]
    fn requests_that_share_a_processor_are_long_later() {
        let burden = Burden { busy: vec![(SHORT, SHORT / 2); 8], ..Burden::default() };
        assert_eq!(burden.weigh(8, 4), (0, 0));
        assert_eq!(burden.weigh(4, 4), (0, 8));
    }
}

//! `pm.max_thread_memory` and `pm.max_memory`: what is done about memory that leaks.
//!
//! The kernel counts memory by process. What a thread keeps is therefore an average: what the process has grown by since
//! before its threads were booted, for each of them. That running requests take memory is no leak: what counts is the least
//! that was seen in some time.

use std::collections::VecDeque;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::control::Orders;
use super::leftovers;
use super::threads::Threads;
use crate::observe::log;
use crate::php::PhpPool;

/// So many looks, one in a second, have to agree.
const LOOKS: usize = 5;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// Threads keep so many bytes each: one is to be recycled.
    Thread(u64),
    /// The process has so many bytes: it is to be replaced.
    Process(u64),
}

/// The ceilings of a pool process.
pub struct Ceilings {
    thread: Option<u64>,
    process: Option<u64>,
    before: u64,
    looks: VecDeque<u64>,
}

impl Ceilings {
    /// `thread` and `process` in bytes; `before`: what the process has without threads.
    pub fn new(thread: Option<u64>, process: Option<u64>, before: u64) -> Ceilings {
        Ceilings { thread, process, before, looks: VecDeque::with_capacity(LOOKS) }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.thread.is_some() || self.process.is_some()
    }

    /// A look once in a second: the process has `bytes`, and so many threads.
    pub fn look(&mut self, bytes: u64, threads: usize) -> Option<Leak> {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back(bytes);
        if self.looks.len() < LOOKS {
            return None;
        }
        let least = self.looks.iter().copied().min().unwrap_or_default();
        let each = least.saturating_sub(self.before) / threads.max(1) as u64;
        let leak = if self.process.is_some_and(|most| least > most) {
            Some(Leak::Process(least))
        } else if self.thread.is_some_and(|most| each > most) && threads > 0 {
            Some(Leak::Thread(each))
        } else {
            None
        };
        if leak.is_some() {
            self.looks.clear(); // what is done about it takes its time
        }
        leak
    }
}

/// Looks at the ceilings once in a second, and acts.
pub async fn watch(mut ceilings: Ceilings, pool: Arc<PhpPool>, threads: Rc<Threads>, orders: Rc<Orders>) {
    let name = pool.info.name.to_string_lossy();
    let mut turn = tokio::time::interval(Duration::from_secs(1));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut recycled = false;
    loop {
        turn.tick().await;
        if std::mem::take(&mut recycled) {
            leftovers::give_back();
        }
        match ceilings.look(private_memory(), threads.count()) {
            None => {}
            Some(Leak::Thread(each)) => {
                recycled = true;
                if let Some((index, requests)) = pool.dispatcher.recycle() {
                    let each = each >> 20;
                    log::notice!(
                        "[pool {name}] threads keep {each} MiB each (pm.max_thread_memory): recycling that of slot {index}, \
                         after {requests} requests"
                    );
                }
            }
            Some(Leak::Process(bytes)) => {
                log::warning!("[pool {name}] the process has {} MiB of memory (pm.max_memory)", bytes >> 20);
                // Asked again after some looks, if there is none until then.
                orders.ask_successor();
            }
        }
    }
}

/// The memory that only this process has, in bytes, swapped out or not. opcache's is not among it.
pub fn private_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    (kib("RssAnon:").unwrap_or_default() + kib("VmSwap:").unwrap_or_default()) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What the looks of one second after the other lead to.
    fn looks(ceilings: &mut Ceilings, mib: &[u64]) -> Vec<Option<Leak>> {
        mib.iter().map(|mib| ceilings.look(mib * MIB, 4)).collect()
    }

    #[test]
    fn the_least_of_some_time_counts() {
        let mut ceilings = Ceilings::new(Some(10 * MIB), None, 20 * MIB);
        assert_eq!(looks(&mut ceilings, &[100, 100, 100, 100, 60]), [None; 5], "40 MiB for four");
        assert_eq!(looks(&mut ceilings, &[64, 100, 100, 100]), [None; 4]);
        assert_eq!(looks(&mut ceilings, &[100]), [Some(Leak::Thread(11 * MIB))]);
        assert_eq!(looks(&mut ceilings, &[100; 4]), [None; 4], "the recycling takes its time");
        assert_eq!(looks(&mut ceilings, &[100]), [Some(Leak::Thread(20 * MIB))]);
    }

    #[test]
    fn the_process_goes_first() {
        let mut ceilings = Ceilings::new(Some(10 * MIB), Some(90 * MIB), 0);
        assert_eq!(looks(&mut ceilings, &[91; 5]).last(), Some(&Some(Leak::Process(91 * MIB))));
        let mut none = Ceilings::new(None, None, 0);
        assert!(!none.any());
        assert_eq!(looks(&mut none, &[1000; 10]), [None; 10]);
    }

    #[test]
    fn this_process_has_memory() {
        let before = private_memory();
        let block = vec![1u8; 8 << 20];
        assert!(private_memory() >= before + (4 << 20), "{before} {}", block.len());
    }
}

//! Who is idle, what waits, and whether it may begin.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::super::waits::Waits;
use crate::server::Request;

/// Whether requests may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// They may.
    #[default]
    Open,
    /// None begins; running ones end.
    Closed,
    /// None runs, and one may begin.
    ForOne,
}

/// What the dispatcher's lock guards.
#[derive(Default)]
pub struct State {
    /// Whether requests may begin.
    pub gate: Gate,
    /// Idle threads, the one that became idle last at the end.
    pub idle: Vec<Idle>,
    /// Requests that wait.
    pub queue: VecDeque<Queued>,
    /// How long those waited that do no more.
    pub waits: Waits,
    /// Slots without a thread.
    pub empty: BTreeSet<usize>,
    /// All threads.
    pub threads: usize,
    /// Those that have not asked for their first request.
    pub booting: usize,
    /// So many idle threads are to leave.
    pub retiring: usize,
    /// Slots whose threads do so.
    pub retired: BTreeSet<usize>,
    /// All threads are to leave.
    pub stopping: bool,
}

impl State {
    /// Threads that have nothing to do, but for those that boot to take what waits.
    pub fn spare(&self) -> usize {
        self.idle.len() + self.booting.saturating_sub(self.queue.len())
    }

    /// A thread is not idle any more.
    pub fn awake(&mut self, index: usize) {
        if let Some(at) = self.idle.iter().rposition(|idle| idle.index == index) {
            self.idle.remove(at);
        }
        self.retiring = self.retiring.min(self.idle.len() + 1);
    }

    /// Whether an idle thread would find work.
    pub fn wakes(&self) -> bool {
        !self.idle.is_empty()
            && (self.stopping || self.retiring > 0 || (self.gate != Gate::Closed && !self.queue.is_empty()))
    }

    /// Threads that run a request, or leave.
    pub fn busy(&self) -> usize {
        self.threads.saturating_sub(self.idle.len() + self.booting)
    }

    /// Whether this request may begin. It must, then.
    pub fn admits(&mut self, request: &Request) -> bool {
        match self.gate {
            Gate::Open => true,
            Gate::Closed => false,
            Gate::ForOne => {
                // The one must not keep the others waiting for its client.
                let ready = request.body().ended().is_some() || request.starts_without_body();
                if ready {
                    self.gate = Gate::Closed;
                }
                ready
            }
        }
    }

    /// Takes the first request from the queue that may begin.
    pub fn take_queued(&mut self) -> Option<Queued> {
        let at = match self.gate {
            Gate::Open => 0,
            Gate::Closed => return None,
            Gate::ForOne => (0..self.queue.len()).find(|&at| {
                let request = self.queue[at].request.clone();
                self.admits(&request)
            })?,
        };
        self.queue.remove(at)
    }
}

/// An idle thread.
pub struct Idle {
    /// Its slot.
    pub index: usize,
    /// Since when.
    pub since: Instant,
}

/// A request that waits.
pub struct Queued {
    /// The request.
    pub request: Arc<Request>,
    /// Since when.
    pub since: Instant,
}

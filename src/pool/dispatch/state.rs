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

/// So many threads may be at work for each one whose request computes for long.
const BESIDE_LONG: usize = 3;

/// Of the threads that are too many, this part is let go at once. The usher, who brings them, has a little of the processors
/// even if they are busy.
const DECAY: usize = 8;

/// What the dispatcher's lock guards.
#[derive(Default)]
pub struct State {
    /// Whether requests may begin.
    pub gate: Gate,
    /// Idle threads, the one that became idle last at the end.
    pub idle: Vec<Idle>,
    /// Those of them that wait in the lobby; the others are benched.
    pub watching: usize,
    /// So many threads keep the processors busy. As many wait in the lobby at most.
    pub enough: usize,
    /// So many may be at work or in the lobby, where that is more than enough.
    pub most: usize,
    /// So many benched threads are to go to the lobby.
    pub called: usize,
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

    /// Whether there are enough others at work or in the lobby for a thread that has no request any more: it takes none from the
    /// queue either, of which there is no end while more clients come than there are threads.
    pub fn is_crowded(&self) -> bool {
        self.gate == Gate::Open && !self.stopping && self.has_enough_others()
    }

    /// Threads at work or in the lobby beside one that is busy.
    fn others(&self) -> usize {
        self.busy().saturating_sub(1) + self.watching
    }

    fn has_enough_others(&self) -> bool {
        self.others() >= self.enough.max(self.most)
    }

    /// A thread that was busy is idle. True: it is benched, since there are enough others.
    pub fn sit_down(&mut self, index: usize) -> bool {
        let benched = self.watching >= self.enough || self.has_enough_others();
        if benched {
            self.most = self.most.min(self.others());
        } else {
            self.watching += 1;
        }
        self.idle.push(Idle { index, since: Instant::now(), benched });
        benched
    }

    /// A thread is not idle any more.
    pub fn awake(&mut self, index: usize) {
        if let Some(at) = self.idle.iter().rposition(|idle| idle.index == index) {
            if self.idle.remove(at).benched {
                self.called = self.called.saturating_sub(1).min(self.benched());
                // Otherwise it would be benched again.
                self.most = self.most.max(self.busy() + self.watching);
            } else {
                self.watching -= 1;
            }
        }
        self.retiring = self.retiring.min(self.idle.len() + 1);
    }

    /// Idle threads that are not in the lobby.
    pub fn benched(&self) -> usize {
        self.idle.len() - self.watching
    }

    /// Nobody is in the lobby, and somebody could be.
    pub fn is_deserted(&self) -> bool {
        self.watching == 0 && self.benched() > 0
    }

    /// Something has waited for a while, and nobody is in the lobby, while `waiting` of the requests that take long wait for
    /// something, and `computing` do not: no more threads than are enough are to be at work beside these, by and by. There are
    /// more for each one that computes, since there are shorter ones that share the processors with it.
    pub fn relieve(&mut self, waiting: usize, computing: usize) {
        let most = self.enough + waiting + BESIDE_LONG * computing;
        let surplus = self.most.saturating_sub(most);
        self.most = most + surplus - surplus.div_ceil(DECAY);
        self.called = self.most.saturating_sub(self.busy()).min(self.benched());
    }

    /// Whether a thread in the lobby has something to do, or who comes there next.
    pub fn wakes(&self) -> bool {
        let work = self.gate != Gate::Closed && !self.queue.is_empty();
        let leaves = self.stopping || self.retiring > self.benched();
        !self.idle.is_empty() && work || self.watching > 0 && leaves
    }

    /// Whether a benched thread has something to do.
    pub fn calls(&self) -> bool {
        self.benched() > 0 && (self.stopping || self.retiring > 0 || self.called > 0)
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
    /// It is not in the lobby.
    pub benched: bool,
}

/// A request that waits.
pub struct Queued {
    /// The request.
    pub request: Arc<Request>,
    /// Since when.
    pub since: Instant,
}

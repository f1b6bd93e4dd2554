//! Requests to slots: a LIFO stack of idle slots (hot caches, few threads active) and a FIFO queue of requests.
//!
//! ```text
//!  submit ──> idle slot? ── yes ──> its mailbox ──> the slot's thread wakes
//!                │
//!                no ──> queue ──> the next slot that asks (a request whose client has left is dropped unrun)
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::slot::{Mail, Slot};
use super::waits::Waits;
use crate::server::Request;

/// Hands requests to the slots of a pool.
pub struct Dispatcher {
    slots: Vec<Arc<Slot>>,
    state: Mutex<State>,
    queue_limit: usize,
    space: Notify,
    accepted: AtomicU64,
    memory_peak: AtomicU64,
}

#[derive(Default)]
struct State {
    idle: Vec<usize>,
    queue: VecDeque<Queued>,
    queue_max: usize,
    active_max: usize,
    waits: Waits,
    stopping: bool,
}

struct Queued {
    request: Arc<Request>,
    since: Instant,
}

/// Figures of the queue and the slots, for the status.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests that wait for a slot, and connections that wait to be accepted.
    pub queue: usize,
    /// The most that ever waited, as far as anybody looked at the kernel's part.
    pub queue_max: usize,
    /// Slots that wait for a request.
    pub idle: usize,
    /// The most slots that were ever busy.
    pub active_max: usize,
    /// How long requests waited for a slot.
    pub waits: Waits,
}

impl Dispatcher {
    /// `queue_limit` (`listen.backlog`): with that many requests waiting, [`Dispatcher::wait_space`] waits.
    pub fn new(slots: Vec<Arc<Slot>>, queue_limit: usize) -> Dispatcher {
        let state = Mutex::default();
        let (accepted, memory_peak) = (AtomicU64::new(0), AtomicU64::new(0));
        Dispatcher { slots, state, queue_limit, space: Notify::new(), accepted, memory_peak }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots, by index.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// The most requests that may wait before accepting pauses.
    pub fn queue_limit(&self) -> usize {
        self.queue_limit
    }

    /// A request has begun: what PHP-FPM counts as "accepted conn".
    pub fn count_request(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests begun so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// A request took as many bytes of memory.
    pub fn note_memory(&self, bytes: u64) {
        self.memory_peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most bytes that a request has taken.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    /// As many slots are busy, counting a request that takes none: see [`super::status`].
    pub fn note_active(&self, active: usize) {
        let mut state = self.lock();
        state.active_max = state.active_max.max(active);
    }

    /// The state of queue and slots. `backlog`: connections that wait in the kernel, which count as queued.
    pub fn load(&self, backlog: usize) -> Load {
        let mut state = self.lock();
        let queue = state.queue.len() + backlog;
        state.queue_max = state.queue_max.max(queue);
        Load {
            queue,
            queue_max: state.queue_max,
            idle: state.idle.len(),
            active_max: state.active_max,
            waits: state.waits,
        }
    }

    /// Runs the request on the slot that became idle last, or queues it.
    pub fn submit(&self, request: Arc<Request>) {
        let mut state = self.lock();
        match state.idle.pop() {
            Some(index) => {
                state.active_max = state.active_max.max(self.slots.len() - state.idle.len());
                state.waits.add(Duration::ZERO);
                drop(state);
                self.slots[index].post(Mail::Request(request));
            }
            None => {
                state.queue.push_back(Queued { request, since: Instant::now() });
                state.queue_max = state.queue_max.max(state.queue.len());
            }
        }
    }

    /// Waits for the next request of `slot`. `None`: the pool stops. Only for the slot's own thread.
    pub fn next(&self, slot: &Slot) -> Option<Arc<Request>> {
        let mut state = self.lock();
        while let Some(Queued { request, since }) = state.queue.pop_front() {
            if state.queue.len() + 1 == self.queue_limit {
                self.space.notify_waiters();
            }
            if !request.aborted() {
                state.waits.add(since.elapsed());
                return Some(request);
            }
            // Dropped unrun; its connection is gone or wants END_REQUEST.
            request.finish(&[], &[], 0);
        }
        if state.stopping {
            return None;
        }
        state.idle.push(slot.index());
        drop(state);
        slot.wait()
    }

    /// The client of the request has left, or asked for its end: a queued request is dropped, a running one told.
    pub fn abort(&self, request: &Arc<Request>) {
        if request.finished() {
            return;
        }
        request.abort();
        let mut state = self.lock();
        if let Some(at) = state.queue.iter().position(|queued| Arc::ptr_eq(&queued.request, request)) {
            state.queue.remove(at);
            drop(state);
            request.finish(&[], &[], 0);
            self.space.notify_waiters();
            return;
        }
        drop(state);
        for slot in &self.slots {
            if slot.interrupt(request) {
                return;
            }
        }
    }

    /// Waits while the queue is full. True if it was.
    pub async fn wait_space(&self) -> bool {
        let mut waited = false;
        loop {
            let space = self.space.notified();
            if self.lock().queue.len() < self.queue_limit {
                return waited;
            }
            space.await;
            waited = true;
        }
    }

    /// No slot waits any more: idle ones leave now, busy ones once the queue is empty.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        for index in idle {
            self.slots[index].post(Mail::Leave);
        }
    }
}

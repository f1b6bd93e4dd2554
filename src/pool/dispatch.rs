//! Requests to slots: a LIFO stack of idle slots (hot caches, few threads active) and a FIFO queue of requests.
//!
//! ```text
//!  submit ──> idle slot? ── yes ──> its mailbox ──> the slot's thread wakes
//!                │
//!                no ──> queue ──> the next slot that asks (a request whose client has left is dropped unrun)
//!                         └──> work_waits: the pool may boot a further thread
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::figures::OwnFigures;
use super::sizing::Counts;
use super::slot::{Mail, Slot};
use super::waits::Waits;
use crate::server::Request;
use crate::sync::{Mutex, MutexGuard};

/// Hands requests to the slots of a pool.
pub struct Dispatcher {
    slots: Vec<Arc<Slot>>,
    state: Mutex<State>,
    queue_limit: usize,
    space: Notify,
    figures: OwnFigures,
    /// The number of threads changes with the work.
    elastic: bool,
    wanted: Notify,
    /// A thread has become idle, or has left, while the gate was closed.
    less_busy: Notify,
    /// A script has sent another one's request a signal.
    killed: Notify,
}

/// Whether requests may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gate {
    #[default]
    Open,
    /// None begins; running ones end.
    Closed,
    /// None runs, and one may begin.
    ForOne,
}

#[derive(Default)]
struct State {
    gate: Gate,
    idle: Vec<Idle>,
    queue: VecDeque<Queued>,
    waits: Waits,
    /// Slots without a thread.
    empty: BTreeSet<usize>,
    /// Threads, and how many of them have not asked for their first request.
    threads: usize,
    booting: usize,
    stopping: bool,
}

impl State {
    /// Threads that have nothing to do, but for those that boot to take what waits.
    fn spare(&self) -> usize {
        self.idle.len() + self.booting.saturating_sub(self.queue.len())
    }

    /// Threads that run a request, or leave.
    fn busy(&self) -> usize {
        self.threads.saturating_sub(self.idle.len() + self.booting)
    }

    /// Whether this request may begin. It must, then.
    fn admits(&mut self, request: &Request) -> bool {
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
    fn take_queued(&mut self) -> Option<Queued> {
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

struct Idle {
    index: usize,
    since: Instant,
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
    /// All threads.
    pub threads: usize,
    /// Threads that wait for a request.
    pub idle: usize,
    /// How long requests waited for a slot.
    pub waits: Waits,
}

impl Dispatcher {
    /// `queue_limit` (`listen.backlog`): with that many requests waiting, [`Dispatcher::wait_space`] waits. No slot has a
    /// thread yet; `elastic`: more may get one when work waits.
    pub fn new(slots: Vec<Arc<Slot>>, queue_limit: usize, figures: OwnFigures, elastic: bool) -> Dispatcher {
        let state = State { empty: (0..slots.len()).collect(), ..State::default() };
        let [space, wanted, less_busy, killed] = std::array::from_fn(|_| Notify::new());
        Dispatcher { slots, state: Mutex::new(state), queue_limit, space, figures, elastic, wanted, less_busy, killed }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots, by index: one for each thread that there may be, and for those that may be left to themselves.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// The most requests that may wait before accepting pauses.
    pub fn queue_limit(&self) -> usize {
        self.queue_limit
    }

    /// The pool's figures.
    pub fn figures(&self) -> OwnFigures {
        self.figures
    }

    /// The state of queue and slots. `backlog`: connections that wait in the kernel, which count as queued.
    pub fn load(&self, backlog: usize) -> Load {
        let state = self.lock();
        let queue = state.queue.len() + backlog;
        self.figures.note_queue(queue);
        Load { queue, threads: state.threads, idle: state.spare(), waits: state.waits }
    }

    /// The same, as sizing wants it. Threads that have been idle for longer than `timeout` are expired.
    pub fn counts(&self, timeout: Option<Duration>) -> Counts {
        let state = self.lock();
        let expired = |timeout| state.idle.iter().take_while(|idle| idle.since.elapsed() > timeout).count();
        Counts {
            threads: state.threads,
            booting: state.booting,
            idle: state.idle.len(),
            queued: if state.gate == Gate::Closed { 0 } else { state.queue.len() },
            expired: timeout.map_or(0, expired),
        }
    }

    /// Takes a slot for a thread that is about to boot; `None`: each has one.
    pub fn take_slot(&self) -> Option<usize> {
        let mut state = self.lock();
        let index = state.empty.pop_first()?;
        state.threads += 1;
        state.booting += 1;
        Some(index)
    }

    /// Leaves the thread of a slot, which runs `request`, to itself: it does not count as one of the pool's any more. False:
    /// it does not run that any more.
    pub fn abandon(&self, index: usize, request: Option<&Arc<Request>>) -> bool {
        // A thread that is done asks for its next request under this lock.
        let mut state = self.lock();
        let abandoned = self.slots[index].abandon(request);
        state.threads -= usize::from(abandoned);
        self.tell_less_busy(&state);
        abandoned
    }

    /// The thread that was left to itself has ended: its slot may be used again.
    pub fn reclaim(&self, index: usize) {
        self.slots[index].reclaim();
        self.lock().empty.insert(index);
    }

    /// The slot's thread has ended, or could not be `booting`.
    pub fn release_slot(&self, index: usize, booting: bool) {
        let mut state = self.lock();
        state.threads -= 1;
        state.booting -= usize::from(booting);
        state.empty.insert(index);
        self.tell_less_busy(&state);
    }

    /// The thread of a slot has ended, and another one is about to boot there.
    pub fn boots_again(&self) {
        let mut state = self.lock();
        state.booting += 1;
        self.tell_less_busy(&state);
    }

    fn tell_less_busy(&self, state: &State) {
        if state.gate == Gate::Closed {
            self.less_busy.notify_waiters();
        }
    }

    /// From now on requests are queued, and none begins.
    pub fn close_gate(&self) {
        self.lock().gate = Gate::Closed;
    }

    /// Waits until no request runs. The gate must be closed.
    pub async fn quiet(&self) {
        loop {
            let changed = self.less_busy.notified();
            if self.lock().busy() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Whether requests wait.
    pub fn any_queued(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Lets the next request begin whose body has arrived, and no other.
    pub fn open_gate_for_one(&self) {
        let mut state = self.lock();
        state.gate = Gate::ForOne;
        self.begin_queued(state);
    }

    /// Requests begin again.
    pub fn open_gate(&self) {
        let mut state = self.lock();
        state.gate = Gate::Open;
        self.begin_queued(state);
    }

    /// Runs what is queued on the threads that are idle.
    fn begin_queued(&self, mut state: MutexGuard<'_, State>) {
        let mut begun = Vec::new();
        while !state.idle.is_empty()
            && let Some(Queued { request, since }) = state.take_queued()
            && let Some(idle) = state.idle.pop()
        {
            state.waits.add(since.elapsed());
            begun.push((idle.index, request));
        }
        self.figures.note_active(state.threads - state.spare());
        if self.elastic && !state.queue.is_empty() {
            self.wanted.notify_one();
        }
        drop(state);
        self.space.notify_waiters();
        begun.into_iter().for_each(|(index, request)| self.slots[index].post(Mail::Request(request)));
    }

    /// Lets the `count` threads leave that have been idle for longest; returns their slots.
    pub fn retire(&self, count: usize) -> Vec<usize> {
        let mut state = self.lock();
        let count = count.min(state.idle.len());
        let leaving: Vec<usize> = state.idle.drain(..count).map(|idle| idle.index).collect();
        drop(state);
        leaving.iter().for_each(|&index| self.slots[index].post(Mail::Leave));
        leaving
    }

    /// Lets the thread leave that has begun the most requests, once it has done what it runs. Returns its slot, and how many
    /// they are.
    pub fn recycle(&self) -> Option<(usize, u64)> {
        let mut state = self.lock();
        let threads = self.slots.iter().filter(|slot| !slot.abandoned()).filter_map(|slot| {
            let begun = slot.row().view()?.requests;
            (begun > 0).then_some((slot.index(), begun))
        });
        let (index, begun) = threads.max_by_key(|&(_, begun)| begun)?;
        match state.idle.iter().position(|idle| idle.index == index) {
            Some(at) => {
                state.idle.remove(at);
                self.slots[index].post(Mail::Leave);
            }
            None => self.slots[index].let_leave(),
        }
        Some((index, begun))
    }

    /// Waits until a request is queued that a further thread could take. Only where the number of threads changes.
    pub async fn work_waits(&self) {
        self.wanted.notified().await;
    }

    /// Runs the request on the slot that became idle last, or queues it.
    pub fn submit(&self, request: Arc<Request>) {
        let mut state = self.lock();
        let admitted = !state.idle.is_empty() && state.admits(&request);
        match state.idle.pop_if(|_| admitted) {
            Some(Idle { index, .. }) => {
                self.figures.note_active(state.threads - state.spare());
                state.waits.add(Duration::ZERO);
                drop(state);
                self.slots[index].post(Mail::Request(request));
            }
            None => {
                state.queue.push_back(Queued { request, since: Instant::now() });
                // Even a static pool may have lost all of them, by a crash.
                if (self.elastic || state.threads == 0) && state.gate != Gate::Closed {
                    self.wanted.notify_one();
                }
            }
        }
    }

    /// Waits for the next request of `slot`. `None`: leave. Only for the slot's own thread; `first`: it has just booted.
    pub fn next(&self, slot: &Slot, first: bool) -> Option<Arc<Request>> {
        let mut state = self.lock();
        state.booting -= usize::from(first);
        if slot.abandoned() || slot.is_to_leave() && !first {
            return None;
        }
        while let Some(Queued { request, since }) = state.take_queued() {
            if state.queue.len() + 1 == self.queue_limit {
                self.space.notify_waiters();
            }
            if !request.aborted() {
                state.waits.add(since.elapsed());
                self.figures.note_active(state.threads - state.spare());
                return Some(request);
            }
            // Dropped unrun; its connection is gone or wants END_REQUEST.
            request.finish(&[], &[], 0);
            if state.gate == Gate::Closed {
                state.gate = Gate::ForOne; // it was admitted as the one
            }
        }
        if state.stopping {
            return None;
        }
        state.idle.push(Idle { index: slot.index(), since: Instant::now() });
        self.tell_less_busy(&state);
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

    /// A script sends the thread of this id a signal that would end a process: the watchdog ends what it runs, if anything.
    /// False: it is no PHP thread of this pool.
    pub fn kill(&self, thread: i32, signal: i32) -> bool {
        let Some(slot) = self.slots.iter().find(|slot| slot.row().is_of(thread)) else { return false };
        // PHP-FPM's worker ends its request in peace.
        if signal != libc::SIGQUIT
            && let Some(request) = slot.running()
        {
            request.kill_by(signal);
            self.killed.notify_one();
        }
        true
    }

    /// Waits until [`Dispatcher::kill`] was called.
    pub async fn killed(&self) {
        self.killed.notified().await;
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

    /// Answers all requests that wait or run without PHP; returns how many. The process is about to end.
    pub fn give_up_all(&self, status: &str) -> usize {
        let queued = std::mem::take(&mut self.lock().queue);
        let running: Vec<_> =
            self.slots.iter().filter(|slot| !slot.abandoned()).filter_map(|slot| slot.running()).collect();
        let all = queued.iter().map(|queued| &queued.request).chain(&running).filter(|request| !request.finished());
        all.map(|request| request.give_up(status)).count()
    }

    /// No slot waits any more: idle ones leave now, busy ones once the queue is empty.
    pub fn stop(&self) {
        self.open_gate();
        let mut state = self.lock();
        state.stopping = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        for Idle { index, .. } in idle {
            self.slots[index].post(Mail::Leave);
        }
    }
}

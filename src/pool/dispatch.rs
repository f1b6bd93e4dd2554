//! Requests to threads: those that an idle thread finds in the lobby itself, and a FIFO queue of those that the main thread
//! has read.
//!
//! ```text
//!  next ──> queue? ── yes ──> the request (one whose client has left is dropped unrun)
//!             │
//!             no ──> idle: enough at work, or in the lobby? ── yes ──> on the bench, until called: look again
//!                                             └── no ──> in the lobby ──> a request of its own there
//!                                                                   └──> the bell: look again
//!  submit ──> queue ──> somebody idle? ── yes ──> the bell
//!                         └── no ──> work_waits: the pool may boot a further thread
//! ```
//!
//! **The bench.** More threads at work than processors make each other wait in the middle of their requests: the kernel lets one
//! run for milliseconds, in which it serves a row of requests, while the others hold theirs half done. So only as many are at
//! work or in the lobby as keep the processors busy, and what waits there is taken in order. Whoever is benched is called when
//! a processor is idle all the same ([`usher`]), because those at work wait for something, and in the place of those whose
//! requests take long ([`Dispatcher::relieve`]).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

mod burden;
mod state;
mod usher;

pub use self::burden::Burden;
use self::state::{Gate, Queued, State};
pub use self::usher::Usher;
use super::figures::OwnFigures;
use super::sizing::Counts;
use super::slot::Slot;
use super::waits::{BOUNDS_MS, Waits};
use crate::php;
use crate::server::{Event, Lobby, Request, Visit};
use crate::sync::{Mutex, MutexGuard};

/// The shortest time for which a request in the lobby is said to have waited: the histogram knows none that are shorter.
const WAIT: Duration = Duration::from_millis(BOUNDS_MS[0]);

/// Hands requests to the slots of a pool.
pub struct Dispatcher {
    slots: Vec<Arc<Slot>>,
    state: Mutex<State>,
    queue_limit: usize,
    space: Notify,
    figures: OwnFigures,
    lobby: Lobby,
    usher: Usher,
    /// Requests that have not waited.
    unqueued: AtomicU64,
    /// The number of threads changes with the work.
    elastic: bool,
    wanted: Notify,
    /// A thread has become idle, or has left, while the gate was closed.
    less_busy: Notify,
    /// A script has sent another one's request a signal.
    killed: Notify,
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
    /// thread yet; `elastic`: more may get one when work waits. `enough`: so many threads keep the processors busy.
    pub fn new(
        slots: Vec<Arc<Slot>>,
        queue_limit: usize,
        figures: OwnFigures,
        elastic: bool,
        enough: usize,
        lobby: Lobby,
    ) -> Dispatcher {
        let state = State { empty: (0..slots.len()).collect(), enough, ..State::default() };
        let [space, wanted, less_busy, killed] = std::array::from_fn(|_| Notify::new());
        let (state, unqueued) = (Mutex::new(state), AtomicU64::new(0));
        let usher = Usher::default();
        Dispatcher {
            slots,
            state,
            queue_limit,
            space,
            figures,
            lobby,
            usher,
            unqueued,
            elastic,
            wanted,
            less_busy,
            killed,
        }
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

    /// Where idle threads wait.
    pub fn lobby(&self) -> &Lobby {
        &self.lobby
    }

    /// Whether some thread is idle.
    pub fn anybody_idle(&self) -> bool {
        !self.lock().idle.is_empty()
    }

    /// Whether some thread waits in the lobby.
    pub fn anybody_watches(&self) -> bool {
        self.lock().watching > 0
    }

    /// Whether some thread is idle, and would run what it finds in the lobby.
    pub fn anybody_ready(&self) -> bool {
        let state = self.lock();
        !state.idle.is_empty() && state.gate == Gate::Open
    }

    /// Whether there is any thread.
    pub fn any_threads(&self) -> bool {
        self.lock().threads > 0
    }

    /// Whether as many requests wait as may.
    pub fn queue_full(&self) -> bool {
        self.lock().queue.len() >= self.queue_limit
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
        let mut waits = state.waits;
        waits.add_none(self.unqueued.load(Relaxed));
        Load { queue, threads: state.threads, idle: state.spare(), waits }
    }

    /// The same, as sizing wants it. Threads that have been idle for longer than `timeout` are expired.
    pub fn counts(&self, timeout: Option<Duration>) -> Counts {
        let state = self.lock();
        let expired = |timeout| state.idle.iter().take_while(|idle| idle.since.elapsed() > timeout).count();
        Counts {
            threads: state.threads,
            booting: state.booting,
            idle: state.idle.len().saturating_sub(state.retiring),
            queued: if state.gate == Gate::Closed { 0 } else { state.queue.len() },
            expired: timeout.map_or(0, expired).saturating_sub(state.retiring),
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
        if abandoned {
            state.retired.remove(&index);
            state.awake(index); // where it has crashed while it was idle
        }
        self.tell_less_busy(&state);
        let deserted = state.watching == 0;
        self.call_next(state);
        if deserted {
            self.lobby.deserted.call();
        }
        if abandoned && let Some(visit) = self.slots[index].take_visit() {
            self.lobby.hand(visit.into());
        }
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

    /// Has idle threads run what is queued.
    fn begin_queued(&self, state: MutexGuard<'_, State>) {
        if self.elastic && state.idle.is_empty() && !state.queue.is_empty() {
            self.wanted.notify_one();
        }
        self.wake_next(state);
    }

    /// Wakes a thread if there is work for it, which wakes the next one in the same way.
    fn wake_next(&self, state: MutexGuard<'_, State>) {
        let wakes = state.wakes();
        self.call_next(state);
        if wakes {
            self.lobby.ring();
        }
    }

    /// Wakes a benched thread if there is something for it, which wakes the next one in the same way.
    fn call_next(&self, state: MutexGuard<'_, State>) {
        let (calls, usher) = (state.calls(), self.usher.want(state.is_deserted()));
        drop(state);
        if calls {
            self.lobby.bench().ring();
        }
        if usher {
            self.usher.wake(self.lobby.bench());
        }
    }

    /// Requests have waited for a while, and no thread in the lobby: others are called in the place of those who run what takes
    /// long, of which there are as many as `burden` says.
    pub fn relieve(&self, burden: &mut Burden) {
        burden.look(&self.slots);
        let mut state = self.lock();
        if state.watching == 0 {
            let (waiting, computing) = burden.weigh(state.busy(), state.enough);
            state.relieve(waiting, computing);
        }
        self.call_next(state);
    }

    /// Lets `count` idle threads leave.
    pub fn retire(&self, count: usize) {
        let mut state = self.lock();
        state.retiring = (state.retiring + count).min(state.idle.len());
        self.wake_next(state);
    }

    /// Whether the thread of this slot, which has ended, was one that [`Dispatcher::retire`] wanted to leave.
    pub fn was_retired(&self, index: usize) -> bool {
        self.lock().retired.remove(&index)
    }

    /// Lets the thread leave that has begun the most requests, once it has done what it runs. Returns its slot, and how many
    /// they are.
    pub fn recycle(&self) -> Option<(usize, u64)> {
        let threads = self.slots.iter().filter(|slot| !slot.abandoned()).filter_map(|slot| {
            let begun = slot.row().view()?.requests;
            (begun > 0).then_some((slot, begun))
        });
        let (slot, begun) = threads.max_by_key(|&(_, begun)| begun)?;
        slot.let_leave();
        slot.wake();
        Some((slot.index(), begun))
    }

    /// Waits until a request is queued that a further thread could take. Only where the number of threads changes.
    pub async fn work_waits(&self) {
        self.wanted.notified().await;
    }

    /// Queues the request, and wakes an idle thread for it.
    pub fn submit(&self, request: Arc<Request>) {
        let mut state = self.lock();
        state.queue.push_back(Queued { request, since: Instant::now() });
        // Even a static pool may have lost all of them, by a crash.
        if state.idle.is_empty() && (self.elastic || state.threads == 0) && state.gate != Gate::Closed {
            self.wanted.notify_one();
        }
        self.wake_next(state);
    }

    /// Waits for the next request of `slot`, which it reads into `input` if it comes by the lobby. `None`: leave. Only for the
    /// slot's own thread; `first`: it has just booted.
    pub fn next(&self, slot: &Slot, first: bool, input: &mut Vec<u8>) -> Option<Arc<Request>> {
        let mut state = self.lock();
        state.booting -= usize::from(first);
        if first {
            slot.is_to_leave(); // whoever was there before
        }
        loop {
            if slot.abandoned() || slot.is_to_leave() {
                self.wake_next(state); // it may have been woken for something else
                return None;
            }
            if !state.is_crowded()
                && let Some(request) = self.next_queued(&mut state)
            {
                self.wake_next(state);
                return Some(request);
            }
            let retires = state.retiring > 0;
            if retires {
                state.retiring -= 1;
                state.retired.insert(slot.index());
            }
            if retires || state.stopping {
                self.wake_next(state);
                return None;
            }
            let benched = state.sit_down(slot.index());
            self.tell_less_busy(&state);
            self.call_next(state);
            let event = if benched {
                self.lobby.bench().wait(php::IDLE_LONG, php::give_back_memory);
                Event::Bell
            } else {
                self.lobby.wait(php::IDLE_LONG, php::give_back_memory)
            };
            state = self.lock();
            state.awake(slot.index());
            if state.idle.is_empty() && self.elastic && !state.queue.is_empty() {
                self.wanted.notify_one();
            }
            let deserted = state.watching == 0;
            if event != Event::Bell {
                state.retiring = state.retiring.min(state.idle.len()); // none of them is this one any more
            }
            let (open, active) = (state.gate == Gate::Open, state.threads - state.spare());
            self.call_next(state);
            if deserted {
                self.lobby.deserted.call();
            }
            if event == Event::Bell {
                state = self.lock();
                continue;
            }
            if !open {
                self.lobby.pass_on(event);
            } else if let Some((request, direct)) = self.lobby.receive(event, input) {
                self.figures.count_request();
                self.figures.note_active(active);
                if direct.waited < WAIT {
                    self.unqueued.fetch_add(1, Relaxed);
                } else {
                    self.lock().waits.add(direct.waited);
                }
                slot.set_visit(Visit { direct, request: request.clone() });
                self.lobby.unwatched.call();
                return Some(request);
            }
            state = self.lock();
        }
    }

    /// The first request in the queue that may begin, and whose client is still there.
    fn next_queued(&self, state: &mut State) -> Option<Arc<Request>> {
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
        None
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
        self.wake_next(state);
    }
}

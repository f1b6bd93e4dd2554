//! The threads of a pool: booted, booted again after their time, and as many as [`super::sizing`] says.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::figures::OwnFigures;
use super::row::View;
use super::sizing::{Counts, Decision, Sizing};
use super::status;
use crate::observe::log;
use crate::observe::status::own::Counted;
use crate::php::{self, PhpPool, ThreadEnd};
use crate::server::Request;

/// How often a failure to start threads is logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// How long threads that have left PHP may take to end at a stop.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// A thread of slot `index` has ended.
pub type Ended = (usize, ThreadEnd);

/// A thread.
struct Alive {
    id: NonZeroU64,
    handle: thread::JoinHandle<()>,
    started: Instant,
}

/// The threads of the pool.
pub struct Threads {
    pool: Arc<PhpPool>,
    figures: OwnFigures,
    sizing: RefCell<Sizing>,
    ended: mpsc::UnboundedSender<Ended>,
    /// The thread of each slot that has one.
    alive: RefCell<HashMap<usize, Alive>>,
    /// What the next thread is called in faults.
    next_id: Cell<NonZeroU64>,
    /// The threads that were left to themselves, by slot, and since when.
    abandoned: RefCell<HashMap<usize, Instant>>,
    /// Threads that have left PHP, and may not have ended altogether.
    leaving: RefCell<Vec<thread::JoinHandle<()>>>,
    stopping: Cell<bool>,
    complained: Cell<Option<Instant>>,
    process_max_said: Cell<bool>,
}

impl Threads {
    /// No thread is started yet. `ended` is told of each that has ended.
    pub fn new(pool: Arc<PhpPool>, sizing: Sizing, ended: mpsc::UnboundedSender<Ended>) -> Threads {
        Threads {
            figures: pool.dispatcher.figures(),
            pool,
            sizing: RefCell::new(sizing),
            ended,
            alive: RefCell::default(),
            next_id: Cell::new(NonZeroU64::MIN),
            abandoned: RefCell::default(),
            leaving: RefCell::default(),
            stopping: Cell::new(false),
            complained: Cell::new(None),
            process_max_said: Cell::new(false),
        }
    }

    /// Boots the threads that the pool has from the start.
    ///
    /// # Errors
    ///
    /// Not one can be started. Where some can, the others are tried again later.
    pub fn start(&self) -> Result<(), String> {
        let wanted = self.sizing.borrow().at_start();
        let booted = self.boot_some(wanted)?;
        if booted == 0 && wanted > 0 && !self.process_max_said.get() {
            return Err("cannot start a PHP thread".to_owned());
        }
        Ok(())
    }

    /// Requests wait.
    pub fn grow(&self) {
        if php::any_fault() {
            return self.keep_one();
        }
        let counts = self.counts();
        let decision = self.sizing.borrow_mut().grow(counts);
        self.carry_out(decision);
    }

    /// In a process that has crashed, as little as possible is started: one thread, where there is none and requests wait.
    fn keep_one(&self) {
        if self.alive.borrow().is_empty()
            && self.pool.dispatcher.any_queued()
            && let Err(message) = self.boot_some(1)
        {
            self.complain(&message);
        }
    }

    /// Once a second.
    pub fn tick(&self) {
        if !self.stopping.get() && !php::any_fault() {
            let counts = self.counts();
            let decision = self.sizing.borrow_mut().tick(counts);
            self.carry_out(decision);
        }
        // As PHP-FPM, which looks at the queue once a second: a request that waits for an instant is none that waits.
        let load = status::load(&self.pool).0;
        self.figures.show(load.idle, load.threads - load.idle);
    }

    fn counts(&self) -> Counts {
        let expired = self.sizing.borrow().idle_timeout();
        self.pool.dispatcher.counts(expired)
    }

    fn carry_out(&self, decision: Decision) {
        if decision.reached {
            self.figures.count_reached();
        }
        if let Some(warning) = decision.warning {
            log::warning!("[pool {}] {warning}", self.pool.info.name.to_string_lossy());
        }
        if decision.boot > 0
            && let Err(message) = self.boot_some(decision.boot)
        {
            self.complain(&message);
        }
        if decision.retire > 0 {
            self.pool.dispatcher.retire(decision.retire);
        }
    }

    /// Boots up to `wanted` threads; returns how many. An error is told only where none could be.
    fn boot_some(&self, wanted: usize) -> Result<usize, String> {
        for booted in 0..wanted {
            if !self.figures.take_place() {
                if !self.process_max_said.replace(true) {
                    log::warning!(
                        "The maximum number of processes has been reached. Please review your configuration and consider \
                         raising 'process.max'"
                    );
                }
                return Ok(booted);
            }
            let Some(index) = self.pool.dispatcher.take_slot() else {
                self.figures.give_place_back();
                if !self.abandoned.borrow().is_empty() {
                    self.complain("no thread can take the place of those that are stuck (see max_abandoned_threads)");
                }
                return Ok(booted);
            };
            if let Err(e) = self.boot(index) {
                self.pool.dispatcher.release_slot(index, true);
                self.figures.give_place_back();
                let message =
                    format!("cannot start PHP thread {index}: {e} (see pm.max_children, and the limits of threads)");
                return if booted == 0 {
                    Err(message)
                } else {
                    self.complain(&message);
                    Ok(booted)
                };
            }
        }
        Ok(wanted)
    }

    fn complain(&self, message: &str) {
        if self.complained.get().is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            self.complained.set(Some(Instant::now()));
            log::error!("[pool {}] {message}", self.pool.info.name.to_string_lossy());
        }
    }

    fn boot(&self, index: usize) -> std::io::Result<()> {
        let (ended, slot) = (self.ended.clone(), self.pool.dispatcher.slots()[index].clone());
        let id = self.next_id.replace(self.next_id.get().saturating_add(1));
        let handle = php::spawn(self.pool.clone(), slot, id, move |end| {
            // The receiver is gone only when the process leaves.
            let _ = ended.send((index, end));
        })?;
        self.alive.borrow_mut().insert(index, Alive { id, handle, started: Instant::now() });
        Ok(())
    }

    /// A thread has left PHP.
    pub fn on_end(&self, (index, end): Ended) {
        if self.abandoned.borrow_mut().remove(&index).is_some() {
            log::notice!(
                "[pool {}] the abandoned thread of slot {index} has ended",
                self.pool.info.name.to_string_lossy()
            );
            self.pool.dispatcher.reclaim(index);
            return;
        }
        let ended = self.alive.borrow_mut().remove(&index);
        if end == ThreadEnd::Broken {
            log::warning!("the thread of slot {index} was left in doubt by a fatal error and is replaced");
        }
        if let Some(Alive { handle, started, .. }) = ended {
            let mut leaving = self.leaving.borrow_mut();
            leaving.retain(|handle| !handle.is_finished());
            leaving.push(handle);
            let (name, age) = (self.pool.info.name.to_string_lossy(), started.elapsed().as_secs_f64());
            log::debug!("[pool {name}] thread of slot {index} ended after {age:.6} seconds from start");
        }
        let retired = self.pool.dispatcher.was_retired(index);
        let lasting = !retired && !self.stopping.get() && !php::any_fault();
        let replaced = lasting && self.sizing.borrow().replaces();
        if !replaced {
            self.pool.dispatcher.release_slot(index, false);
            self.figures.give_place_back();
            // Somebody may wait for just this place.
            return self.grow_if_wanted();
        }
        self.pool.dispatcher.boots_again();
        // First, since the new thread may at once serve who asks for the figure.
        self.figures.count(Counted::Recycle);
        if let Err(e) = self.boot(index) {
            self.pool.dispatcher.release_slot(index, true);
            self.figures.give_place_back();
            self.complain(&format!("cannot start a PHP thread for slot {index}: {e}: trying again later"));
        }
    }

    /// The thread of slot `index` is stuck in `request`: its client is answered, and another thread takes its place.
    pub fn abandon(&self, index: usize, request: &Arc<Request>) {
        if !self.pool.dispatcher.abandon(index, Some(request)) {
            return; // it is about to end by itself
        }
        request.give_up("504 Gateway Timeout");
        self.figures.count(Counted::Abandon);
        self.lose(index);
    }

    /// A thread has crashed, and goes no further: its client is answered.
    pub fn crashed(&self, id: NonZeroU64, signal: Signal) {
        let pool = self.pool.info.name.to_string_lossy();
        let Some(index) = self.alive.borrow().iter().find_map(|(&index, alive)| (alive.id == id).then_some(index))
        else {
            return log::error!("[pool {pool}] a thread crashed on signal {} ({signal}) at its end", signal as i32);
        };
        let slot = &self.pool.dispatcher.slots()[index];
        let (request, doing) = (slot.running(), slot.row().look(View::describe));
        let between = if request.is_some() { "" } else { " after that request, or before its first one" };
        log::error!("[pool {pool}] {doing} crashed on signal {} ({signal}){between}", signal as i32);
        self.pool.dispatcher.abandon(index, request.as_ref());
        request.iter().for_each(|request| request.give_up("500 Internal Server Error"));
        self.lose(index);
    }

    /// Nobody waits for the thread of slot `index` any more. Another one takes its place, unless the process is to end.
    fn lose(&self, index: usize) {
        self.figures.give_place_back();
        // Whoever joins it might wait for ever.
        drop(self.alive.borrow_mut().remove(&index));
        self.abandoned.borrow_mut().insert(index, Instant::now());
        if self.sizing.borrow().replaces() && !self.stopping.get() && !php::any_fault() {
            if let Err(message) = self.boot_some(1) {
                self.complain(&message);
            }
        } else {
            self.grow_if_wanted();
        }
    }

    /// Threads that were left to themselves, and how long the first of them has been.
    pub fn abandoned(&self) -> (usize, Duration) {
        let abandoned = self.abandoned.borrow();
        (abandoned.len(), abandoned.values().map(Instant::elapsed).max().unwrap_or_default())
    }

    fn grow_if_wanted(&self) {
        if !self.stopping.get() {
            self.grow();
        }
    }

    /// Lets all threads leave; none is booted any more. [`Threads::on_end`] is to be called until none is left.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.pool.dispatcher.stop();
    }

    /// How many threads there are, without those that were left to themselves.
    pub fn count(&self) -> usize {
        self.alive.borrow().len()
    }

    /// Waits a while for the threads to be gone altogether: extensions are unloaded next, and what they keep per thread
    /// must have been freed.
    pub async fn join(&self) {
        let handles = self.leaving.take();
        let join = tokio::task::spawn_blocking(|| handles.into_iter().for_each(|handle| drop(handle.join())));
        if tokio::time::timeout(JOIN_PATIENCE, join).await.is_err() {
            log::warning!("a PHP thread hangs in the destructor of an extension's thread_local: not waiting for it");
        }
    }
}

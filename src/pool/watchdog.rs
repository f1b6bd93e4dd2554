//! Watches for requests that take long: `request_slowlog_timeout` and `request_terminate_timeout`, and for those that another
//! script wants to end. Runs on the main thread.
//!
//! ```text
//!  slow ──> the thread writes its own backtrace at its next opcode
//!             └─ not within a turn: it is inside C code, and is looked at from here, undisturbed
//!  time is up, or a script has sent it a signal ──> a fatal error at its next opcode, brought about by a signal; each further
//!                   turn also what its system call waits for is ended (see stuck.rs)
//!                     └─ not within force_kill_deadline: its thread is left to itself (see threads.rs)
//!                   shutdown functions that take longer than a moment: its client is answered from here
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::row::{State, View};
use super::slot::Slot;
use super::stuck::{self, CallFile};
use crate::observe::log;
use crate::observe::status::own::Counted;
use crate::php::PhpPool;
use crate::server::Request;

/// PHP-FPM does not look more often.
const SHORTEST_PERIOD: Duration = Duration::from_millis(130);

/// What a pool allows its requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// `request_slowlog_timeout`.
    pub slow: Option<Duration>,
    /// `request_terminate_timeout`.
    pub terminate: Option<Duration>,
    /// `request_terminate_timeout_track_finished`.
    pub track_finished: bool,
    /// `force_kill_deadline`.
    pub force: Option<Duration>,
    /// `max_abandoned_threads`.
    pub max_abandoned: usize,
}

/// What a turn has found.
#[derive(Default)]
pub struct Found {
    /// Threads of which the watchdog wants to know what they are blocked in: see [`Watchdog::learn_call`].
    pub unknown: Vec<i32>,
    /// Slots whose threads are stuck inside C code, and in which request.
    pub stuck: Vec<(usize, Arc<Request>)>,
}

impl Limits {
    /// How often requests are to be looked at if none is to be ended; `None`: never.
    fn period(&self) -> Option<Duration> {
        self.slow.into_iter().chain(self.terminate).min().map(|shortest| (shortest / 3).max(SHORTEST_PERIOD))
    }
}

/// How long shutdown functions, output callbacks and the like of a script whose time was up may hold up its client's answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// From this turn on, what a thread waits for is ended, because the signal alone did not help.
const FORCE_AFTER: u32 = 1;

/// A request that is to be ended, and how long its thread had had it when it was told so last.
struct Doomed {
    request: Weak<Request>,
    thread: i32,
    /// What the thread is blocked in, once the master has opened it.
    call: Option<CallFile>,
    told: Duration,
    turns: u32,
    /// When the error was found to have been raised for the first time.
    raised: Option<Duration>,
    /// What its end will be counted as; `None`: that has been done.
    step: Option<Counted>,
}

impl Doomed {
    /// Gets the thread to its next opcode; true if it is to be asked for [`Doomed::call`].
    fn press(&mut self, slot: &Slot, request: &Arc<Request>) -> bool {
        if !slot.interrupt(request) {
            return false; // it is over
        }
        if self.turns >= FORCE_AFTER
            && let Some(call) = &self.call
        {
            let step = stuck::end_wait(self.thread, call, request.descriptor(), || slot.runs(request));
            self.step = step.or(self.step);
        }
        stuck::wake(self.thread);
        self.turns += 1;
        self.call.is_none()
    }

    /// What is to be counted, once the error has been raised or the request is gone.
    fn ended(&mut self) -> Option<Counted> {
        let pending = self.request.upgrade().is_some_and(|request| request.kill_pending());
        if pending { None } else { self.step.take() }
    }
}

/// Looks after the requests of a pool.
pub struct Watchdog {
    pool: Arc<PhpPool>,
    limits: Limits,
    /// By slot: requests that have been asked for their backtrace.
    asked: HashMap<usize, Weak<Request>>,
    doomed: HashMap<usize, Doomed>,
    /// When the next request's time will be up, counted from the last turn.
    due: Option<Duration>,
}

impl Watchdog {
    /// Watches the requests of `pool`.
    pub fn new(pool: Arc<PhpPool>, limits: Limits) -> Watchdog {
        Watchdog { pool, limits, asked: HashMap::new(), doomed: HashMap::new(), due: None }
    }

    /// How long to wait for the next turn, unless a script wants to end a request before: until a request's time is up, and not
    /// long while some are to be ended. `None`: as long as that takes.
    pub fn pause(&self) -> Option<Duration> {
        let usual = if self.doomed.is_empty() { self.limits.period()? } else { SHORTEST_PERIOD };
        Some(self.due.map_or(usual, |due| due.clamp(SHORTEST_PERIOD, usual)))
    }

    /// One turn.
    pub fn look(&mut self) -> Found {
        let pool = self.pool.clone();
        self.asked.retain(|_, request| request.strong_count() > 0);
        self.doomed.retain(|_, doomed| {
            doomed.ended().into_iter().for_each(|step| pool.dispatcher.figures().count(step));
            doomed.request.strong_count() > 0
        });
        self.due = None;
        let mut found = Found::default();
        for slot in pool.dispatcher.slots() {
            // In this order: if the next request has begun in between, its time is short.
            let Some(request) = slot.running().filter(|_| !slot.abandoned()) else { continue };
            let Some((state, took)) = slot.row().at_work() else { continue };
            if state == State::Running {
                self.look_whether_slow(slot, &request, took);
            }
            // What a script whose time was up leaves behind, such as shutdown functions, has no more time of its own.
            let answering = state == State::Running && !request.finished();
            if answering || request.killed() || self.limits.track_finished {
                self.look_whether_over(slot, &request, took, &mut found);
            }
        }
        found
    }

    /// What `thread` is blocked in can be read in `file`.
    pub fn learn_call(&mut self, thread: i32, file: File) {
        if let Some(doomed) = self.doomed.values_mut().find(|doomed| doomed.thread == thread) {
            doomed.call = Some(CallFile::new(file));
        }
    }

    fn look_whether_slow(&mut self, slot: &Slot, request: &Arc<Request>, took: Duration) {
        let (Some(slow), Some(limit)) = (&self.pool.slow, self.limits.slow) else { return };
        if took < limit {
            return;
        }
        let pid = slot.row().look(|view| view.thread_id);
        if request.want_trace() {
            self.pool.dispatcher.figures().count_slow();
            self.warn(slot, took, "executing too slow", "logging");
            log::notice!("about to trace {pid}");
            self.asked.insert(slot.index(), Arc::downgrade(request));
            slot.interrupt(request);
        } else if self.asked.get(&slot.index()).is_some_and(|asked| asked.as_ptr() == Arc::as_ptr(request)) {
            self.asked.remove(&slot.index());
            // It has not come to an opcode since: it is inside C code, where its frames stand still.
            if request.take_trace()
                && let Some((frames, whole)) = slot.backtrace(request, slow.depth())
            {
                slow.write(pid, &slot.row().look(|view| view.shown.script.clone()), &frames, whole);
            }
            log::notice!("finished trace of {pid}");
        }
    }

    fn look_whether_over(&mut self, slot: &Slot, request: &Arc<Request>, took: Duration, found: &mut Found) {
        let limit = self.limits.terminate;
        let over = |took| limit.is_some_and(|limit| took >= limit);
        let known = self.doomed.get_mut(&slot.index()).filter(|doomed| doomed.request.as_ptr() == Arc::as_ptr(request));
        let doomed = match known {
            None if request.kill_pending() => self.doom(slot, request, took, None),
            None if !over(took) => {
                let due = limit.map(|limit| limit - took);
                self.due = self.due.into_iter().chain(due).min();
                return;
            }
            None => {
                self.warn(slot, took, "execution timed out", "terminating");
                request.kill();
                self.doom(slot, request, took, Some(Counted::KillByError))
            }
            // The error was raised: shutdown functions, output callbacks and the like have as long once more, altogether.
            Some(doomed) if !request.kill_pending() => {
                let raised = *doomed.raised.get_or_insert(took);
                if took.saturating_sub(raised) >= ANSWER_PATIENCE {
                    request.give_up(if request.timed_out() {
                        "504 Gateway Timeout"
                    } else {
                        "500 Internal Server Error"
                    });
                }
                if !over(took.saturating_sub(raised)) {
                    return;
                }
                (doomed.told, doomed.turns, doomed.step) = (took, 0, Some(Counted::KillByError));
                request.kill();
                doomed
            }
            Some(doomed) if self.limits.force.is_some_and(|force| took.saturating_sub(doomed.told) >= force) => {
                doomed.step = None;
                found.stuck.push((slot.index(), request.clone()));
                return self.warn(slot, took, "does not end", "leaving its thread to itself");
            }
            Some(doomed) => doomed,
        };
        if doomed.press(slot, request) {
            found.unknown.push(doomed.thread);
        }
    }

    /// `request` is to be ended from now on, which will be counted as `step`.
    fn doom(&mut self, slot: &Slot, request: &Arc<Request>, told: Duration, step: Option<Counted>) -> &mut Doomed {
        let thread = slot.row().look(|view| i32::try_from(view.thread_id)).unwrap_or_default();
        let doomed =
            Doomed { request: Arc::downgrade(request), thread, call: None, told, turns: 0, raised: None, step };
        self.doomed.entry(slot.index()).insert_entry(doomed).into_mut()
    }

    /// PHP-FPM's warning.
    fn warn(&self, slot: &Slot, took: Duration, what: &str, then: &str) {
        let pool = self.pool.info.name.to_string_lossy();
        let doing = slot.row().look(View::describe);
        log::warning!("[pool {pool}] {doing} {what} ({}.{:06} sec), {then}", took.as_secs(), took.subsec_micros());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_is_php_fpms() {
        let limits = |slow, terminate| Limits { slow, terminate, track_finished: false, ..Limits::default() };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(limits(None, None).period(), None);
        assert_eq!(limits(seconds(9), seconds(30)).period(), seconds(3));
        assert_eq!(limits(seconds(1), None).period(), Some(Duration::from_secs(1) / 3));
        assert_eq!(limits(None, Some(Duration::from_millis(100))).period(), Some(SHORTEST_PERIOD));
    }
}

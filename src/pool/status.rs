//! The pool's figures, made in one place for the status page and for `fpm_get_status()`.
//!
//! PHP-FPM's status page is answered by one of the processes that it counts. Here none of the threads does that, but the
//! figures are the same: the request for the page counts as active, in the place of an idle thread, or of one that could
//! have been started. Only the list of threads (`full`) shows none that runs it.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use super::dispatch::Load;
use crate::observe::log;
use crate::observe::status::{Snapshot, Summary, own};
use crate::php::{PhpPool, ffi};

/// What the status shows of the pool itself.
#[derive(Clone, Debug)]
pub struct PoolInfo {
    /// The pool's name.
    pub name: CString,
    /// `pm`.
    pub process_manager: &'static CStr,
    /// Whether the PHP inside shows the memory peak: from 8.4 on.
    pub shows_memory_peak: bool,
}

/// Who asks for the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The status page, whose request occupies no thread.
    StatusPage,
    /// The status page at `pm.status_listen`: PHP-FPM has processes of their own for it, which do not count.
    StatusListen,
    /// A script, whose thread is counted anyway.
    Script,
}

static POOL: OnceLock<Arc<PhpPool>> = OnceLock::new();

/// Makes the pool of this process known. There is one.
pub fn publish(pool: Arc<PhpPool>) {
    // A second pool in one process would be a programming error, and the first one stays.
    let _ = POOL.set(pool);
}

/// Queue and slots, with the part of the queue that the kernel has, and the lobby. The second figure is the most that may queue.
pub fn load(pool: &PhpPool) -> (Load, usize) {
    let (waiting, limit) = pool.backlog.pending().map_or((0, 0), |pending| (pending.waiting, pending.limit));
    // Whoever is in the lobby takes what has come.
    let asking = if pool.dispatcher.anybody_watches() { 0 } else { pool.dispatcher.lobby().asking() };
    let load = pool.dispatcher.load(waiting as usize + asking);
    (load, pool.dispatcher.queue_limit().saturating_add(limit as usize))
}

fn summary(pool: &PhpPool, asker: Asker) -> Summary {
    let dispatcher = &pool.dispatcher;
    let (load, queue_limit) = load(pool);
    let figures = dispatcher.figures();
    let (mut idle, mut active) = (load.idle, load.threads - load.idle);
    if asker == Asker::StatusPage {
        (idle, active) = with_asker(idle, active, pool.max_children);
    }
    figures.note_active(active);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Summary {
        pool: pool.info.name.to_string_lossy().into_owned(),
        process_manager: pool.info.process_manager.to_str().unwrap_or_default(),
        start_time: figures.start_time(),
        now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        accepted: figures.accepted(),
        queue: load.queue as u64,
        queue_max: figures.queue_max(),
        queue_limit: queue_limit as u64,
        idle: idle as u64,
        active: active as u64,
        active_max: figures.active_max(),
        max_children_reached: figures.reached(),
        slow_requests: figures.slow(),
        memory_peak: pool.info.shows_memory_peak.then(|| figures.memory_peak()),
        own: figures.own(),
        waits: load.waits,
    }
}

/// Idle and active with the request that asks, where no thread runs it; at most `most` together.
fn with_asker(idle: usize, active: usize, most: usize) -> (usize, usize) {
    if idle > 0 { (idle - 1, active + 1) } else { (0, active.max((active + 1).min(most))) }
}

/// The figures, with those of the threads if they are asked for.
pub fn snapshot(pool: &PhpPool, asker: Asker, threads: bool) -> Snapshot {
    let rows = pool.dispatcher.slots().iter().filter(|_| threads);
    Snapshot {
        summary: summary(pool, asker),
        threads: rows.filter_map(|slot| slot.row().view()).collect(),
        local_time: |at| log::local_time(at, c"%d/%b/%Y:%H:%M:%S %z"),
    }
}

fn long(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// The summary for a script; `None` outside a pool process.
pub fn status() -> Option<ffi::ftm_status> {
    let pool = POOL.get()?;
    let summary = summary(pool, Asker::Script);
    Some(ffi::ftm_status {
        pool: pool.info.name.as_ptr(),
        process_manager: pool.info.process_manager.as_ptr(),
        start_time: summary.start_time,
        accepted: long(summary.accepted),
        queue: long(summary.queue),
        queue_max: long(summary.queue_max),
        queue_limit: long(summary.queue_limit),
        idle: long(summary.idle),
        active: long(summary.active),
        active_max: long(summary.active_max),
        max_children_reached: long(summary.max_children_reached),
        slow_requests: long(summary.slow_requests),
        memory_peak: long(summary.memory_peak.unwrap_or(0)),
        slots: pool.dispatcher.slots().len(),
    })
}

/// Figure `index` of our own for a script; `None` where there is none.
pub fn own_figure(index: usize) -> Option<(&'static CStr, i64)> {
    let own = POOL.get()?.dispatcher.figures().own();
    Some((own::SHOWN.get(index)?.name, long(*own.get(index)?)))
}

/// Row `index` for a script; `None` where the slot has no thread at the moment.
pub fn status_slot(index: usize) -> Option<ffi::ftm_status_slot> {
    let slot = POOL.get()?.dispatcher.slots().get(index)?;
    let view = slot.row().view()?;
    Some(ffi::ftm_status_slot {
        thread_id: view.thread_id,
        state: view.state.name().as_ptr(),
        start_time: view.start_time,
        requests: long(view.requests),
        duration_us: long(view.duration.as_micros()),
        method: text(&view.shown.method),
        uri: text(&view.shown.uri),
        query: text(&view.shown.query),
        user: text(&view.shown.user),
        script: text(&view.shown.script),
        content_length: view.shown.content_length,
        cpu_percent: view.cpu_percent(),
        memory: long(view.idle_memory()),
    })
}

/// A C string in a fixed field, cut to what fits.
fn text<const N: usize>(bytes: &[u8]) -> [c_char; N] {
    let mut field = [0; N];
    for (to, from) in field[..N - 1].iter_mut().zip(bytes) {
        *to = *from as c_char;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_that_asks_is_active_in_an_idle_threads_place() {
        assert_eq!(with_asker(4, 0, 4), (3, 1));
        assert_eq!(with_asker(1, 3, 4), (0, 4));
        assert_eq!(with_asker(0, 4, 4), (0, 4), "no room for another");
        assert_eq!(with_asker(0, 0, 4), (0, 1), "one could have been started");
    }
}

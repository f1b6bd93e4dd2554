//! The pool's figures for `fpm_get_status()`.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, OnceLock};

use super::row::State;
use crate::php::{PhpPool, ffi};

/// What the status shows of the pool itself.
#[derive(Clone, Debug)]
pub struct PoolInfo {
    /// The pool's name.
    pub name: CString,
    /// `pm`.
    pub process_manager: &'static CStr,
    /// Unix time at which the pool process started.
    pub start_time: i64,
}

static POOL: OnceLock<Arc<PhpPool>> = OnceLock::new();

/// Makes the pool of this process known. There is one.
pub fn publish(pool: Arc<PhpPool>) {
    // A second pool in one process would be a programming error, and the first one stays.
    let _ = POOL.set(pool);
}

fn long(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// The summary; `None` outside a pool process.
pub fn status() -> Option<ffi::ftm_status> {
    let pool = POOL.get()?;
    let dispatcher = &pool.dispatcher;
    let load = dispatcher.load();
    Some(ffi::ftm_status {
        pool: pool.info.name.as_ptr(),
        process_manager: pool.info.process_manager.as_ptr(),
        start_time: pool.info.start_time,
        accepted: long(dispatcher.accepted()),
        queue: long(load.queue),
        queue_max: long(load.queue_max),
        queue_limit: long(dispatcher.queue_limit()),
        idle: long(load.idle),
        active: long(dispatcher.slots().len() - load.idle),
        active_max: long(load.active_max),
        recycles: long(dispatcher.slots().iter().map(|slot| slot.recycles()).sum::<u64>()),
        slots: dispatcher.slots().len(),
    })
}

/// Row `index`; `None` where the slot has no thread at the moment.
pub fn status_slot(index: usize) -> Option<ffi::ftm_status_slot> {
    let slot = POOL.get()?.dispatcher.slots().get(index)?;
    let view = slot.row().view()?;
    let state = match view.state {
        State::Idle => c"Idle",
        State::Running => c"Running",
    };
    Some(ffi::ftm_status_slot {
        thread_id: view.thread_id,
        state: state.as_ptr(),
        start_time: view.start_time,
        requests: long(view.requests),
        duration_us: long(view.duration.as_micros()),
        method: text(&view.shown.method),
        uri: text(&view.shown.uri),
        query: text(&view.shown.query),
        user: text(&view.shown.user),
        script: text(&view.shown.script),
        content_length: view.shown.content_length,
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

//! PHP threads.

use std::ffi::c_void;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::ffi;
use super::known_files::KnownFiles;
use super::logged::Logged;
use super::request::Running;
use super::script_path::PathSettings;
use crate::memory;
use crate::observe::access::AccessLog;
use crate::observe::slowlog::SlowLog;
use crate::pool::{Backlog, Dispatcher, Opcache, PoolInfo, Slot, WorkerOutput};

/// What all PHP threads of a pool have in common.
pub struct PhpPool {
    /// Where requests come from.
    pub dispatcher: Arc<Dispatcher>,
    /// `pm.max_requests`: requests after which a thread is recycled; 0: never.
    pub max_requests: u64,
    /// `pm.max_children`.
    pub max_children: usize,
    /// `thread_stack_size` in bytes.
    pub stack_size: usize,
    /// How script paths are found.
    pub paths: PathSettings,
    /// For the status.
    pub info: PoolInfo,
    /// Connections that wait in the kernel.
    pub backlog: Backlog,
    /// What becomes of what workers say.
    pub output: Arc<WorkerOutput>,
    /// `slowlog`, where requests may be slow.
    pub slow: Option<SlowLog>,
    /// `request_terminate_timeout` in seconds; 0: none.
    pub terminate_timeout: u32,
    /// opcache's restarts, where it is loaded.
    pub opcache: Option<Opcache>,
    /// `access.log`.
    pub access: Option<AccessLog>,
}

/// Why a thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadEnd {
    /// After `pm.max_requests`, or because the pool stops.
    Retired,
    /// A bailout left its state in doubt.
    Broken,
}

/// A PHP thread as the callbacks see it: C hands its address back as `slot`.
pub(super) struct PhpThread {
    pub(super) pool: Arc<PhpPool>,
    pub(super) slot: Arc<Slot>,
    pub(super) running: Option<NonNull<Running>>,
    /// The response buffer, kept from request to request.
    pub(super) buffer: Vec<u8>,
    /// Scripts that it has found.
    pub(super) known: KnownFiles,
    /// What is read from connections goes here.
    pub(super) input: Vec<u8>,
    /// What the access log tells of the request under way, once its script has ended.
    pub(super) logged: Option<Logged>,
    /// It has asked for a request.
    pub(super) asked: bool,
    /// Requests that this thread has served.
    pub(super) served: u64,
}

impl PhpThread {
    /// The request under way is over in every respect. False: there is none.
    ///
    /// # Safety
    ///
    /// The C side does not use it any more.
    pub(super) unsafe fn end_request(&mut self) -> bool {
        let Some(running) = self.running.take() else { return false };
        let lobby = self.pool.dispatcher.lobby();
        let visit = self.slot.take_visit();
        let wire = visit.as_ref().map(|visit| visit.direct.wire.clone());
        let visit = visit.and_then(|visit| lobby.keep_early(visit));
        // SAFETY: by the contract above.
        self.buffer = unsafe { Running::end(running) };
        self.slot.set_running(None);
        match (visit, wire) {
            (Some(direct), _) => lobby.end(direct),
            (None, Some(wire)) => lobby.drain(wire),
            (None, None) => {} // the main thread has it
        }
        true
    }
}

/// If a bailout skipped the end of the request, it ends with the thread.
impl Drop for PhpThread {
    fn drop(&mut self) {
        // SAFETY: the C side has returned, so it holds no pointer any more.
        unsafe { self.end_request() };
    }
}

/// How long a thread has been idle when it [gives back its memory](give_back_memory).
pub const IDLE_LONG: Duration = Duration::from_secs(2);

/// Whether a PHP thread of this process has crashed. True at once: what needs its locks may wait from then on.
pub fn any_fault() -> bool {
    // SAFETY: reads a flag.
    unsafe { ffi::ftm_faults_any() }
}

/// Gives back the memory that requests of the calling PHP thread have used. It must be waiting for its next request.
pub fn give_back_memory() {
    // SAFETY: a PHP thread that waits for a request is between requests.
    unsafe { ffi::ftm_thread_trim() }
    memory::give_back();
}

/// Boots a PHP thread in `slot`; faults of it are told under its `id`. `ended` is called on it after its engine state is freed; what C and C++ keep per thread
/// is freed after that, before the thread can be joined.
///
/// # Errors
///
/// The system has no further thread.
pub fn spawn(
    pool: Arc<PhpPool>,
    slot: Arc<Slot>,
    id: NonZeroU64,
    ended: impl FnOnce(ThreadEnd) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name(format!("php {}", slot.index())).stack_size(pool.stack_size);
    builder.spawn(move || {
        let mut this = Box::new(PhpThread {
            known: KnownFiles::new(pool.paths.remembered),
            pool,
            slot,
            running: None,
            buffer: Vec::new(),
            input: Vec::new(),
            logged: None,
            asked: false,
            served: 0,
        });
        let context: *mut PhpThread = &mut *this;
        // SAFETY: the engine is started (a PhpPool is only made then), this thread is new and ends after this call, and
        // the context outlives it.
        let end = unsafe { ffi::ftm_thread_main(context.cast::<c_void>(), id.get()) };
        drop(this);
        ended(if end == ffi::ftm_thread_end_FTM_THREAD_RETIRED { ThreadEnd::Retired } else { ThreadEnd::Broken });
    })
}

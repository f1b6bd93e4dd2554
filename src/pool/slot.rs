//! A slot: the lasting place that an OS thread occupies until it is recycled.
//!
//! ```text
//!  booting ──> idle <──> running ──> leaving (max_requests, stop, bailout) ──> booting (a new thread, the same slot)
//! ```

use std::ffi::c_void;
use std::sync::{Arc, PoisonError};

use super::row::Row;
use super::stuck;
use crate::php;
use crate::server::{Request, Visit};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// The engine's interrupt flag of the thread that occupies the slot. Valid while it is stored in [`Slot::thread`].
struct Interrupt(*mut c_void);

// SAFETY: the pointer is only handed to ftm_interrupt(), which stores to an atomic, and only under the lock that the
// owner takes to withdraw it before the flag's memory is freed.
unsafe impl Send for Interrupt {}

/// Where the backtrace of the thread that occupies the slot begins. Valid as long as [`Interrupt`].
struct Anchor(*const c_void);

// SAFETY: the pointer is only handed to ftm_backtrace(), which reads through the kernel, and only under the same lock.
unsafe impl Send for Anchor {}

/// The most bytes of a backtrace.
const TRACE_MAX: usize = 64 * 1024;

#[derive(Default)]
struct Thread {
    interrupt: Option<Interrupt>,
    anchor: Option<Anchor>,
    request: Option<Arc<Request>>,
}

impl Thread {
    fn runs(&self, request: &Arc<Request>) -> bool {
        self.request.as_ref().is_some_and(|running| Arc::ptr_eq(running, request))
    }
}

/// A place for a PHP thread.
pub struct Slot {
    index: usize,
    visit: Mutex<Option<Visit>>,
    thread: Mutex<Thread>,
    row: Row,
    /// See [`Slot::abandon`].
    abandoned: AtomicBool,
    /// See [`Slot::let_leave`].
    leaves: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// A slot without a thread.
    pub fn new(index: usize) -> Slot {
        Slot {
            index,
            visit: Mutex::new(None),
            thread: Mutex::default(),
            row: Row::default(),
            abandoned: AtomicBool::new(false),
            leaves: AtomicBool::new(false),
        }
    }

    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its row of the scoreboard.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The thread has the connection of a request for itself.
    pub fn set_visit(&self, visit: Visit) {
        *lock(&self.visit) = Some(visit);
    }

    /// Takes the connection away, or back.
    pub fn take_visit(&self) -> Option<Visit> {
        lock(&self.visit).take()
    }

    /// Takes it away if `wanted`.
    pub fn take_visit_if(&self, wanted: impl FnOnce(&Visit) -> bool) -> Option<Visit> {
        lock(&self.visit).take_if(|visit| wanted(visit))
    }

    /// Whether the thread has one.
    pub fn has_visit(&self) -> bool {
        lock(&self.visit).is_some()
    }

    /// Breaks off what the thread waits for, if it is idle, so that it looks at its state. One that is just about to wait misses
    /// that.
    pub fn wake(&self) {
        stuck::wake(self.row.look(|view| i32::try_from(view.thread_id)).unwrap_or_default());
    }

    /// The thread's engine state exists. Both must stay valid until [`Slot::leaving`].
    pub fn booted(&self, interrupt: *mut c_void, anchor: *const c_void) {
        let mut thread = lock(&self.thread);
        thread.interrupt = Some(Interrupt(interrupt));
        thread.anchor = Some(Anchor(anchor));
        drop(thread);
        self.row.booted();
    }

    /// The thread's engine state is about to go.
    pub fn leaving(&self) {
        *lock(&self.thread) = Thread::default();
        self.row.left();
    }

    /// The thread runs `request` from now on, or none.
    pub fn set_running(&self, request: Option<Arc<Request>>) {
        lock(&self.thread).request = request;
    }

    /// What the thread runs.
    pub fn running(&self) -> Option<Arc<Request>> {
        lock(&self.thread).request.clone()
    }

    /// Whether `request` is what the thread runs. Once it is not any more, it never will be again.
    pub fn runs(&self, request: &Arc<Request>) -> bool {
        lock(&self.thread).runs(request)
    }

    /// The thread's backtrace, if `request` is what it runs, and whether it is whole. The thread is not disturbed, but it
    /// cannot take another request meanwhile.
    pub fn backtrace(&self, request: &Arc<Request>, depth: u32) -> Option<(String, bool)> {
        let thread = lock(&self.thread);
        let anchor = thread.anchor.as_ref()?;
        if !thread.runs(request) {
            return None;
        }
        let mut text = vec![0u8; TRACE_MAX];
        // SAFETY: the anchor lives until leaving(), which waits for this lock; the buffer has the size that is said.
        let whole = unsafe { php::ffi::ftm_backtrace(anchor.0, depth, text.as_mut_ptr().cast(), text.len()) };
        let len = text.iter().position(|&b| b == 0).unwrap_or(0);
        Some((String::from_utf8_lossy(&text[..len]).into_owned(), whole))
    }

    /// Leaves the thread to itself: it is to take no further request. False: it does not run `request` any more.
    pub fn abandon(&self, request: Option<&Arc<Request>>) -> bool {
        let thread = lock(&self.thread);
        let running = thread.request.as_ref().map(Arc::as_ptr) == request.map(Arc::as_ptr);
        if running {
            self.abandoned.store(true, Ordering::Release);
            self.row.left();
        }
        running
    }

    /// Whether its thread was left to itself.
    pub fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// The thread, which runs a request, leaves after it.
    pub fn let_leave(&self) {
        self.leaves.store(true, Ordering::Release);
    }

    /// Whether [`Slot::let_leave`] was called since the last time.
    pub fn is_to_leave(&self) -> bool {
        self.leaves.swap(false, Ordering::AcqRel)
    }

    /// The thread that was left to itself has ended.
    pub fn reclaim(&self) {
        self.abandoned.store(false, Ordering::Release);
    }

    /// Makes the thread look at `request`'s state at its next opcode, if that is what it runs.
    pub fn interrupt(&self, request: &Arc<Request>) -> bool {
        let thread = lock(&self.thread);
        if !thread.runs(request) {
            return false;
        }
        if let Some(interrupt) = &thread.interrupt {
            // SAFETY: the flag lives until leaving(), which waits for this lock.
            unsafe { php::ffi::ftm_interrupt(interrupt.0) };
        }
        true
    }
}

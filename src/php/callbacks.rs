//! What the C side calls. Each function fences panics in: none crosses into C. What they may do, and when they are
//! called, is said in `shim/ftm.h`.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use nix::unistd::gettid;

use super::ffi;
use super::logged::Logged;
use super::request::Running;
use super::thread::PhpThread;
use crate::observe::log::{self, Level};
use crate::observe::slowlog::SlowLog;
use crate::observe::status::own::Counted;
use crate::pool::{self, About, Opcache};
use crate::server::{BodyEnd, Gone, Kill};

/// Runs `body`; a panic is logged and becomes `otherwise`.
pub(super) fn fence<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        // The panic's own message went to stderr by the default hook.
        log::alert!("internal error in a callback of a PHP thread");
        otherwise
    })
}

/// # Safety
///
/// `slot` is what [`super::spawn`] gave to `ftm_thread_main`, and this is its thread.
unsafe fn thread<'a>(slot: *mut c_void) -> &'a mut PhpThread {
    // SAFETY: by the contract above it points to a living PhpThread; callbacks do not nest, so this borrow is the only one.
    unsafe { &mut *slot.cast::<PhpThread>() }
}

/// # Safety
///
/// `request` is what `ftm_rs_next_request` gave out and `ftm_rs_request_done` has not taken back.
unsafe fn running<'a>(request: *const ffi::ftm_request) -> &'a mut Running {
    // SAFETY: `rust` is the address of the boxed Running that holds the view; callbacks do not nest.
    unsafe { &mut *(*request).rust.cast::<Running>() }
}

/// # Safety
///
/// `data` points to `len` readable bytes, or `len` is 0.
unsafe fn bytes<'a>(data: *const c_char, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { slice::from_raw_parts(data.cast(), len) }
}

fn io(result: Result<(), Gone>) -> ffi::ftm_io {
    match result {
        Ok(()) => ffi::ftm_io_FTM_IO_OK,
        Err(Gone) => ffi::ftm_io_FTM_IO_GONE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_thread_booted(slot: *mut c_void, interrupt: *mut c_void, anchor: *const c_void) {
    // SAFETY: C passes on what it was given.
    fence((), || unsafe { thread(slot) }.slot.booted(interrupt, anchor));
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_thread_leaving(slot: *mut c_void) {
    // SAFETY: C passes on what it was given.
    fence((), || unsafe { thread(slot) }.slot.leaving());
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_next_request(slot: *mut c_void) -> *const ffi::ftm_request {
    fence(std::ptr::null(), || {
        // SAFETY: C passes on what it was given.
        let thread = unsafe { thread(slot) };
        let pool = &thread.pool;
        // Where a thread has crashed, its end may hold up that of others, and their successors' start.
        if pool.max_requests > 0 && thread.served >= pool.max_requests && !super::any_fault() {
            return std::ptr::null();
        }
        let first = !std::mem::replace(&mut thread.asked, true);
        let Some(request) = pool.dispatcher.next(&thread.slot, first, &mut thread.input) else {
            return std::ptr::null();
        };
        thread.served += 1;
        thread.slot.set_running(Some(request.clone()));
        let buffer = std::mem::take(&mut thread.buffer);
        let mut running = Running::new(request, pool.clone(), buffer, &mut thread.known);
        thread.running = Some(running);
        // SAFETY: made above, and the C side does not have it yet.
        unsafe { running.as_mut() }.show(thread.slot.row());
        Running::view(running)
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_request_user(slot: *mut c_void, user: *const c_char) {
    fence((), || {
        // SAFETY: C passes on what it was given, and a NUL-terminated string.
        let (thread, user) = unsafe { (thread(slot), CStr::from_ptr(user)) };
        thread.slot.row().set_user(user.to_bytes());
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_script_ended(slot: *mut c_void, memory_peak: usize, status: i32) -> bool {
    fence(false, || {
        // SAFETY: C passes on what it was given.
        let thread = unsafe { thread(slot) };
        let memory = memory_peak as u64;
        thread.slot.row().script_ended(memory);
        thread.pool.dispatcher.figures().note_memory(memory);
        thread.logged = thread.pool.access.as_ref().map(|_| Logged::new(status));
        thread.pool.access.as_ref().is_some_and(|access| access.headers().next().is_some())
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_response_header(slot: *mut c_void, header: *const c_char, len: usize) {
    fence((), || {
        // SAFETY: C passes on what it was given, and a header with its length.
        let (thread, header) = unsafe { (thread(slot), bytes(header, len)) };
        if let (Some(logged), Some(access)) = (&mut thread.logged, &thread.pool.access) {
            logged.note_header(access, header);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_log_access(slot: *mut c_void) {
    fence((), || {
        // SAFETY: C passes on what it was given.
        let thread = unsafe { thread(slot) };
        let logged = thread.logged.take().filter(|_| !thread.slot.abandoned());
        if let (Some(logged), Some(access), Some(running)) = (logged, &thread.pool.access, thread.running) {
            // SAFETY: it lives until ftm_rs_request_done(), and callbacks do not nest.
            logged.write(access, thread.slot.row(), unsafe { running.as_ref() });
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_request_done(slot: *mut c_void, request: *const ffi::ftm_request) {
    fence((), || {
        // SAFETY: C passes on what it was given.
        let thread = unsafe { thread(slot) };
        debug_assert!(thread.running.is_some_and(|running| std::ptr::eq(Running::view(running), request)));
        // SAFETY: the C side is done with the request: that is what this call says.
        if unsafe { thread.end_request() } {
            thread.slot.row().end();
            thread.pool.output.request_ended();
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_write(request: *const ffi::ftm_request, data: *const c_char, len: usize) -> ffi::ftm_io {
    // SAFETY: C passes the current request, and PHP's output buffer with its length.
    fence(ffi::ftm_io_FTM_IO_GONE, || io(unsafe { running(request).write(bytes(data, len)) }))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_flush(request: *const ffi::ftm_request) -> ffi::ftm_io {
    // SAFETY: C passes the current request.
    fence(ffi::ftm_io_FTM_IO_GONE, || io(unsafe { running(request) }.flush()))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_stderr(request: *const ffi::ftm_request, message: *const c_char, len: usize) -> ffi::ftm_io {
    // SAFETY: C passes the current request, and a message with its length.
    fence(ffi::ftm_io_FTM_IO_GONE, || io(unsafe { running(request).message(bytes(message, len)) }))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_finish(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.finish())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_finished(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(true, || unsafe { running(request) }.request().finished())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_aborted(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(true, || unsafe { running(request) }.request().aborted())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_started(slot: *mut c_void) -> bool {
    // SAFETY: C passes on what it was given.
    fence(false, || unsafe { thread(slot) }.pool.opcache.as_ref().is_some_and(Opcache::started))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_opcache_wanted(request: *const ffi::ftm_request) {
    // SAFETY: C passes the current request.
    fence((), || unsafe { running(request) }.pool().opcache.iter().for_each(Opcache::want))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_opcache_restarts(request: *const ffi::ftm_request, restarts: u64) {
    fence((), || {
        // SAFETY: C passes the current request.
        let pool = unsafe { running(request) }.pool();
        let more = pool.opcache.as_ref().map_or(0, |opcache| opcache.note_restarts(restarts));
        (0..more).for_each(|_| pool.dispatcher.figures().count(Counted::OpcacheRestart));
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_trace_wanted(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.request().take_trace())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_trace_depth(request: *const ffi::ftm_request) -> u32 {
    // SAFETY: C passes the current request.
    fence(0, || unsafe { running(request) }.pool().slow.as_ref().map_or(0, SlowLog::depth))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_trace(request: *const ffi::ftm_request, text: *const c_char, len: usize, whole: bool) {
    fence((), || {
        // SAFETY: C passes the current request, and a text with its length.
        let (running, text) = unsafe { (running(request), bytes(text, len)) };
        if let Some(slow) = &running.pool().slow {
            let script = running.script().unwrap_or_default();
            slow.write(gettid().as_raw().into(), script, &String::from_utf8_lossy(text), whole);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_take_kill(request: *const ffi::ftm_request, why: *mut ffi::ftm_kill) -> bool {
    fence(false, || {
        // SAFETY: C passes the current request.
        let running = unsafe { running(request) };
        let signal = match running.request().take_kill() {
            None => return false,
            Some(Kill::TimeUp) => 0,
            Some(Kill::Signal(signal)) => signal,
        };
        // SAFETY: `why` points to a variable of the caller.
        unsafe { *why = ffi::ftm_kill { signal, seconds: running.pool().terminate_timeout } };
        true
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_kill_thread(request: *const ffi::ftm_request, thread: i32, signal: i32) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.pool().dispatcher.kill(thread, signal))
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_kill_pending(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.request().kill_pending())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_killed(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.request().killed())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_timed_out(request: *const ffi::ftm_request) -> bool {
    // SAFETY: C passes the current request.
    fence(false, || unsafe { running(request) }.request().timed_out())
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_param(request: *const ffi::ftm_request, name: *const c_char, len: usize) -> *const c_char {
    // SAFETY: C passes the current request, and `len` bytes.
    fence(std::ptr::null(), || unsafe { running(request).param_for_c(bytes(name, len)) })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_read_body(
    request: *const ffi::ftm_request,
    buffer: *mut c_char,
    len: usize,
    end: *mut ffi::ftm_body_end,
) -> usize {
    fence(0, || {
        // SAFETY: C passes the current request and a buffer of `len` bytes that it does not touch meanwhile.
        let (running, out) = unsafe { (running(request), slice::from_raw_parts_mut(buffer.cast::<u8>(), len)) };
        let (filled, ended) = running.request().body().read(out);
        let ended = match ended {
            None => ffi::ftm_body_end_FTM_BODY_MORE,
            Some(BodyEnd::Complete) => ffi::ftm_body_end_FTM_BODY_COMPLETE,
            Some(BodyEnd::Short) => ffi::ftm_body_end_FTM_BODY_SHORT,
            Some(BodyEnd::TimedOut) => ffi::ftm_body_end_FTM_BODY_TIMEOUT,
            Some(BodyEnd::Gone) => ffi::ftm_body_end_FTM_BODY_GONE,
        };
        // SAFETY: `end` points to a variable of the caller.
        unsafe { *end = ended };
        filled
    })
}

fn level_of(level: ffi::ftm_level) -> Level {
    match level {
        ffi::ftm_level_FTM_DEBUG => Level::Debug,
        ffi::ftm_level_FTM_NOTICE => Level::Notice,
        ffi::ftm_level_FTM_WARNING => Level::Warning,
        ffi::ftm_level_FTM_ERROR => Level::Error,
        _ => Level::Alert,
    }
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_log(level: ffi::ftm_level, message: *const c_char, len: usize) {
    // SAFETY: C passes a message with its length.
    fence((), || log::write(level_of(level), &String::from_utf8_lossy(unsafe { bytes(message, len) })));
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_message(
    request: *const ffi::ftm_request,
    level: ffi::ftm_level,
    message: *const c_char,
    len: usize,
    php: bool,
) {
    fence((), || {
        // SAFETY: C passes the current request, and a message with its length.
        let (running, message) = unsafe { (running(request), bytes(message, len)) };
        let about = if php { About::Script } else { About::Request };
        running.log(level_of(level), &String::from_utf8_lossy(message), about);
    });
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_status(out: *mut ffi::ftm_status) -> bool {
    fence(false, || {
        let Some(status) = pool::status() else { return false };
        // SAFETY: `out` points to a variable of the caller.
        unsafe { *out = status };
        true
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_own_figure(index: usize, name: *mut *const c_char, value: *mut i64) -> bool {
    fence(false, || {
        let Some(figure) = pool::own_figure(index) else { return false };
        // SAFETY: both point to variables of the caller.
        unsafe { (*name, *value) = (figure.0.as_ptr(), figure.1) };
        true
    })
}

#[unsafe(no_mangle)]
extern "C" fn ftm_rs_status_slot(index: usize, out: *mut ffi::ftm_status_slot) -> bool {
    fence(false, || {
        let Some(row) = pool::status_slot(index) else { return false };
        // SAFETY: `out` points to a variable of the caller.
        unsafe { *out = row };
        true
    })
}

//! The thread that a pool is served on.
//!
//! It is not the process's first one, which has the main arena of malloc(). Starting threads takes memory from there, and a PHP
//! thread that crashes on a corrupted heap has that arena locked as a rule, because the mark that a block is of another one is
//! lost with the rest.

use std::mem::MaybeUninit;
use std::thread;

/// Serves on the main thread until that ends.
///
/// # Errors
///
/// What `serve` says, or the system is out of something.
pub fn run<T, F>(serve: impl FnOnce() -> F + Send + 'static) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>>,
{
    let serve = || {
        block_timer_signal();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start the event loop: {e}"))?;
        let local = tokio::task::LocalSet::new();
        let end = local.block_on(&runtime, serve());
        drop(local);
        runtime.shutdown_background();
        end
    };
    let thread = thread::Builder::new().name("php-ftm".to_owned()).spawn(serve);
    let thread = thread.map_err(|e| format!("cannot start the main thread: {e}"))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The handler of PHP's execution timers wants a PHP thread: whoever else sends their signal finds none here. PHP threads
/// let it through before their first request.
fn block_timer_signal() {
    let mut timers = MaybeUninit::uninit();
    // SAFETY: the set is made before it is used, and the former mask is not asked for.
    unsafe {
        libc::sigemptyset(timers.as_mut_ptr());
        libc::sigaddset(timers.as_mut_ptr(), libc::SIGRTMIN());
        libc::pthread_sigmask(libc::SIG_BLOCK, timers.as_ptr(), std::ptr::null_mut());
    }
}

//! Threads with a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, abort()): each costs its request, and the others are finished.
//!
//! ```text
//!  fault ──> parked by the signal handler (shim/crash.c) ──> told here
//!              ├─ its client is answered; the master, told by the handler, starts a process in this one's place
//!              ├─ no connection is accepted any more; the successor takes over those that are open
//!              └─ the other requests end, or crash_drain_timeout passes ──> the signal takes its default action
//! ```

use std::ffi::c_char;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use super::control::Orders;
use super::threads::Threads;
use crate::observe::log;
use crate::php::{PhpPool, ffi};

/// How long the threads that are parked have for being ended by the main thread, beyond `crash_drain_timeout`.
const MARGIN: Duration = Duration::from_secs(2);

/// How long the end by a signal may take.
const DYING: Duration = Duration::from_secs(5);

/// Faults of this process, as they come.
pub struct Faults {
    pipe: pipe::Receiver,
    /// `crash_drain_timeout`.
    drain: Duration,
    _writer: OwnedFd,
}

impl Faults {
    /// From now on, faults of PHP threads are contained. `orders` must live as long as this. Once in a process.
    ///
    /// # Errors
    ///
    /// The system is out of descriptors.
    pub fn contain(drain: Duration, orders: &Orders) -> io::Result<Faults> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let seconds = u32::try_from((drain + MARGIN).as_secs()).unwrap_or(u32::MAX);
        let pipe = pipe::Receiver::from_owned_fd(reader)?;
        let (control, crashed) = orders.crashed();
        // SAFETY: the descriptors stay open: who drops this ends the process.
        unsafe { ffi::ftm_faults_contain(writer.as_raw_fd(), control, crashed as c_char, seconds) };
        Ok(Faults { pipe, drain, _writer: writer })
    }

    /// Waits for the next fault: the id of the thread, and the signal.
    async fn next(&self) -> io::Result<(NonZeroU64, Signal)> {
        loop {
            self.pipe.readable().await?;
            let mut bytes = [0; size_of::<ffi::ftm_fault>()];
            match self.pipe.try_read(&mut bytes) {
                Ok(len) if len == bytes.len() => {
                    let mut fault = MaybeUninit::<ffi::ftm_fault>::uninit();
                    // SAFETY: plain numbers, for which any bytes will do, and as many of them.
                    let fault = unsafe {
                        fault.as_mut_ptr().cast::<[u8; size_of::<ffi::ftm_fault>()]>().write(bytes);
                        fault.assume_init()
                    };
                    let thread = NonZeroU64::new(fault.thread).ok_or(io::ErrorKind::InvalidData)?;
                    return Ok((thread, Signal::try_from(fault.signal)?));
                }
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Looks after faults until the process ends. `first` is told of the first one.
pub async fn watch(faults: Faults, pool: Arc<PhpPool>, threads: Rc<Threads>, first: Rc<Notify>) {
    let name = pool.info.name.to_string_lossy();
    let mut over = None;
    loop {
        let next = async {
            match over {
                None => Ok(faults.next().await),
                Some(over) => tokio::time::timeout_at(over, faults.next()).await,
            }
        };
        match next.await {
            Ok(Ok((thread, signal))) => {
                // First: whoever has an answer may connect again, and is the next process's.
                pool.dispatcher.lobby().stop_accepting();
                threads.crashed(thread, signal);
            }
            Ok(Err(e)) => return log::alert!("[pool {name}] cannot learn of crashes any more: {e}"),
            Err(_) => break,
        }
        if over.is_none() {
            over = Some(tokio::time::Instant::now() + faults.drain);
            first.notify_one();
        }
    }
    let lost = pool.dispatcher.give_up_all("503 Service Unavailable");
    log::warning!(
        "[pool {name}] {lost} requests have not ended {:?} after the crash: leaving without them",
        faults.drain
    );
    end_process();
}

/// Lets the signal of the threads that crashed end the process.
pub fn end_process() -> ! {
    // SAFETY: takes nothing.
    unsafe { ffi::ftm_faults_release() };
    // For the system to write a core file.
    std::thread::sleep(DYING);
    std::process::abort()
}

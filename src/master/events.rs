//! What the master waits for: signals, pools that say they are ready, deadlines.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that the master reacts to.
const SIGNALS: [Signal; 6] =
    [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// What happened.
pub enum Event {
    /// A signal arrived.
    Signal(Signal),
    /// One of the watched descriptors has something to say.
    Readable,
    /// The deadline passed.
    Deadline,
}

/// The source of events.
pub struct Events {
    signals: SignalFd,
}

fn set() -> SigSet {
    SIGNALS.into_iter().collect()
}

impl Events {
    /// Blocks the signals and watches for them.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn watch() -> nix::Result<Events> {
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set()), None)?;
        let signals = SignalFd::with_flags(&set(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Events { signals })
    }

    /// In a forked process: signals arrive in the ordinary way again, but for SIGQUIT, which stays blocked until the pool
    /// can handle it. As under PHP-FPM, they act even if whoever started the server ignored them: the programs that scripts
    /// start would ignore them, too.
    pub fn unblock() {
        for number in SIGNALS {
            // SAFETY: no handler is set. It fails for no signal of these.
            let _ = unsafe { signal(number, SigHandler::SigDfl) };
        }
        let mut set = set();
        set.remove(Signal::SIGQUIT);
        // Fails only for an invalid `how`.
        let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&set), None);
    }

    /// Waits for the next event.
    pub fn wait(&self, watched: &[BorrowedFd<'_>], deadline: Option<Instant>) -> Event {
        loop {
            if let Ok(Some(info)) = self.signals.read_signal()
                && let Ok(signal) = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL).and_then(Signal::try_from)
            {
                return Event::Signal(signal);
            }
            let timeout = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => PollTimeout::NONE,
                Some(left) if left.is_zero() => return Event::Deadline,
                // A millisecond more, or the last one would be spent spinning.
                Some(left) => {
                    PollTimeout::try_from(left + std::time::Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(watched.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
            // EINTR is as good as a time-out: everything is looked at again.
            let _ = poll(&mut fds, timeout);
            if fds[1..].iter().any(|fd| fd.any().unwrap_or(false)) {
                return Event::Readable;
            }
        }
    }
}

//! PHP threads that wait for whoever reads the response.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::request::Gone;
use super::{Left, Wire};

/// How long one wait for a slow reader lasts before it is looked at again.
const WAIT_SLICE: Duration = Duration::from_secs(1);

/// How long a PHP thread goes on writing a batch to a full socket before it leaves the rest to the main thread. A web server
/// on the same machine takes it within that, and no other thread needs to be woken for each buffer that it empties.
const BRIEFLY: Duration = Duration::from_millis(20);

impl Wire {
    /// Waits until no more than the limit is pending; gives up when the reader takes nothing for `stalled`, or `over` says
    /// so. `drain`: what [`Wire::send`] returned. Not for the main thread, which must not wait.
    pub fn wait_for_reader(&self, drain: Left, over: impl Fn() -> bool) -> Result<(), Gone> {
        if drain.0 {
            self.drain_briefly()?;
        }
        let mut left = self.lock().waiting();
        if left <= self.limits.pending {
            return Ok(());
        }
        let mut progress = Instant::now();
        loop {
            self.poll_writable(WAIT_SLICE);
            let mut state = self.lock();
            self.flush_pending(&mut state)?;
            let waiting = state.waiting();
            if waiting <= self.limits.pending {
                return Ok(());
            }
            if waiting < left {
                left = waiting;
                progress = Instant::now();
            } else if progress.elapsed() >= self.limits.stalled {
                state.break_off();
                return Err(Gone);
            }
            if over() {
                return Err(Gone);
            }
        }
    }

    /// Writes what is pending, while the reader keeps up; then it is the main thread's. Nobody else drains meanwhile.
    fn drain_briefly(&self) -> Result<(), Gone> {
        let deadline = Instant::now() + BRIEFLY;
        loop {
            self.poll_writable(deadline.saturating_duration_since(Instant::now()));
            let mut state = self.lock();
            let flushed = self.flush_pending(&mut state);
            if flushed.is_err() || state.waiting() == 0 {
                state.draining = false;
                self.shut_if_done(&mut state);
                return flushed;
            }
            if Instant::now() >= deadline {
                self.leave_to_main(Left(true));
                return Ok(());
            }
        }
    }

    /// Waits until the socket takes more, or so long. A signal ends the wait early.
    fn poll_writable(&self, most: Duration) {
        self.poll_for(PollFlags::POLLOUT, most);
    }

    /// Waits until there is something to be read, or so long. A signal ends the wait early. Only for PHP threads.
    pub fn wait_readable(&self, most: Duration) {
        self.poll_for(PollFlags::POLLIN, most);
    }

    fn poll_for(&self, events: PollFlags, most: Duration) {
        let mut fds = [PollFd::new(self.fd.as_fd(), events)];
        // Rounded up: a wait of less than a millisecond would be none.
        let most = PollTimeout::try_from(most + Duration::from_micros(999)).unwrap_or(PollTimeout::ZERO);
        // EINTR and time-outs are the same to us: the state is looked at again.
        let _ = poll(&mut fds, most);
    }
}

//! The write side of a connection, shared by the PHP threads that answer on it and the main thread that drains it.
//!
//! ```text
//!  PHP thread ── send ──> socket takes all          (the usual case: no other thread is woken)
//!                 │
//!                 └─────> socket takes a part ──> pending ── written by the same thread, if the reader is quick
//!                                                   │     └─ else drained by the main thread
//!                                                   │
//!                                                   └ full (response_buffer): the PHP thread waits, with a deadline
//! ```
//!
//! The lock is held for non-blocking writes only, never while waiting.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::SndBuf;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockaddrLike, SockaddrStorage, getsockname, getsockopt, recv, setsockopt,
    shutdown,
};
use nix::sys::uio::writev;
use socket2::SockRef;
use tokio::sync::Notify;

use super::request::Gone;

mod wait;

/// A connection's socket and what waits to be written to it.
pub struct Wire {
    fd: OwnedFd,
    unix: bool,
    peer: Option<IpAddr>,
    state: Mutex<State>,
    /// Told when there is something pending that nobody drains yet.
    drain_wanted: Notify,
    limits: WireLimits,
}

/// Whether something is pending that the caller has to see to, because nobody drains yet.
#[must_use]
pub struct Left(bool);

/// Limits of the write side.
#[derive(Clone, Copy)]
pub struct WireLimits {
    /// `response_buffer`: bytes that may wait for a slow reader while the PHP thread goes on.
    pub pending: usize,
    /// `response_timeout`: how long a reader may take nothing before the response is given up.
    pub stalled: Duration,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// How much of `pending` has been written.
    written: usize,
    /// Somebody is draining: the main thread, or for a moment the PHP thread that wrote last.
    draining: bool,
    /// Nobody reads any more.
    broken: bool,
    /// Requests that have begun on this connection and not ended.
    active: usize,
    /// The connection ends with the last of its requests.
    closing: bool,
    /// When our side was shut down.
    shut: Option<Instant>,
    /// The socket has been full, and takes more since.
    enlarged: bool,
    /// The main thread sees to its end. Otherwise it ends when whoever holds it lets go of it.
    watched: bool,
}

impl State {
    fn waiting(&self) -> usize {
        self.pending.len() - self.written
    }

    fn break_off(&mut self) {
        self.broken = true;
        self.pending = Vec::new();
        self.written = 0;
    }
}

impl Wire {
    /// Takes over a connected, non-blocking stream socket.
    pub fn new(fd: OwnedFd, limits: WireLimits) -> Wire {
        let unix =
            getsockname::<SockaddrStorage>(fd.as_raw_fd()).is_ok_and(|a| a.family() == Some(AddressFamily::Unix));
        // Now, because the kernel forgets it when the peer has left.
        let peer =
            (!unix).then(|| SockRef::from(&fd).peer_addr().ok()?.as_socket().map(|address| address.ip())).flatten();
        Wire::accepted(fd, unix, peer, limits)
    }

    /// The same, of which it is known whether it is a unix socket, and who is at its other end.
    pub fn accepted(fd: OwnedFd, unix: bool, peer: Option<IpAddr>, limits: WireLimits) -> Wire {
        Wire { fd, unix, peer, state: Mutex::default(), drain_wanted: Notify::new(), limits }
    }

    /// From now on the main thread sees to the connection's end.
    pub fn watch(&self) {
        let mut state = self.lock();
        state.watched = true;
        self.shut_if_done(&mut state);
    }

    /// The main thread has nothing more to do with it.
    pub fn unwatch(&self) {
        self.lock().watched = false;
    }

    /// Whether nothing is left to be done on a connection that no further request may come on.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        let answered = state.waiting() == 0 && state.active == 0;
        // To close it with bytes that nobody has read would have the kernel reset it, and the client might lose the response.
        state.broken || (answered && (self.unix || !self.readable()))
    }

    /// Whether something waits to be written.
    pub fn any_pending(&self) -> bool {
        self.lock().waiting() > 0
    }

    /// Whether a read would find bytes.
    pub fn readable(&self) -> bool {
        self.poll_now(libc::POLLIN)
    }

    /// Whether the client has closed the connection; with `half`, also whether it has only ended its sending.
    pub fn hung_up(&self, half: bool) -> bool {
        self.poll_now(if half { libc::POLLRDHUP } else { 0 })
    }

    fn poll_now(&self, events: libc::c_short) -> bool {
        let mut fd = libc::pollfd { fd: self.fd.as_raw_fd(), events, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut fd, 1, 0) > 0 }
    }

    /// Whether this is a unix socket, which tells a peer that closed from one that only ended its sending.
    pub fn is_unix(&self) -> bool {
        self.unix
    }

    /// The other side's address; `None`: it has none.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// `response_timeout`: how long a reader may take nothing.
    pub fn stalled_limit(&self) -> Duration {
        self.limits.stalled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has begun.
    pub fn begin(&self) {
        self.lock().active += 1;
    }

    /// A request that had begun will never be answered.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.active = state.active.saturating_sub(1);
    }

    /// Writes whole records. What the socket does not take at once is left to the main thread. Never waits.
    pub fn post(&self, records: &[IoSlice<'_>]) -> Result<(), Gone> {
        let left = self.write(&mut self.lock(), records)?;
        self.leave_to_main(left);
        Ok(())
    }

    /// As [`Wire::post`], for PHP threads. What the socket does not take at once is left to [`Wire::wait_for_reader`], which
    /// must follow with what this returns.
    pub fn send(&self, records: &[IoSlice<'_>]) -> Result<Left, Gone> {
        self.write(&mut self.lock(), records)
    }

    fn leave_to_main(&self, left: Left) {
        if left.0 {
            self.drain_wanted.notify_one();
        }
    }

    /// Writes the last records of a request and ends it: where it is the last of a closing connection that the main thread
    /// watches, our side of the connection is shut down behind them. Never waits.
    pub fn finish(&self, records: &[IoSlice<'_>], keep_conn: bool) -> Result<(), Gone> {
        let mut state = self.lock();
        state.active = state.active.saturating_sub(1);
        state.closing |= !keep_conn;
        let result = self.write(&mut state, records).map(|left| self.leave_to_main(left));
        self.shut_if_done(&mut state);
        result
    }

    /// The connection is to end with the last of its requests.
    pub fn close_after_requests(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.shut_if_done(&mut state);
    }

    /// The connection is over, in both directions; waiting threads notice.
    pub fn hang_up(&self) {
        self.lock().break_off();
        // Fails where the peer was faster: the connection is over either way.
        let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Both);
    }

    /// How long ago our side was shut down.
    pub fn shut_for(&self) -> Option<Duration> {
        self.lock().shut.map(|at| at.elapsed())
    }

    /// Whether further requests may come.
    pub fn stays_open(&self) -> bool {
        let state = self.lock();
        !state.broken && !state.closing && state.shut.is_none()
    }

    /// Whether no request is under way and nothing is pending.
    pub fn quiet(&self) -> bool {
        let state = self.lock();
        state.active == 0 && state.waiting() == 0
    }

    /// Whether more is pending than may be.
    pub fn congested(&self) -> bool {
        self.lock().waiting() > self.limits.pending
    }

    /// Waits until something is pending that is to be drained with [`Wire::drain`].
    pub async fn drain_wanted(&self) {
        self.drain_wanted.notified().await;
    }

    /// Writes as much of what is pending as the socket takes. True when nothing is left.
    pub fn drain(&self) -> bool {
        let mut state = self.lock();
        if self.flush_pending(&mut state).is_err() || state.waiting() == 0 {
            state.draining = false;
            self.shut_if_done(&mut state);
            return true;
        }
        false
    }

    fn write(&self, state: &mut State, records: &[IoSlice<'_>]) -> Result<Left, Gone> {
        if state.broken {
            return Err(Gone);
        }
        let mut skip = 0;
        if state.waiting() == 0 {
            skip = match self.write_some(records) {
                Ok(n) => n,
                Err(nix::Error::EAGAIN) => 0,
                Err(_) => {
                    state.break_off();
                    return Err(Gone);
                }
            };
        }
        for record in records {
            let taken = skip.min(record.len());
            skip -= taken;
            state.pending.extend_from_slice(&record[taken..]);
        }
        if state.waiting() > 0 && self.enlarge(state) {
            self.flush_pending(state)?;
        }
        let left = state.waiting() > 0 && !state.draining;
        state.draining |= left;
        Ok(Left(left))
    }

    fn flush_pending(&self, state: &mut State) -> Result<(), Gone> {
        if state.broken {
            return Err(Gone);
        }
        while state.waiting() > 0 {
            match self.write_some(&[IoSlice::new(&state.pending[state.written..])]) {
                Ok(n) => state.written += n,
                Err(nix::Error::EAGAIN) => break,
                Err(_) => {
                    state.break_off();
                    return Err(Gone);
                }
            }
        }
        if state.waiting() == 0 {
            state.pending.clear();
            state.written = 0;
            // A connection that was slow once need not keep the memory for ever.
            state.pending.shrink_to(0);
        } else if state.written > state.pending.len() / 2 {
            state.pending.drain(..state.written);
            state.written = 0;
        }
        Ok(())
    }

    /// The socket is full, for the first time: from now on it takes as much as may wait here, as far as the system allows that
    /// (net.core.wmem_max), so that the writer and the reader wake each other less often. The buffers of TCP grow by themselves.
    fn enlarge(&self, state: &mut State) -> bool {
        let first = self.unix && !std::mem::replace(&mut state.enlarged, true);
        let wanted = self.limits.pending.min(1 << 30); // an int for the system, which doubles it
        first
            && getsockopt(&self.fd, SndBuf).is_ok_and(|size| size < wanted)
            && setsockopt(&self.fd, SndBuf, &wanted).is_ok()
    }

    fn write_some(&self, records: &[IoSlice<'_>]) -> nix::Result<usize> {
        loop {
            match writev(&self.fd, records) {
                Err(nix::Error::EINTR) => {}
                other => return other,
            }
        }
    }

    fn shut_if_done(&self, state: &mut State) {
        if state.watched && state.closing && state.active == 0 && state.waiting() == 0 && state.shut.is_none() {
            state.shut = Some(Instant::now());
            // Fails where the peer has gone: nothing is lost by that.
            let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Write);
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Reads what is there. `Ok(0)` is the end of the stream.
pub fn read_now(wire: &Wire, buffer: &mut [u8]) -> nix::Result<usize> {
    recv(wire.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
}

/// Appends what is there to `buffer`, up to its capacity, which must not be reached yet. `Ok(0)` is the end of the stream.
pub fn read_more(wire: &Wire, buffer: &mut Vec<u8>) -> nix::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    // SAFETY: as many bytes as are said may be written there.
    let n = unsafe { libc::recv(wire.fd.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len(), libc::MSG_DONTWAIT) };
    let n = nix::errno::Errno::result(n)?.unsigned_abs();
    // SAFETY: recv() has written that many bytes behind the others.
    unsafe { buffer.set_len(buffer.len() + n) };
    Ok(n)
}

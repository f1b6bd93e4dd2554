//! Accepting connections.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use socket2::SockAddr;
use tokio::io::Interest;

use super::wire::{Wire, WireLimits};
use super::{AllowedClients, Connections, watch};
use crate::observe::log;

/// Scripts and extensions that use select(), which takes no descriptor beyond 1023 (FD_SETSIZE), are to find free ones below
/// that: connections take few of these, and others above.
const FEW: RawFd = 256;
const DESCRIPTOR_FLOOR: RawFd = 1024;

/// How long accepting rests when the process has run out of descriptors.
pub const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How often running out of something is logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Descriptors that connections leave to scripts.
const RESERVED_DESCRIPTORS: usize = 256;

/// What every new connection passes: whether its client may connect, and which descriptor it gets.
pub struct Gate {
    clients: Option<AllowedClients>,
    descriptors: usize,
    complained: Mutex<Option<Instant>>,
}

impl Gate {
    /// Lets in who is among `clients`; `None`: everybody.
    pub fn new(clients: Option<AllowedClients>) -> Gate {
        Gate { clients, descriptors: descriptor_limit(), complained: Mutex::default() }
    }

    /// The most connections that may be open.
    pub fn most(&self) -> usize {
        self.descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(self.descriptors / 2)
    }

    /// Accepts the next connection whose client may connect. Never waits.
    ///
    /// # Errors
    ///
    /// There is none (`WouldBlock`), or the process has run out of something.
    pub fn accept(&self, listener: &OwnedFd, limits: WireLimits) -> io::Result<Wire> {
        loop {
            let (socket, address) = match accept(listener) {
                // The client was gone before it was accepted, or a signal came: the next one may be fine.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => continue,
                other => other?,
            };
            let wire = Wire::accepted(
                self.place(socket),
                address.is_unix(),
                address.as_socket().map(|address| address.ip()),
                limits,
            );
            if self.clients.as_ref().is_none_or(|clients| clients.admit(wire.peer())) {
                return Ok(wire);
            }
        }
    }

    /// A connected, non-blocking socket that somebody else has accepted; `None`: its client may not connect.
    pub fn admit(&self, socket: OwnedFd, limits: WireLimits) -> Option<Wire> {
        let wire = Wire::new(self.place(socket), limits);
        self.clients.as_ref().is_none_or(|clients| clients.admit(wire.peer())).then_some(wire)
    }

    /// Says what a failure to accept leads to, now and then.
    pub fn complain(&self, error: &io::Error) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            log::error!("cannot accept connections, which wait in the backlog: {error} (see rlimit_files)");
            *complained = Some(Instant::now());
        }
    }

    fn place(&self, socket: OwnedFd) -> OwnedFd {
        let high = self.descriptors >= 2 * DESCRIPTOR_FLOOR as usize;
        if high && (FEW..DESCRIPTOR_FLOOR).contains(&socket.as_raw_fd()) { move_up(socket) } else { socket }
    }
}

/// Accepts connections for the main thread until it is dropped. While descriptors run short, connections wait in the kernel's
/// backlog.
pub async fn accept_loop(socket: Arc<OwnedFd>, gate: Arc<Gate>, connections: Rc<Connections>) {
    let listener = match watch(socket, Interest::READABLE) {
        Ok(listener) => listener,
        Err(e) => return log::alert!("cannot watch the listening socket: {e}"),
    };
    loop {
        connections.open().wait_below(gate.most()).await;
        let Ok(mut guard) = listener.readable().await else { return };
        match gate.accept(listener.get_ref(), connections.settings().wire) {
            Ok(wire) => connections.serve_accepted(wire),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
            Err(e) => {
                gate.complain(&e);
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Accepts who has connected by now, and nobody who comes later: at a stop, they would be refused.
pub fn accept_rest(socket: &OwnedFd, gate: &Gate, connections: &Rc<Connections>) {
    while let Ok(wire) = gate.accept(socket, connections.settings().wire) {
        connections.serve_accepted(wire);
    }
}

fn accept(listener: &OwnedFd) -> io::Result<(OwnedFd, SockAddr)> {
    // SAFETY: the closure gets an address to be filled and its size, which is what accept4() wants.
    unsafe {
        let (fd, address) = SockAddr::try_init(|address, len| {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            match libc::accept4(listener.as_raw_fd(), address.cast(), len, flags) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(fd),
            }
        })?;
        // accept4() has just made this descriptor, and nobody else knows it.
        Ok((OwnedFd::from_raw_fd(fd), address))
    }
}

fn descriptor_limit() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(DESCRIPTOR_FLOOR as usize, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

fn move_up(socket: OwnedFd) -> OwnedFd {
    match fcntl(&socket, FcntlArg::F_DUPFD_CLOEXEC(DESCRIPTOR_FLOOR)) {
        // SAFETY: fcntl has just made this descriptor and nobody else knows it.
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
        Err(_) => socket, // none left up there: the low one will do
    }
}

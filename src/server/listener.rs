//! Accepting connections.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{SockFlag, accept4};
use tokio::io::Interest;

use super::{AllowedClients, Connections, watch};
use crate::observe::log;
use crate::pool::Dispatcher;

/// Connections are kept above this descriptor, so that scripts and extensions that use select(), which takes none
/// beyond 1023 (FD_SETSIZE), find free ones below it.
const DESCRIPTOR_FLOOR: RawFd = 1024;

/// How long accepting rests when the process has run out of descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How often running out of something is logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Descriptors that connections leave to scripts.
const RESERVED_DESCRIPTORS: usize = 256;

/// What every new connection passes: whether its client may connect, and which descriptor it gets.
pub struct Gate {
    clients: Option<AllowedClients>,
    descriptors: usize,
}

impl Gate {
    /// Lets in who is among `clients`; `None`: everybody.
    pub fn new(clients: Option<AllowedClients>) -> Gate {
        Gate { clients, descriptors: descriptor_limit() }
    }

    /// The most connections that may be open.
    fn most(&self) -> usize {
        self.descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(self.descriptors / 2)
    }

    /// Serves a connected, non-blocking socket, if its client may connect.
    pub fn admit(&self, socket: OwnedFd, connections: &Rc<Connections>) {
        if self.clients.as_ref().is_some_and(|clients| !clients.admit(&socket)) {
            return;
        }
        let high = self.descriptors >= 2 * DESCRIPTOR_FLOOR as usize;
        let socket = if high { move_up(socket) } else { socket };
        drop(tokio::task::spawn_local(connections.clone().serve(socket)));
    }
}

/// Accepts connections until it is dropped. While the queue of the dispatcher, if there is one, is full, or descriptors run
/// short, connections wait in the kernel's backlog.
pub async fn accept_loop(
    socket: Arc<OwnedFd>,
    gate: Rc<Gate>,
    connections: Rc<Connections>,
    dispatcher: Option<Arc<Dispatcher>>,
) {
    let listener = match watch(socket, Interest::READABLE) {
        Ok(listener) => listener,
        Err(e) => return log::alert!("cannot watch the listening socket: {e}"),
    };
    let mut complained: Option<Instant> = None;
    loop {
        if let Some(dispatcher) = &dispatcher
            && dispatcher.wait_space().await
        {
            connections.pages().note_queue(); // the backlog is at its longest
        }
        connections.open().wait_below(gate.most()).await;
        let Ok(mut guard) = listener.readable().await else { return };
        match accept4(listener.as_raw_fd(), SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC) {
            // SAFETY: accept4 has just made this descriptor and nobody else knows it.
            Ok(fd) => gate.admit(unsafe { OwnedFd::from_raw_fd(fd) }, &connections),
            Err(nix::Error::EAGAIN) => guard.clear_ready(),
            // The client was gone before it was accepted, or a signal came: the next one may be fine.
            Err(nix::Error::ECONNABORTED | nix::Error::EINTR) => {}
            Err(e) => {
                if complained.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
                    log::error!("cannot accept connections, which wait in the backlog: {e} (see rlimit_files)");
                    complained = Some(Instant::now());
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Accepts who has connected by now, and nobody who comes later: at a stop, they would be refused.
pub fn accept_rest(socket: &OwnedFd, gate: &Gate, connections: &Rc<Connections>) {
    loop {
        match accept4(socket.as_raw_fd(), SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC) {
            // SAFETY: accept4 has just made this descriptor and nobody else knows it.
            Ok(fd) => gate.admit(unsafe { OwnedFd::from_raw_fd(fd) }, connections),
            Err(nix::Error::ECONNABORTED | nix::Error::EINTR) => {}
            Err(_) => return,
        }
    }
}

fn descriptor_limit() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(DESCRIPTOR_FLOOR as usize, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

fn move_up(socket: OwnedFd) -> OwnedFd {
    if socket.as_raw_fd() >= DESCRIPTOR_FLOOR {
        return socket;
    }
    match fcntl(&socket, FcntlArg::F_DUPFD_CLOEXEC(DESCRIPTOR_FLOOR)) {
        // SAFETY: fcntl has just made this descriptor and nobody else knows it.
        Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd) },
        Err(_) => socket, // none left up there: the low one will do
    }
}

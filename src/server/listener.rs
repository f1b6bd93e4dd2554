//! Accepting connections.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{SockFlag, accept4};
use tokio::io::Interest;

use super::{Connections, watch};
use crate::observe::log;
use crate::pool::Dispatcher;

/// Connections are kept above this descriptor, so that scripts and extensions that use select(), which takes none
/// beyond 1023 (FD_SETSIZE), find free ones below it.
const DESCRIPTOR_FLOOR: RawFd = 1024;

/// How long accepting rests when the process has run out of descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The pool's listening socket, borrowed from the master for the life of the process.
struct Listener(BorrowedFd<'static>);

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Accepts connections until it is dropped. While the queue of the dispatcher is full, connections wait in the kernel's
/// backlog.
pub async fn accept_loop(listener: BorrowedFd<'static>, connections: Rc<Connections>, dispatcher: Arc<Dispatcher>) {
    let listener = match watch(Listener(listener), Interest::READABLE) {
        Ok(listener) => listener,
        Err(e) => return log::alert!("cannot watch the listening socket: {e}"),
    };
    let high = descriptors_beyond_floor();
    loop {
        dispatcher.wait_space().await;
        let Ok(mut guard) = listener.readable().await else { return };
        match accept4(listener.as_raw_fd(), SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC) {
            Ok(fd) => {
                // SAFETY: accept4 has just made this descriptor and nobody else knows it.
                let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                dispatcher.count_connection();
                let socket = if high { move_up(socket) } else { socket };
                drop(tokio::task::spawn_local(connections.clone().serve(socket)));
            }
            Err(nix::Error::EAGAIN) => guard.clear_ready(),
            Err(nix::Error::EMFILE | nix::Error::ENFILE) => {
                log::error!("out of descriptors (rlimit_files): new connections wait in the backlog");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The client was gone before it was accepted, or the like: the next one may be fine.
            Err(_) => {}
        }
    }
}

fn descriptors_beyond_floor() -> bool {
    nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .is_ok_and(|(soft, _)| soft >= 2 * DESCRIPTOR_FLOOR as u64)
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

//! Idle connections on their way from a pool's former process to the one that relieves it.
//!
//! Web servers keep connections and use them again at any moment. Whoever closes one may do so just when a request is on
//! its way, which is lost then. So a reload closes none: what is idle goes to the new process, as it is.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::passing::{self, MOST};
use super::watch;
use crate::observe::log;
use crate::pool::Dispatcher;

/// The only message there is: connections.
const CONNECTIONS: u8 = b'c';

/// Sends connections to `channel` as they come, until nobody has more. If the other side is gone they are closed.
pub async fn give(channel: OwnedFd, mut idle: mpsc::UnboundedReceiver<OwnedFd>) {
    let channel = match watch(channel, Interest::WRITABLE) {
        Ok(channel) => channel,
        Err(e) => return log::warning!("cannot hand idle connections over, which are closed: {e}"),
    };
    let mut batch = Vec::with_capacity(MOST);
    while idle.recv_many(&mut batch, MOST).await > 0 {
        if send(&channel, &batch).await.is_err() {
            return;
        }
        batch.clear();
    }
}

async fn send(channel: &AsyncFd<OwnedFd>, batch: &[OwnedFd]) -> Result<(), ()> {
    let fds: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
    loop {
        let mut guard = channel.writable().await.map_err(drop)?;
        match passing::send(channel.get_ref().as_fd(), &[CONNECTIONS], &fds) {
            Ok(()) => return Ok(()),
            Err(Errno::EAGAIN) => guard.clear_ready(),
            Err(Errno::EINTR) => {}
            // The successor has died, or has too many descriptors on their way (ETOOMANYREFS).
            Err(_) => return Err(()),
        }
    }
}

/// Serves the connections that come from `channel`, until its other end is closed.
pub async fn take(channel: OwnedFd, dispatcher: Arc<Dispatcher>) {
    let channel = match watch(channel, Interest::READABLE) {
        Ok(channel) => channel,
        Err(e) => return log::warning!("cannot take connections of the former process over: {e}"),
    };
    let mut message = [0];
    loop {
        let Ok(mut guard) = channel.readable().await else { return };
        match passing::receive(channel.get_ref().as_fd(), &mut message) {
            Ok((0, _)) => return,
            Ok((_, sockets)) => sockets.into_iter().for_each(|socket| dispatcher.lobby().take_over(socket)),
            Err(Errno::EAGAIN) => guard.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(e) => return log::warning!("connections of the former process were lost: {e}"),
        }
    }
}

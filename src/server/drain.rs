//! Slow readers: what they have not taken yet is written by the main thread, as they read.

use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::io::Interest;

use super::watch::watch;
use super::wire::Wire;
use crate::observe::log;

/// Writes what a slow reader has left pending, as it reads.
pub async fn drain(wire: Arc<Wire>) {
    // A second registration of the same socket needs a descriptor of its own; it lives as long as the reader is slow.
    let writable = wire.as_fd().try_clone_to_owned().and_then(|fd| watch(fd, Interest::WRITABLE));
    let writable = match writable {
        Ok(writable) => writable,
        Err(e) => {
            log::error!("cannot watch a slow client for writing: {e}: its connection is closed");
            return wire.hang_up();
        }
    };
    while !wire.drain() {
        match tokio::time::timeout(wire.stalled_limit(), writable.writable()).await {
            Ok(Ok(mut guard)) => guard.clear_ready(),
            Ok(Err(_)) | Err(_) => return wire.hang_up(),
        }
    }
}

//! Where idle threads wait that are not needed in the lobby.

use std::io;
use std::time::Duration;

use super::bell::Bell;
#[cfg(not(ftm_loom))]
use super::{BELL, watched};
#[cfg(not(ftm_loom))]
use nix::sys::epoll::{Epoll, EpollCreateFlags};

/// A bell that wakes the thread that has waited for the shortest time.
pub struct Bench {
    #[cfg(not(ftm_loom))]
    epoll: Epoll,
    bell: Bell,
}

impl Bench {
    #[cfg(not(ftm_loom))]
    pub(super) fn new() -> io::Result<Bench> {
        let bench = Bench { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, bell: Bell::new()? };
        bench.epoll.add(&bench.bell, watched(BELL))?;
        Ok(bench)
    }

    #[cfg(ftm_loom)]
    pub(super) fn new() -> io::Result<Bench> {
        Ok(Bench { bell: Bell::new()? })
    }

    /// Wakes one of them. Rung twice before anybody has woken, it wakes one.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Waits for the bell, or a signal, and calls `idle` when it was not rung for `patience`. Only for PHP threads.
    #[cfg(not(ftm_loom))]
    pub fn wait(&self, patience: Duration, idle: impl FnOnce()) {
        super::wait(&self.epoll, patience, idle);
    }

    #[cfg(ftm_loom)]
    pub fn wait(&self, _: Duration, _: impl FnOnce()) {
        self.bell.wait();
    }
}

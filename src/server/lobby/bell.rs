//! Waking one idle PHP thread. Rung twice before anybody has woken, it wakes one.

#[cfg(not(ftm_loom))]
pub use real::Bell;

#[cfg(ftm_loom)]
pub use model::Bell;

#[cfg(not(ftm_loom))]
mod real {
    use std::os::fd::{AsFd, BorrowedFd};

    use nix::sys::eventfd::{EfdFlags, EventFd};

    /// Watched edge-triggered, each write is an event, and nobody has to read it.
    pub struct Bell(EventFd);

    impl Bell {
        /// A bell to be watched.
        pub fn new() -> nix::Result<Bell> {
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(Bell)
        }

        /// Wakes a thread.
        pub fn ring(&self) {
            if self.0.write(1).is_err() {
                // Full after 2^64 rings: the next read empties it.
                let _ = self.0.read().and_then(|_| self.0.write(1));
            }
        }
    }

    impl AsFd for Bell {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(ftm_loom)]
mod model {
    use loom::sync::{Condvar, Mutex};

    /// The same, for models: nothing else wakes a thread there.
    #[derive(Default)]
    pub struct Bell {
        rung: Mutex<bool>,
        wake: Condvar,
    }

    impl Bell {
        pub fn new() -> nix::Result<Bell> {
            Ok(Bell::default())
        }

        pub fn ring(&self) {
            *self.rung.lock().expect("no panics") = true;
            self.wake.notify_one();
        }

        pub fn wait(&self) {
            let mut rung = self.rung.lock().expect("no panics");
            while !std::mem::take(&mut *rung) {
                rung = self.wake.wait(rung).expect("no panics");
            }
        }
    }
}

//! Calls a benched thread when nobody is in the lobby and a processor is idle.

#[cfg(ftm_loom)]
pub use model::Usher;
#[cfg(not(ftm_loom))]
pub use real::Usher;

#[cfg(not(ftm_loom))]
mod real {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::thread::{self, Thread};

    use nix::sys::signal::SigSet;

    use super::super::Dispatcher;
    use crate::observe::log;
    use crate::server::Bench;

    /// It takes next to nothing of that.
    const STACK: usize = 64 * 1024;

    /// A thread of the lowest priority (SCHED_IDLE): it runs when a processor is idle, so that those who are at work wait for
    /// something else. While all are busy it still runs some hundred times a second, which is good for those who wait where
    /// other programs keep the processors busy; [`Dispatcher::relieve`] takes back what is too much. It takes no lock, since it
    /// might keep that for long, and no memory, for the same reason.
    #[derive(Default)]
    pub struct Usher {
        wanted: AtomicBool,
        thread: OnceLock<Thread>,
    }

    impl Usher {
        /// Whether somebody is to be called as soon as a processor is idle. Under the dispatcher's lock. True: it is to be
        /// [woken](Usher::wake).
        pub fn want(&self, wanted: bool) -> bool {
            if wanted {
                !self.wanted.swap(true, Ordering::AcqRel)
            } else {
                self.wanted.store(false, Ordering::Release);
                false
            }
        }

        /// Wakes it; `bench` is what it will ring.
        pub fn wake(&self, _: &Bench) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }

        /// Starts the usher of a pool, which has none yet.
        ///
        /// # Errors
        ///
        /// The system has no further thread.
        pub fn start(dispatcher: &Arc<Dispatcher>) -> io::Result<()> {
            let pool = dispatcher.clone();
            let builder = thread::Builder::new().name("usher".to_owned()).stack_size(STACK);
            let handle = builder.spawn(move || {
                if let Err(e) = give_way() {
                    log::notice!("PHP threads may be woken although all processors are busy, since the system refuses SCHED_IDLE: {e}");
                }
                loop {
                    thread::park();
                    if pool.usher.wanted.swap(false, Ordering::AcqRel) {
                        pool.lobby.bench().ring();
                    }
                }
            })?;
            // There is none yet.
            let _ = dispatcher.usher.thread.set(handle.thread().clone());
            Ok(())
        }
    }

    /// Runs from now on when nobody else wants to. Signals are for others, who see to them at once.
    fn give_way() -> nix::Result<()> {
        SigSet::all().thread_block()?;
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: sets the calling thread's policy, from parameters that live until it returns.
        nix::Error::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) }).map(drop)
    }
}

#[cfg(ftm_loom)]
mod model {
    use std::io;
    use std::sync::Arc;

    use super::super::Dispatcher;
    use crate::server::Bench;

    /// In a model, a processor is always idle, and there is no thread of its own.
    #[derive(Default)]
    pub struct Usher;

    impl Usher {
        pub fn want(&self, wanted: bool) -> bool {
            wanted
        }

        pub fn wake(&self, bench: &Bench) {
            bench.ring();
        }

        pub fn start(_: &Arc<Dispatcher>) -> io::Result<()> {
            Ok(())
        }
    }
}

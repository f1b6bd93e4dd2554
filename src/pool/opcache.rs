//! opcache's restarts: when it is reset or full, it empties the memory that all threads run from.
//!
//! It does so at the start of a request, if nobody uses it. That is found out by locks of byte 1 of its lock file, of which a
//! process does not see its own, and so not its threads. An open file description lock on the same byte shows: while the
//! pool holds one, opcache does not restart, whoever asks for it.
//!
//! ```text
//!  restart wanted ──> no request begins ──> the running ones have ended ──> the lock is dropped ──> one request begins,
//!  (opcache_reset(),          │                                             and opcache restarts ──> the lock is held
//!   or a look once a second)  └─ not within opcache_restart_timeout: put off                        again, all begin
//! ```

use std::fs::{self, File};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use super::control::Orders;
use super::dispatch::Dispatcher;
use super::threads::Threads;
use crate::observe::log;
use crate::php::{PhpPool, ffi};
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use crate::sync::timeout;

/// The least time between two restarts.
const REST: Duration = Duration::from_secs(2);

/// How long a restart is put off for which no moment was found.
const PUT_OFF: Duration = Duration::from_secs(30);

/// So often a restart is put off before the process asks for a successor.
const MOST_PUT_OFF: u32 = 6;

/// What the links to opcache's lock file contain under `/proc/self/fd`.
const LOCK_FILES: [&str; 2] = [".ZendSem.", "memfd:opcache_lock"];

/// What the pool knows of its opcache.
pub struct Opcache {
    /// The pool's name.
    pool: String,
    /// opcache's lock file, opened once more.
    lock: File,
    wanted: Notify,
    /// The next request to begin is the one that lets opcache restart.
    alone: AtomicBool,
    begun: Notify,
    /// When somebody looked at it last, in seconds.
    looked: AtomicI64,
    restarts: AtomicU64,
    /// `opcache_restart_timeout`.
    patience: Duration,
}

impl Opcache {
    /// Finds opcache's lock file, and locks it. `None`: opcache is not loaded, or keeps nothing in memory. Before the
    /// process gives up its privileges. `patience` is `opcache_restart_timeout`.
    ///
    /// # Errors
    ///
    /// The file cannot be locked: opcache must not be used then.
    pub fn guard(pool: &str, patience: Duration) -> io::Result<Option<Opcache>> {
        for entry in fs::read_dir("/proc/self/fd")? {
            let path = entry?.path();
            let Ok(target) = fs::read_link(&path) else { continue };
            let target = target.to_string_lossy().into_owned();
            if LOCK_FILES.iter().any(|name| target.contains(name)) {
                let lock = File::options().read(true).write(true).open(&path)?;
                let number = path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(-1);
                // SAFETY: takes a plain number, and there is no PHP thread yet.
                unsafe { ffi::ftm_opcache_locks(number) };
                return Opcache::new(pool, lock, patience).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) fn new(pool: &str, lock: File, patience: Duration) -> io::Result<Opcache> {
        let opcache = Opcache {
            pool: pool.to_owned(),
            lock,
            wanted: Notify::new(),
            alone: AtomicBool::new(false),
            begun: Notify::new(),
            looked: AtomicI64::new(0),
            restarts: AtomicU64::new(0),
            patience,
        };
        opcache.set_lock(libc::F_RDLCK)?;
        Ok(opcache)
    }

    fn set_lock(&self, kind: libc::c_int) -> io::Result<()> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 1,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&self.lock, FcntlArg::F_OFD_SETLK(&lock))?;
        Ok(())
    }

    /// opcache wants to restart.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// A request has begun in PHP. True for one in a second, and for the one that let opcache restart.
    pub fn started(&self) -> bool {
        if self.alone.load(Ordering::Acquire) && self.alone.swap(false, Ordering::AcqRel) {
            self.begun.notify_one();
            return true;
        }
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |time| time.tv_sec());
        self.looked.load(Ordering::Relaxed) != now && self.looked.swap(now, Ordering::Relaxed) != now
    }

    /// False: no moment was found.
    pub(super) async fn try_restart(&self, dispatcher: &Dispatcher, any_abandoned: impl Fn() -> bool) -> bool {
        dispatcher.close_gate();
        let quiet = timeout(self.patience, dispatcher.quiet()).await.is_ok();
        // A thread that was left to itself may still come back to a script of the cache.
        if !quiet || any_abandoned() {
            dispatcher.open_gate();
            return false;
        }
        self.change_lock(libc::F_UNLCK);
        self.alone.store(true, Ordering::Release);
        dispatcher.open_gate_for_one();
        let mut begun = true;
        while timeout(self.patience, self.begun.notified()).await.is_err() {
            if dispatcher.any_queued() {
                // The one has not begun, or does not get ahead, while others wait.
                begun = false;
                break;
            }
        }
        self.change_lock(libc::F_RDLCK);
        let late = self.alone.swap(false, Ordering::AcqRel);
        if !begun && !late {
            self.begun.notified().await; // it has begun just now
            begun = true;
        }
        dispatcher.open_gate();
        begun
    }

    fn change_lock(&self, kind: libc::c_int) {
        if let Err(e) = self.set_lock(kind) {
            log::error!("[pool {}] cannot change the lock of opcache's lock file: {e}", self.pool);
        }
    }

    /// opcache has restarted so often; returns how often since the last time.
    pub fn note_restarts(&self, restarts: u64) -> u64 {
        restarts.saturating_sub(self.restarts.fetch_max(restarts, Ordering::Relaxed))
    }
}

/// Lets opcache restart when it wants to. Where no moment is found for that, the process asks for a successor, which has an
/// empty cache.
pub async fn restart(pool: Arc<PhpPool>, threads: Rc<Threads>, orders: Rc<Orders>) {
    let Some(opcache) = &pool.opcache else { return };
    let name = pool.info.name.to_string_lossy();
    let mut put_off = 0;
    loop {
        opcache.wanted.notified().await;
        let any_abandoned = || threads.abandoned().0 > 0;
        if !any_abandoned() && opcache.try_restart(&pool.dispatcher, any_abandoned).await {
            put_off = 0;
            tokio::time::sleep(REST).await;
            // Who asked before that has been served; a look tells if there is more to do.
            let _ = tokio::time::timeout(Duration::ZERO, opcache.wanted.notified()).await;
            continue;
        }
        put_off += 1;
        log::notice!("[pool {name}] opcache is to restart, and requests do not end for it: put off for {PUT_OFF:?}");
        if put_off >= MOST_PUT_OFF {
            orders.ask_successor();
        }
        tokio::time::sleep(PUT_OFF).await;
        opcache.want();
    }
}

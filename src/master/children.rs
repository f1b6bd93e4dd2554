//! The pool processes: started, watched, replaced when they die.
//!
//! ```text
//!  starting ── says it is ready ──> serving ── dies ──> (back-off, if it keeps dying) ──> starting
//! ```

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe2};

use super::events::Events;
use super::{PoolSocket, become_pool};
use crate::cli::exit;
use crate::observe::log;
use crate::php::EngineSettings;
use crate::pool::PoolStart;

/// A pool process that lived shorter than this has failed; the next one is started with a delay that doubles, up to a
/// limit for processes that never served and one for those that did.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY_SERVING: Duration = Duration::from_millis(400);
const FIRST_DELAY: Duration = Duration::from_millis(100);

struct Process {
    pid: Pid,
    started: Instant,
    /// Read: the pool says that it is ready. `None` once it has, or cannot any more.
    ready: Option<File>,
    /// It has said so.
    serves: bool,
    /// Its other end is in the pool process, which notices when this one is closed: by the master's death.
    _lifeline: OwnedFd,
}

#[derive(Default)]
struct Child {
    process: Option<Process>,
    /// Short lives in a row.
    failures: u32,
    /// When to start the next one.
    start_at: Option<Instant>,
}

/// The pools and their processes.
pub struct Children {
    pools: Vec<PoolSocket>,
    children: Vec<Child>,
    engine: EngineSettings,
    ready_said: bool,
    /// The pool that could not start while the server came up.
    failed: Option<String>,
}

impl Children {
    /// No process is started yet.
    pub fn new(pools: Vec<PoolSocket>, engine: EngineSettings) -> Children {
        let children = pools.iter().map(|_| Child::default()).collect();
        Children { pools, children, engine, ready_said: false, failed: None }
    }

    /// How many pools there are.
    pub fn len(&self) -> usize {
        self.pools.len()
    }

    /// The pools.
    pub fn pools(&self) -> &[PoolSocket] {
        &self.pools
    }

    /// Forks a process for the pool of this index.
    ///
    /// # Errors
    ///
    /// The system refuses to fork or to make a pipe.
    pub fn start(&mut self, index: usize) -> std::io::Result<()> {
        let (ready_read, ready_write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let (life_read, life_write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let listener = self.pools[index].socket.as_fd().try_clone_to_owned()?;
        let log_fd = log::descriptor()?;
        // SAFETY: the master has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                self.children[index].process = Some(Process {
                    pid: child,
                    started: Instant::now(),
                    ready: Some(File::from(ready_read)),
                    serves: false,
                    _lifeline: life_write,
                });
                self.children[index].start_at = None;
                Ok(())
            }
            ForkResult::Child => {
                Events::unblock();
                let pool = self.pools[index].pool.clone();
                // What belongs to other pools is none of this one's business.
                self.children.clear();
                self.pools.clear();
                drop((ready_read, life_write));
                let engine = std::mem::take(&mut self.engine);
                become_pool(
                    PoolStart { pool: &pool, listener, ready: ready_write, lifeline: life_read, engine },
                    log_fd,
                )
            }
        }
    }

    /// The descriptors on which pools say that they are ready.
    pub fn readiness(&self) -> Vec<(usize, BorrowedFd<'_>)> {
        self.children
            .iter()
            .enumerate()
            .filter_map(|(index, child)| Some((index, child.process.as_ref()?.ready.as_ref()?.as_fd())))
            .collect()
    }

    /// The pool of this index serves, or never will.
    pub fn is_ready(&mut self, index: usize) {
        let Some(process) = &mut self.children[index].process else { return };
        let mut byte = [0];
        process.serves = process.ready.take().is_some_and(|mut ready| matches!(ready.read(&mut byte), Ok(1)));
        if process.serves && !self.ready_said && self.children.iter().all(Child::serves) {
            self.ready_said = true;
            log::notice!("ready to handle connections");
        }
    }

    /// Looks after processes that have ended; replaces them unless the server is `stopping`.
    pub fn reap(&mut self, stopping: bool) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { return };
            let running = |child: &Child| child.process.as_ref().is_some_and(|process| process.pid == pid);
            let Some(index) = self.children.iter().position(running) else { continue };
            let Some(process) = self.children[index].process.take() else { continue };
            self.report(index, &process, status);
            if !self.ready_said && !process.serves && matches!(status, WaitStatus::Exited(_, exit::SOFTWARE)) {
                self.failed.get_or_insert_with(|| self.pools[index].pool.name.clone());
            } else if !stopping {
                self.schedule(index, &process);
            }
        }
    }

    /// The pool, if any, that said it cannot run before the server had come up. Trying again would not help: what it said
    /// why (it is in the log) needs an administrator, who is better told now than by a server that never serves.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    fn report(&self, index: usize, process: &Process, status: WaitStatus) {
        let name = &self.pools[index].pool.name;
        let (pid, age) = (process.pid, process.started.elapsed().as_secs_f64());
        match status {
            WaitStatus::Exited(_, 0) => {
                log::notice!("[pool {name}] child {pid} exited with code 0 after {age:.6} seconds from start");
            }
            WaitStatus::Exited(_, code) => {
                log::warning!("[pool {name}] child {pid} exited with code {code} after {age:.6} seconds from start");
            }
            WaitStatus::Signaled(_, signal, core) => {
                let core = if core { " - core dumped" } else { "" };
                log::warning!(
                    "[pool {name}] child {pid} exited on signal {} ({signal}){core} after {age:.6} seconds from start",
                    signal as i32
                );
            }
            _ => {}
        }
    }

    /// Starts the next process: at once after a life of some length, with a growing delay after short ones. The delay of
    /// a pool that did serve stays small: what a script does to it costs the others that much.
    fn schedule(&mut self, index: usize, ended: &Process) {
        let child = &mut self.children[index];
        child.failures = if ended.started.elapsed() < SHORT_LIFE { child.failures + 1 } else { 0 };
        let longest = if ended.serves { LONGEST_DELAY_SERVING } else { LONGEST_DELAY };
        let delay = match child.failures {
            0 | 1 => Duration::ZERO,
            n => (FIRST_DELAY * 2u32.saturating_pow((n - 2).min(16))).min(longest),
        };
        if !delay.is_zero() {
            log::warning!(
                "[pool {}] keeps ending right after its start: next try in {delay:?}",
                self.pools[index].pool.name
            );
        }
        child.start_at = Some(Instant::now() + delay);
        self.start_due();
    }

    /// When the next process is due.
    pub fn next_start(&self) -> Option<Instant> {
        self.children.iter().filter_map(|child| child.start_at).min()
    }

    /// Starts the processes that are due.
    pub fn start_due(&mut self) {
        for index in 0..self.children.len() {
            if self.children[index].start_at.is_none_or(|at| at > Instant::now()) {
                continue;
            }
            let name = self.pools[index].pool.name.clone();
            match self.start(index) {
                Ok(()) => {
                    let pid = self.children[index].process.as_ref().map_or(getpid(), |process| process.pid);
                    log::notice!("[pool {name}] child {pid} started");
                }
                Err(e) => {
                    log::error!("[pool {name}] fork() failed: {e}");
                    self.children[index].start_at = Some(Instant::now() + SHORT_LIFE);
                }
            }
        }
    }

    /// Sends a signal to every pool process.
    pub fn signal_all(&self, signal: Signal) {
        for process in self.children.iter().filter_map(|child| child.process.as_ref()) {
            // It may just have ended: its SIGCHLD is on its way.
            let _ = kill(process.pid, signal);
        }
    }

    /// Whether no process is left.
    pub fn all_gone(&self) -> bool {
        self.children.iter().all(|child| child.process.is_none())
    }
}

impl Child {
    fn serves(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.serves)
    }
}

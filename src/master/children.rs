//! The pools' processes: started, watched, replaced when they die.
//!
//! ```text
//!  starting ── says it is ready ──> serving ── dies ──> (back-off, if it keeps dying) ──> starting
//!                                       └── a reload: its successor serves ──> finishing
//! ```

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork, getpid};

use super::events::Events;
use super::notify::Totals;
use super::output::Output;
use super::process::{Heard, Process};
use super::{PoolSocket, become_pool};
use crate::cli::exit;
use crate::observe::status::own::Counted;
use crate::observe::{log, title};
use crate::php::EngineSettings;
use crate::pool::figures::Figures;
use crate::pool::{PoolFiles, PoolStart, control};

/// A pool process that lived shorter than this has failed; the next one is started with a delay that doubles, up to a
/// limit for processes that never served and one for those that did.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY_SERVING: Duration = Duration::from_millis(400);
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// How long those who are relieved may take to stop accepting before the server calls itself ready all the same.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10);

/// So many crashed processes of a pool may finish their requests at the same time.
const MOST_CRASHED: usize = 8;

/// Whether a process died by its own doing.
fn is_fault(status: WaitStatus) -> bool {
    use Signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS};
    matches!(status, WaitStatus::Signaled(_, SIGABRT | SIGBUS | SIGFPE | SIGILL | SIGSEGV | SIGSYS, _))
}

/// Counts a crash of a process that is not the pool's only one any more, if there still is such a pool.
fn count_crash(pools: &[PoolSocket], figures: Figures, pool: &str) {
    if let Some(index) = pools.iter().position(|socket| socket.pool.name == pool) {
        figures.of(index, 0).count(Counted::Crash);
    }
}

#[derive(Default)]
struct Child {
    process: Option<Process>,
    /// Short lives in a row.
    failures: u32,
    /// When to start the next one.
    start_at: Option<Instant>,
    /// How often a process was relieved by the next.
    generation: usize,
}

impl Child {
    fn serves(&self) -> bool {
        self.process.as_ref().is_some_and(Process::serves)
    }
}

/// The pools and their processes.
pub struct Children {
    pools: Vec<PoolSocket>,
    children: Vec<Child>,
    /// Processes of the former configuration. They serve until their successors do.
    former: Vec<Process>,
    engine: EngineSettings,
    figures: Figures,
    /// All serve, and the former processes have until then to stop accepting.
    closing: Option<Instant>,
    ready_said: bool,
    reloaded: bool,
    /// The pool that could not start while the server came up.
    failed: Option<String>,
}

impl Children {
    /// No process of `pools` is started yet. `reloaded`: another master did that before, whose processes are `former`.
    pub fn new(
        pools: Vec<PoolSocket>,
        engine: EngineSettings,
        figures: Figures,
        former: Vec<Process>,
        reloaded: bool,
    ) -> Children {
        let children = pools.iter().map(|_| Child::default()).collect();
        Children { pools, children, former, engine, figures, closing: None, ready_said: false, reloaded, failed: None }
    }

    /// The pools.
    pub fn pools(&self) -> &[PoolSocket] {
        &self.pools
    }

    /// Forks a process for each pool.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn start_all(&mut self) -> std::io::Result<()> {
        (0..self.children.len()).try_for_each(|index| self.start(index))
    }

    fn start(&mut self, index: usize) -> std::io::Result<()> {
        let (master_end, pool_end) = control::pair()?;
        let PoolSocket { pool, bound, files } = &self.pools[index];
        let listener = bound.listen.socket.socket.as_fd().try_clone_to_owned()?;
        let status = bound.status.as_ref().map(|bound| bound.socket.socket.as_fd().try_clone_to_owned()).transpose()?;
        let files = files.try_clone()?;
        let figures = self.figures.of(index, self.children[index].generation);
        let log_fd = log::descriptor()?;
        let (output, worker_ends) = Output::pipes(pool)?;
        // SAFETY: the master has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                self.children[index].process = Some(Process::new(pool.name.clone(), child, master_end, output));
                self.children[index].start_at = None;
                Ok(())
            }
            ForkResult::Child => {
                Events::unblock();
                let pool = pool.clone();
                title::set(&format!("php-ftm: pool {}", pool.name));
                // What belongs to other pools is none of this one's business.
                self.children.clear();
                self.former.clear();
                self.pools.clear();
                drop((master_end, output));
                let engine = std::mem::take(&mut self.engine);
                become_pool(
                    PoolStart { pool: &pool, listener, status, files, control: pool_end, figures, engine },
                    log_fd,
                    worker_ends,
                )
            }
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.children.iter().filter_map(|child| child.process.as_ref()).chain(&self.former)
    }

    fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.children.iter_mut().filter_map(|child| child.process.as_mut()).chain(&mut self.former)
    }

    /// The channels to the processes, and their output.
    pub fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.processes().flat_map(Process::watched)
    }

    /// Logs what the processes have written.
    pub fn log_output(&mut self) {
        self.processes_mut().for_each(Process::log_output);
    }

    /// Listens to the processes. Where one serves, its predecessors are relieved, and have `patience` to finish. `running`:
    /// the server is not about to stop. True if now, for the first time, all serve, and whoever connects comes to them.
    pub fn listen(&mut self, patience: Duration, running: bool) -> bool {
        for former in &mut self.former {
            if former.listen() == Heard::Crashed {
                count_crash(&self.pools, self.figures, &former.pool);
            }
        }
        let (mut worn, mut crashed) = (Vec::new(), Vec::new());
        for (index, child) in self.children.iter_mut().enumerate() {
            let Some(process) = &mut child.process else { continue };
            match process.listen() {
                Heard::Ready => {
                    let relieved = self.former.iter_mut().filter(|former| former.pool == process.pool);
                    relieved.for_each(|former| former.relieve(process, patience));
                }
                Heard::WantsSuccessor if running => worn.push(index),
                Heard::Crashed if running => crashed.push(index),
                Heard::WantsSuccessor | Heard::Crashed | Heard::Nothing => {}
            }
        }
        worn.into_iter().for_each(|index| self.replace(index));
        crashed.into_iter().for_each(|index| self.crashed(index));
        if self.ready_said || self.children.is_empty() || !self.children.iter().all(Child::serves) {
            self.closing = None;
            return false;
        }
        if self.closing.is_none() {
            // Those whose pools are gone.
            self.former.iter_mut().for_each(|former| former.finish(patience));
        }
        let latest = *self.closing.get_or_insert_with(|| Instant::now() + CLOSING_PATIENCE);
        if latest > Instant::now() && self.former.iter().any(Process::accepts) {
            return false;
        }
        (self.ready_said, self.closing) = (true, None);
        true
    }

    /// Starts a new process beside one that is worn out, and relieves that when it serves.
    fn replace(&mut self, index: usize) {
        let Some(worn) = self.children[index].process.take() else { return };
        self.next_generation(index);
        let (pool, pid) = (worn.pool.clone(), worn.pid);
        // Before the fork, of which the child drops what is not its own.
        self.former.push(worn);
        match self.start(index) {
            Ok(()) => log::notice!("[pool {pool}] child {pid} is to be replaced, as it asks for"),
            Err(e) => {
                log::error!("[pool {pool}] fork() failed: {e}");
                self.children[index].process = self.former.pop();
            }
        }
    }

    /// A thread of a process has crashed: another process is started, while that one finishes what it has begun.
    fn crashed(&mut self, index: usize) {
        let Some(process) = self.children[index].process.take() else { return };
        self.figures.of(index, self.children[index].generation).count(Counted::Crash);
        self.next_generation(index);
        self.plan(index, &process);
        self.former.push(process);
        self.start_due();
    }

    /// The next process finds the room of the one before it, which is to be relieved.
    fn next_generation(&mut self, index: usize) {
        let child = &mut self.children[index];
        self.figures.relieved(index, child.generation);
        child.generation += 1;
    }

    /// Whether each pool serves, and relieves its former process, or has failed to.
    pub fn settled(&self) -> bool {
        self.closing.is_none() && self.children.iter().all(|child| child.serves() || child.failures > 0)
    }

    /// A process has ended: it is replaced, unless the server is `stopping`.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus, stopping: bool) {
        if let Some(at) = self.former.iter().position(|former| former.pid == pid) {
            let mut former = self.former.swap_remove(at);
            if is_fault(status) && !former.crashed() {
                count_crash(&self.pools, self.figures, &former.pool);
            }
            former.report_end(status);
            return;
        }
        let running = |child: &Child| child.process.as_ref().is_some_and(|process| process.pid == pid);
        let Some(index) = self.children.iter().position(running) else { return };
        let Some(mut process) = self.children[index].process.take() else { return };
        let generation = self.children[index].generation;
        self.figures.ended(index, generation);
        if is_fault(status) && !process.crashed() {
            self.figures.of(index, generation).count(Counted::Crash);
        }
        process.report_end(status);
        let unfit = !process.serves() && matches!(status, WaitStatus::Exited(_, exit::SOFTWARE));
        if !self.ready_said && !self.reloaded && unfit {
            self.failed.get_or_insert(process.pool);
        } else if !stopping {
            self.plan(index, &process);
            self.start_due();
        }
    }

    /// The pool, if any, that said it cannot run before the server had come up. Trying again would not help: what it said
    /// why (it is in the log) needs an administrator, who is better told now than by a server that never serves.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// When the next process starts: at once after a life of some length, with a growing delay after short ones. The delay
    /// of a pool that did serve stays small: what a script does to it costs the others that much.
    fn plan(&mut self, index: usize, ended: &Process) {
        let child = &mut self.children[index];
        child.failures = if ended.age() < SHORT_LIFE { child.failures + 1 } else { 0 };
        let longest = if ended.serves() { LONGEST_DELAY_SERVING } else { LONGEST_DELAY };
        let delay = match child.failures {
            0 | 1 => Duration::ZERO,
            n => (FIRST_DELAY * 2u32.saturating_pow((n - 2).min(16))).min(longest),
        };
        if !delay.is_zero() {
            log::warning!("[pool {}] keeps ending right after its start: next try in {delay:?}", ended.pool);
        }
        child.start_at = Some(Instant::now() + delay);
    }

    /// When something is due: a process to be started, or to be sent its next signal, or the server to call itself ready.
    pub fn deadline(&self) -> Option<Instant> {
        let starts = self.children.iter().filter_map(|child| child.start_at);
        starts.chain(self.processes().filter_map(Process::deadline)).chain(self.closing).min()
    }

    /// Starts the processes that are due.
    pub fn start_due(&mut self) {
        for index in 0..self.children.len() {
            if self.children[index].start_at.is_none_or(|at| at > Instant::now()) {
                continue;
            }
            let name = self.pools[index].pool.name.clone();
            if self.former.iter().filter(|former| former.crashed() && former.pool == name).count() >= MOST_CRASHED {
                log::warning!(
                    "[pool {name}] {MOST_CRASHED} processes that have crashed still finish their requests: the next one \
                     has to wait for one of them"
                );
                self.children[index].start_at = Some(Instant::now() + SHORT_LIFE);
                continue;
            }
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

    /// Figures of all pools.
    pub fn totals(&self) -> Totals {
        let (active, idle, requests, slow) = self.figures.totals();
        Totals { active, idle, requests, slow }
    }

    /// Sends the signals that are due.
    pub fn escalate(&mut self) {
        self.processes_mut().for_each(Process::escalate);
    }

    /// All are to finish their requests.
    pub fn finish_all(&mut self, patience: Duration) {
        self.start_no_more();
        self.processes_mut().for_each(|process| process.finish(patience));
    }

    /// All are to end at once.
    pub fn terminate_all(&mut self, patience: Duration) {
        self.start_no_more();
        self.processes_mut().for_each(|process| process.terminate(patience));
    }

    fn start_no_more(&mut self) {
        self.children.iter_mut().for_each(|child| child.start_at = None);
    }

    /// Whether no process is left.
    pub fn all_gone(&self) -> bool {
        self.processes().next().is_none()
    }

    /// Describes all processes to the master that takes over.
    pub fn hand_over(&self) -> Vec<(String, Vec<BorrowedFd<'_>>)> {
        self.processes().filter_map(Process::hand_over).collect()
    }

    /// Opens the pools' logs again and hands them to the processes, with the error log. False: no pool has an access log.
    ///
    /// # Errors
    ///
    /// What could not be opened, and stays as it was.
    pub fn reopen_logs(&mut self, error_log: Option<BorrowedFd<'_>>) -> Result<bool, String> {
        let mut result = Ok(false);
        for (PoolSocket { pool, files, .. }, child) in self.pools.iter_mut().zip(&self.children) {
            match PoolFiles::open(pool) {
                Ok(opened) => {
                    result = result.map(|any| any || opened.access.is_some());
                    *files = opened;
                }
                Err(message) => result = Err(message),
            }
            if let Some(control) = child.process.as_ref().and_then(Process::control)
                && let Err(e) = control.send_logs(error_log, files)
            {
                log::error!("[pool {}] cannot hand over the log files: {e}", pool.name);
            }
        }
        let none = PoolFiles::default();
        for former in &self.former {
            let files = self.pools.iter().find(|pool| pool.pool.name == former.pool).map_or(&none, |pool| &pool.files);
            if let Some(control) = former.control() {
                // It may be about to leave.
                let _ = control.send_logs(error_log, files);
            }
        }
        result
    }
}

//! A pool process as the master knows it, and how it is brought to an end.
//!
//! ```text
//!  running ── finish: QUIT ──> has `patience` ── TERM ──> has a second ── KILL, every second
//!     └────── terminate: TERM ─────────────────> has `patience`, but at least a second ──┘
//! ```

use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::output::Output;
use crate::observe::log;
use crate::pool::control::{MasterEnd, Said};

/// How often a process that ignores SIGTERM is sent SIGKILL.
const KILL_INTERVAL: Duration = Duration::from_secs(1);

/// How its end goes on when it takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Nobody asked for it.
    No,
    /// It was sent QUIT; `None`: it may finish in its own time.
    Finishing(Option<Instant>),
    /// It was sent TERM, and is sent KILL from this moment on.
    Terminating(Instant),
}

/// A pool process.
pub struct Process {
    /// The pool's name.
    pub pool: String,
    /// Its id.
    pub pid: Pid,
    started: Instant,
    control: Option<MasterEnd>,
    output: Output,
    serves: bool,
    /// Who connects may come to it.
    accepts: bool,
    crashed: bool,
    stop: Stop,
}

/// What a process has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that its owner has to act on.
    Nothing,
    /// It serves from now on.
    Ready,
    /// It is to be replaced.
    WantsSuccessor,
    /// A thread of it has crashed: it is to be replaced at once.
    Crashed,
}

impl Process {
    /// One that has just been forked.
    pub fn new(pool: String, pid: Pid, control: MasterEnd, output: Output) -> Process {
        Process {
            pool,
            pid,
            started: Instant::now(),
            control: Some(control),
            output,
            serves: false,
            accepts: true,
            crashed: false,
            stop: Stop::No,
        }
    }

    /// Whether it has said that it serves.
    pub fn serves(&self) -> bool {
        self.serves
    }

    /// Whether somebody who connects may still come to it.
    pub fn accepts(&self) -> bool {
        self.accepts
    }

    /// Whether it has said that a thread of it has crashed.
    pub fn crashed(&self) -> bool {
        self.crashed
    }

    /// How long ago it was forked.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The channel to it, while it is open.
    pub fn control(&self) -> Option<&MasterEnd> {
        self.control.as_ref()
    }

    /// What is to be watched for [`Process::listen`] and [`Process::log_output`].
    pub fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.control.iter().map(AsFd::as_fd).chain(self.output.watched())
    }

    /// Logs what it has written to its standard streams.
    pub fn log_output(&mut self) {
        self.output.read(&self.pool, self.pid.as_raw().into());
    }

    /// Listens to it.
    pub fn listen(&mut self) -> Heard {
        match self.control.as_ref().map(MasterEnd::listen) {
            Some(Said::Ready) if !std::mem::replace(&mut self.serves, true) => Heard::Ready,
            Some(Said::WantsSuccessor) => Heard::WantsSuccessor,
            Some(Said::Crashed) => {
                (self.crashed, self.accepts) = (true, false);
                Heard::Crashed
            }
            Some(Said::AcceptsNoMore) => {
                self.accepts = false;
                Heard::Nothing
            }
            // Its SIGCHLD is on its way.
            Some(Said::Closed) => {
                (self.control, self.accepts) = (None, false);
                Heard::Nothing
            }
            Some(Said::AsksCall(thread)) => {
                if let Some(control) = &self.control {
                    // The thread may have ended since, and the process, too.
                    let _ = control.send_call(self.pid, thread);
                }
                Heard::Nothing
            }
            Some(Said::Ready | Said::Nothing) | None => Heard::Nothing,
        }
    }

    /// It is to finish its requests, for which it has `patience`; none is as long as it takes.
    pub fn finish(&mut self, patience: Duration) {
        if self.stop == Stop::No {
            self.send(Signal::SIGQUIT);
            self.finishing(patience);
        }
    }

    fn finishing(&mut self, patience: Duration) {
        if self.stop == Stop::No {
            self.stop = Stop::Finishing((!patience.is_zero()).then(|| Instant::now() + patience));
        }
    }

    /// It is to finish its requests, as by [`Process::finish`], and to hand its idle connections over to `successor`.
    pub fn relieve(&mut self, successor: &Process, patience: Duration) {
        let told = match (&self.control, &successor.control) {
            (Some(former), Some(successor)) => successor.relieve(former).is_ok(),
            _ => false,
        };
        match told {
            true => self.finishing(patience),
            false => self.finish(patience),
        }
    }

    /// It is to end at once.
    pub fn terminate(&mut self, patience: Duration) {
        if !matches!(self.stop, Stop::Terminating(_)) {
            self.send(Signal::SIGTERM);
            self.stop = Stop::Terminating(Instant::now() + patience.max(KILL_INTERVAL));
        }
    }

    /// When it gets the next signal.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stop {
            Stop::No => None,
            Stop::Finishing(at) => at,
            Stop::Terminating(at) => Some(at),
        }
    }

    /// Sends the next signal if it is due.
    pub fn escalate(&mut self) {
        if self.deadline().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let terminated = matches!(self.stop, Stop::Terminating(_));
        self.send(if terminated { Signal::SIGKILL } else { Signal::SIGTERM });
        self.stop = Stop::Terminating(Instant::now() + KILL_INTERVAL);
    }

    fn send(&self, signal: Signal) {
        // It may just have ended: its SIGCHLD is on its way.
        let _ = kill(self.pid, signal);
    }

    /// Logs its last words and its end, in PHP-FPM's words.
    pub fn report_end(&mut self, status: WaitStatus) {
        self.output.finish(&self.pool, self.pid.as_raw().into());
        let (name, pid, age) = (&self.pool, self.pid, self.age().as_secs_f64());
        let expected = self.stop != Stop::No;
        match status {
            // PHP-FPM does not mention those who leave as they were told either.
            WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGTERM | Signal::SIGKILL, _) if expected => {
                log::debug!("[pool {name}] child {pid} ended ({status:?}) after {age:.6} seconds from start");
            }
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

    /// Describes the process to the master that takes over; see [`Process::take_over`].
    pub fn hand_over(&self) -> Option<(String, Vec<BorrowedFd<'_>>)> {
        let control = self.control.as_ref()?.as_fd().as_raw_fd();
        let (age, output) = (self.age().as_micros(), self.output.hand_over());
        let (serves, accepts) = (u8::from(self.serves), u8::from(self.accepts));
        let mut text = format!("{},{control},{age},{serves},{accepts},{output},", self.pid);
        for byte in self.pool.bytes() {
            let _ = write!(text, "{byte:02x}"); // to a string: cannot fail
        }
        Some((text, self.watched().collect()))
    }

    /// The process that the former master described.
    pub fn take_over(text: &str) -> Option<Process> {
        let mut fields = text.split(',');
        let pid = Pid::from_raw(fields.next()?.parse().ok()?);
        let control: RawFd = fields.next()?.parse().ok().filter(|&fd| fd > libc::STDERR_FILENO)?;
        let age = Duration::from_micros(fields.next()?.parse().ok()?);
        let (serves, accepts) = (fields.next()? == "1", fields.next()? == "1");
        let output = Output::take_over(fields.next()?)?;
        let name = fields.next()?;
        let pairs = name.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let pool = String::from_utf8(pairs.collect::<Option<Vec<u8>>>()?).ok()?;
        // SAFETY: the former master, which this process was, left the descriptor open for this, and nobody else uses it.
        let control = MasterEnd::from_fd(unsafe { OwnedFd::from_raw_fd(control) });
        let started = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let (control, stop) = (Some(control), Stop::No);
        Some(Process { pool, pid, started, control, output, serves, accepts, crashed: false, stop })
    }
}

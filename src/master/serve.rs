//! The master while it runs: signals, pool processes, reloads, the stop.

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ftm_config::{EmergencyRestart, ErrorLog, Global};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::getpid;

use super::children::Children;
use super::daemon::Reporter;
use super::emergency::Faults;
use super::events::{Event, Events};
use super::inherit::{InheritedSocket, Legacy};
use super::notify::Notifier;
use super::reload::{self, Check};
use super::sockets;
use crate::cli::exit;
use crate::observe::{log, reason};

/// What the master needs of the configuration.
#[derive(Default)]
pub struct Settings {
    patience: Duration,
    emergency_restart: Option<EmergencyRestart>,
    error_log: Option<PathBuf>,
    pid: Option<PathBuf>,
    systemd_interval: Option<Duration>,
    /// `process.max`; 0: no limit.
    pub process_max: u32,
}

impl Settings {
    /// Those of `[global]`.
    pub fn of(global: &Global) -> Settings {
        Settings {
            patience: global.process_control_timeout,
            emergency_restart: global.emergency_restart,
            error_log: match &global.error_log {
                ErrorLog::File(path) => Some(path.clone()),
                ErrorLog::Syslog => None,
            },
            pid: global.pid.clone(),
            systemd_interval: global.systemd_interval,
            process_max: global.process_max.map_or(0, NonZeroU32::get),
        }
    }
}

/// Weaker ones give way to stronger ones, as in PHP-FPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum State {
    Running,
    Finishing,
    Terminating,
}

/// The running master.
pub struct Master {
    argv: Vec<OsString>,
    settings: Settings,
    children: Children,
    events: Events,
    state: State,
    faults: Faults,
    notifier: Notifier,
    /// Inherited sockets that are kept for a better configuration, where this one failed.
    spare: Vec<InheritedSocket>,
    /// The error log, if it is a file.
    log: Option<OwnedFd>,
    check: Option<Check>,
    /// A reload was asked for while another was under way.
    reload_again: bool,
    /// The next reload is to be announced in the log.
    announce: bool,
}

impl Master {
    /// Watches for signals from now on. `argv` is what a reload starts.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn new(
        argv: Vec<OsString>,
        settings: Settings,
        children: Children,
        spare: Vec<InheritedSocket>,
    ) -> Result<Master, String> {
        let events = Events::watch().map_err(|e| format!("cannot watch for signals: {e}"))?;
        Ok(Master {
            argv,
            children,
            events,
            state: State::Running,
            faults: Faults::new(settings.emergency_restart),
            notifier: Notifier::new(settings.systemd_interval),
            settings,
            spare,
            log: log::file(),
            check: None,
            reload_again: false,
            announce: false,
        })
    }

    /// Writes the pid file and starts the pools.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the system refuses to fork.
    pub fn launch(&mut self, launch: Option<Reporter>) -> Result<(), String> {
        if let Some(path) = &self.settings.pid {
            fs::write(path, getpid().to_string())
                .map_err(|e| format!("Unable to write the PID file {}: {}", path.display(), reason(&e)))?;
        }
        // Before the first fork, or pool processes would hold the other end of the pipe too.
        if let Some(launch) = launch {
            launch.success();
        }
        self.children.start_all().map_err(|e| format!("fork() failed: {}", reason(&e)))?;
        log::notice!("fpm is running, pid {}", getpid());
        log::launched();
        Ok(())
    }

    /// Runs until a signal ends it; returns the exit code.
    pub fn serve(&mut self) -> i32 {
        while self.state == State::Running || !self.children.all_gone() {
            self.wait();
        }
        sockets::remove_files(self.children.pools());
        if let Some(pid) = &self.settings.pid {
            // It may be gone already.
            let _ = fs::remove_file(pid);
        }
        log::notice!("exiting, bye-bye!");
        if self.children.failed().is_some() { exit::SOFTWARE } else { exit::OK }
    }

    fn wait(&mut self) {
        let deadline =
            [self.children.deadline(), self.notifier.deadline(), self.check.as_ref().and_then(Check::deadline)];
        let watched: Vec<BorrowedFd<'_>> =
            self.children.watched().chain(self.check.as_ref().and_then(Check::output)).collect();
        match self.events.wait(&watched, deadline.into_iter().flatten().min()) {
            Event::Signal(signal) => self.on_signal(signal),
            Event::Readable => {
                self.check.as_mut().map(Check::read);
                self.children.log_output();
                self.listen();
                self.reload_if_wanted();
            }
            Event::Deadline => {
                self.check.as_mut().map(Check::escalate);
                self.children.escalate();
                self.listen();
                if self.state == State::Running {
                    self.children.start_due();
                }
                self.reload_if_wanted();
                self.notifier.beat(|| self.children.totals());
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGCHLD => self.reap(),
            Signal::SIGTERM | Signal::SIGINT => {
                log::notice!("Terminating ...");
                self.stop(State::Terminating);
            }
            Signal::SIGQUIT => {
                log::notice!("Finishing ...");
                self.stop(State::Finishing);
            }
            Signal::SIGUSR1 => self.reopen_logs(),
            Signal::SIGUSR2 => {
                self.announce = true;
                self.reload();
            }
            _ => {}
        }
    }

    fn stop(&mut self, state: State) {
        if state <= self.state {
            return;
        }
        self.state = state;
        self.notifier.stopping();
        match state {
            State::Terminating => self.children.terminate_all(self.settings.patience),
            State::Finishing | State::Running => self.children.finish_all(self.settings.patience),
        }
    }

    /// What the pools say.
    fn listen(&mut self) {
        let running = self.state == State::Running;
        if self.children.listen(self.settings.patience, running) && running {
            log::notice!("ready to handle connections");
            self.notifier.ready();
        }
    }

    fn reap(&mut self) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            if let Some(check) = self.check.take_if(|check| check.is(pid)) {
                match check.passed(status) {
                    // Asked for again meanwhile: what was checked may be out of date.
                    true if self.reload_again => {}
                    true => self.replace(),
                    false => self.notifier.ready(),
                }
                continue;
            }
            self.listen(); // its last words
            self.children.ended(pid, status, self.state != State::Running);
            if let Some(warning) = self.faults.note(status, Instant::now()).filter(|_| self.state == State::Running) {
                log::warning!("{warning}");
                self.reload();
            }
        }
        if let (Some(pool), State::Running) = (self.children.failed(), self.state) {
            log::error!("[pool {pool}] cannot start: giving up");
            self.stop(State::Terminating);
        }
        self.reload_if_wanted();
    }

    /// Checks what is to be loaded; [`Master::replace`] follows if it is right.
    fn reload(&mut self) {
        let running = self.state == State::Running;
        // One after the other: the pools of an earlier reload relieve their former ones first.
        if running && (self.check.is_some() || !self.children.settled()) {
            self.reload_again = true;
            return;
        }
        if std::mem::take(&mut self.announce) {
            log::notice!("Reloading in progress ...");
        }
        if !running {
            return;
        }
        self.notifier.reloading();
        match Check::start(&self.argv, &self.legacy()) {
            Ok(check) => self.check = Some(check),
            Err(e) => {
                log::error!(
                    "cannot run {:?} to check the new configuration: {}: not reloaded",
                    self.argv[0],
                    reason(&e)
                );
                self.notifier.ready();
            }
        }
    }

    fn reload_if_wanted(&mut self) {
        if self.reload_again && self.check.is_none() && self.children.settled() {
            self.reload_again = false;
            self.reload();
        }
    }

    /// Becomes a new master. Returns only if that fails.
    fn replace(&mut self) {
        if self.state == State::Running {
            self.children.log_output();
            reload::exec(&self.argv, &self.legacy());
            self.notifier.ready();
        }
    }

    fn legacy(&self) -> Legacy<'_> {
        Legacy {
            sockets: self.children.pools().iter().flat_map(|pool| pool.bound.sockets()).chain(&self.spare).collect(),
            processes: self.children.hand_over(),
            log: self.log.as_ref().map(AsFd::as_fd),
        }
    }

    /// SIGUSR1: opens the log files again, which have been moved away.
    fn reopen_logs(&mut self) {
        if let Some(path) = self.settings.error_log.as_ref().filter(|_| self.log.is_some()) {
            match log::open(path) {
                Ok(file) => {
                    log::reopen(file);
                    self.log = log::file();
                    log::notice!("error log file re-opened");
                }
                Err(e) => log::error!("unable to re-opened error log file ({}): {}", path.display(), reason(&e)),
            }
        }
        match self.children.reopen_logs(self.log.as_ref().map(AsFd::as_fd)) {
            Ok(true) => log::notice!("access log file re-opened"),
            Ok(false) => {}
            Err(message) => log::error!("unable to re-opened access log file: {message}"),
        }
    }
}

//! The master: owns the listening sockets, the log file and the pool processes. It never starts PHP, so no extension can
//! take it down, and it has one thread, so it may fork at any moment.
//!
//! ```text
//!  configuration ── sockets ── (daemonize) ── pid file ── pools forked ── running ──┐
//!                                                 ▲  a pool process died: replaced  │
//!                                                 └─────────────────────────────────┤
//!                        QUIT: pools finish ── TERM, INT: pools end ── exiting <────┘
//! ```

mod access;
mod acl;
mod children;
mod daemon;
mod events;
mod sockets;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ftm_config::{Config, Diagnostic, ErrorLog, Global, LoadOptions, Pool};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Uid, getpid};

use crate::PHP_PREFIX;
use crate::cli::{Cli, exit};
use crate::observe::{log, reason};
use crate::php::{Engine, EngineSettings};
use crate::pool::{self, limits};
use children::Children;
use events::{Event, Events};

/// How often pool processes that ignore SIGTERM are sent SIGKILL.
const KILL_INTERVAL: Duration = Duration::from_secs(1);

/// A pool and its listening socket.
pub struct PoolSocket {
    pool: Pool,
    socket: OwnedFd,
}

/// Runs the server; returns the exit code.
pub fn run(cli: &Cli, engine: EngineSettings) -> i32 {
    let path = cli.config.clone().unwrap_or_else(|| match &cli.prefix {
        Some(prefix) => prefix.join("etc/php-fpm.conf"),
        None => Path::new(PHP_PREFIX).join("etc/php-fpm.conf"),
    });
    let Some(config) = load(cli, path) else { return exit::CONFIG };
    report(&config.thread_notes());
    if cli.test > 0 {
        return test(cli, &config);
    }
    if !Uid::effective().is_root() {
        report(&config.ignored_without_root());
    }
    for unused in config.not_acted_on() {
        log::warning!("{unused}");
    }
    let file = match open_error_log(&config) {
        Ok(file) => file,
        Err(message) => return failed(&message),
    };
    let to_file = config.global.daemonize || !(cli.force_stderr || log::stderr_is_terminal());
    log::start(config.global.log_level, to_file.then_some(file).flatten());
    if let Err(message) = limit(&config.global) {
        return failed(&message);
    }
    let mut launch = None;
    if config.global.daemonize {
        // What fails from here on makes the process that was started exit with 70, when the Reporter is dropped: after
        // the reason has been logged.
        match daemon::daemonize() {
            Ok(reporter) => launch = Some(reporter),
            Err(e) => return failed(&format!("failed to daemonize: {e}")),
        }
    }
    daemon::keep_descriptors_from_children();
    if let Err(message) = prioritize(&config.global) {
        return failed(&message);
    }
    let bound = sockets::check_root(&config, cli.allow_root).and_then(|()| sockets::bind_all(&config));
    let code = match bound.and_then(|pools| launched(&config, pools, engine, &mut launch)) {
        Ok(code) => code,
        Err(message) => failed(&message),
    };
    if let Some(pid) = &config.global.pid {
        // It may be gone already.
        let _ = std::fs::remove_file(pid);
    }
    code
}

fn failed(message: &str) -> i32 {
    log::error!("{message}");
    log::error!("FPM initialization failed");
    exit::CONFIG
}

fn load(cli: &Cli, path: PathBuf) -> Option<Config> {
    let version = Engine::php_version();
    let options = LoadOptions {
        prefix: cli.prefix.clone(),
        compile_prefix: PHP_PREFIX.into(),
        local_state: Path::new(PHP_PREFIX).join("var"),
        is_root: Uid::effective().is_root(),
        root_allowed: cli.allow_root,
        daemonize: cli.force_daemonize(),
        pid: cli.pid.clone(),
        testing: cli.test > 0,
        constant: &|name| ftm_config::php_constant(name, &version),
        ..LoadOptions::default()
    };
    match ftm_config::load(&path, &options) {
        Ok(loaded) => {
            log::start(loaded.config.global.log_level, None);
            report(&loaded.diagnostics);
            Some(loaded.config)
        }
        Err(errors) => {
            report(&errors);
            None
        }
    }
}

/// PHP-FPM's line to the log, and below it, on stderr, the place and what to do.
fn report(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        match diagnostic.level {
            Some(level) => log::write(level, &diagnostic.message),
            None => eprintln!("{}", diagnostic.message),
        }
        for line in diagnostic.details() {
            eprintln!("{line}");
        }
    }
}

/// `-t` and `-tt`.
fn test(cli: &Cli, config: &Config) -> i32 {
    if let Err(message) = open_error_log(config).and_then(|_| sockets::check_names(config)) {
        return failed(&message);
    }
    if cli.test > 1 {
        for line in config.dump() {
            log::notice!("{line}");
        }
    }
    log::notice!("configuration file {} test is successful", config.file.display());
    eprintln!();
    exit::OK
}

fn open_error_log(config: &Config) -> Result<Option<std::fs::File>, String> {
    match &config.global.error_log {
        ErrorLog::Syslog => Ok(None),
        ErrorLog::File(path) => {
            log::open(path).map(Some).map_err(|e| format!("failed to open error_log ({}): {e}", path.display()))
        }
    }
}

/// `rlimit_files` and `rlimit_core` of the master, which pools inherit.
fn limit(global: &Global) -> Result<(), String> {
    global.rlimit_files.map_or(Ok(()), |most| limits::files(most.get()))?;
    global.rlimit_core.map_or(Ok(()), limits::core)
}

/// `process.priority` of the master, which pools inherit. It was said that another user's than root's is ignored.
fn prioritize(global: &Global) -> Result<(), String> {
    match global.process_priority.filter(|_| Uid::effective().is_root()) {
        Some(nice) => {
            limits::priority(nice).map_err(|e| format!("Unable to set priority for the master process: {}", reason(&e)))
        }
        None => Ok(()),
    }
}

/// From here on the process is the one that stays. Returns its exit code.
fn launched(
    config: &Config,
    pools: Vec<PoolSocket>,
    engine: EngineSettings,
    launch: &mut Option<daemon::Reporter>,
) -> Result<i32, String> {
    let mut events = Events::watch().map_err(|e| format!("cannot watch for signals: {e}"))?;
    if let Some(path) = &config.global.pid {
        std::fs::write(path, getpid().to_string())
            .map_err(|e| format!("Unable to write the PID file {}: {e}", path.display()))?;
    }
    // Before the first fork, or pool processes would hold the other end of the pipe too.
    if let Some(launch) = launch.take() {
        launch.success();
    }
    let mut children = Children::new(pools, engine);
    for index in 0..children.len() {
        children.start(index).map_err(|e| format!("fork() failed: {e}"))?;
    }
    log::notice!("fpm is running, pid {}", getpid());
    log::launched();
    serve(config, &mut children, &mut events);
    sockets::remove_files(children.pools());
    log::notice!("exiting, bye-bye!");
    Ok(if children.failed().is_some() { exit::SOFTWARE } else { exit::OK })
}

/// How a stop goes on when pool processes take their time.
enum Stop {
    /// Nobody asked for one.
    No,
    /// They were sent QUIT; `None`: they may finish in their own time.
    Finishing(Option<Instant>),
    /// They were sent TERM, and are sent KILL from this moment on.
    Terminating(Instant),
}

fn serve(config: &Config, children: &mut Children, events: &mut Events) {
    let patience = config.global.process_control_timeout;
    let mut stop = Stop::No;
    loop {
        let stopping = !matches!(stop, Stop::No);
        if stopping && children.all_gone() {
            return;
        }
        let deadline = match stop {
            Stop::No => children.next_start(),
            Stop::Finishing(at) => at,
            Stop::Terminating(at) => Some(at),
        };
        match events.wait(children.readiness(), deadline) {
            Event::Signal(Signal::SIGCHLD) => {
                children.reap(stopping);
                if let (Some(pool), Stop::No) = (children.failed(), &stop) {
                    log::error!("[pool {pool}] cannot start: giving up");
                    children.signal_all(Signal::SIGTERM);
                    stop = Stop::Terminating(Instant::now() + KILL_INTERVAL);
                }
            }
            Event::Signal(Signal::SIGQUIT) if !stopping => {
                log::notice!("Finishing ...");
                children.signal_all(Signal::SIGQUIT);
                stop = Stop::Finishing((!patience.is_zero()).then(|| Instant::now() + patience));
            }
            Event::Signal(Signal::SIGTERM | Signal::SIGINT) if !matches!(stop, Stop::Terminating(_)) => {
                log::notice!("Terminating ...");
                children.signal_all(Signal::SIGTERM);
                stop = Stop::Terminating(Instant::now() + patience.max(KILL_INTERVAL));
            }
            Event::Signal(signal @ (Signal::SIGUSR1 | Signal::SIGUSR2)) => {
                log::warning!("{signal}: reopening logs and reloading are not acted on yet: nothing is changed");
            }
            Event::Signal(_) => {}
            Event::Ready(index) => children.is_ready(index),
            Event::Deadline => match stop {
                Stop::No => children.start_due(),
                Stop::Finishing(_) => {
                    children.signal_all(Signal::SIGTERM);
                    stop = Stop::Terminating(Instant::now() + KILL_INTERVAL);
                }
                Stop::Terminating(_) => {
                    children.signal_all(Signal::SIGKILL);
                    stop = Stop::Terminating(Instant::now() + KILL_INTERVAL);
                }
            },
        }
    }
}

/// The forked process: becomes the pool. Never returns.
fn become_pool(start: pool::PoolStart<'_>, log_fd: OwnedFd) -> ! {
    let name = start.pool.name.clone();
    daemon::detach_output(log_fd);
    default_fault_signals();
    let code = match pool::run(start) {
        Ok(code) => code,
        Err(message) => {
            log::alert!("[pool {name}] {message}");
            exit::SOFTWARE
        }
    };
    std::process::exit(code)
}

/// A fault ends the pool process with its own signal: Rust's handlers for stack overflows would turn it into SIGABRT, and
/// swallow a SIGSEGV that was sent.
fn default_fault_signals() {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the default action is no handler, so nothing of ours runs in a signal's context.
        let _ = unsafe { signal(fault, SigHandler::SigDfl) };
    }
}

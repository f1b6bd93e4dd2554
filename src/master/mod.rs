//! The master: owns the listening sockets, the log files and the pool processes. It never starts PHP, so no extension can
//! take it down, and it has one thread, so it may fork at any moment.
//!
//! ```text
//!  configuration ── sockets ── (daemonize) ── pid file ── pools forked ── running ──┐
//!       ▲                                         ▲  a pool process died: replaced  │
//!       │                                         └─────────────────────────────────┤
//!       │                     QUIT: pools finish ── TERM, INT: pools end ── exiting <┤
//!       └─ exec ── yes ── is the new configuration right? ── USR2 <──────────────────┘
//! ```

mod access;
mod acl;
mod children;
mod daemon;
mod emergency;
mod events;
mod inherit;
mod notify;
mod output;
mod process;
mod reload;
mod serve;
mod sockets;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ftm_config::{Config, Diagnostic, ErrorLog, Global, LoadOptions, Pool};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::Uid;

use crate::PHP_PREFIX;
use crate::check;
use crate::cli::{Cli, exit};
use crate::observe::{log, reason, title};
use crate::php::{Engine, EngineSettings};
use crate::pool::figures::Figures;
use crate::pool::{self, PoolFiles, limits};
use children::Children;
use inherit::Inherited;
use output::WorkerEnds;
use serve::{Master, Settings};
use sockets::PoolBound;

/// A pool, its listening sockets and its log files.
pub struct PoolSocket {
    pool: Pool,
    bound: PoolBound,
    files: PoolFiles,
}

/// Runs the server; returns the exit code.
pub fn run(cli: &Cli, engine: EngineSettings) -> i32 {
    default_fault_signals();
    // Before anything is opened: descriptors that whoever started us left open.
    daemon::keep_descriptors_from_children();
    let argv: Vec<OsString> = std::env::args_os().collect();
    let mut inherited = Inherited::take();
    if let Some(file) = inherited.log.take() {
        log::take_up(file);
        log::launched();
    }
    let path = cli.config.clone().unwrap_or_else(|| match &cli.prefix {
        Some(prefix) => prefix.join("etc/php-fpm.conf"),
        None => Path::new(PHP_PREFIX).join("etc/php-fpm.conf"),
    });
    if cli.test > 0 {
        return test(cli, path, inherited, &engine);
    }
    let mut launch = None;
    let prepared = prepare(cli, path, &mut inherited, &mut launch);
    let former = std::mem::take(&mut inherited.processes);
    let (settings, pools) = match prepared {
        Ok((config, pools)) => {
            sockets::discard(std::mem::take(&mut inherited.sockets));
            title::set(&format!("php-ftm: master process ({})", config.file.display()));
            (Settings::of(&config.global), pools)
        }
        Err(Unfit) if former.is_empty() => return exit::CONFIG,
        Err(Unfit) => {
            log::alert!("this reload failed: the former pools go on; correct what is wrong and reload again");
            (Settings::default(), Vec::new())
        }
    };
    let result = Figures::map(pools.len(), settings.process_max)
        .map_err(|e| format!("cannot share memory with the pools: {}", reason(&e)))
        .map(|figures| Children::new(pools, engine, figures, former, inherited.reloaded))
        .and_then(|children| Master::new(argv, settings, children, inherited.sockets))
        .and_then(|mut master| master.launch(launch).map(|()| master.serve()));
    result.unwrap_or_else(|message| {
        failed(&message);
        exit::CONFIG
    })
}

/// The configuration cannot be put into effect. Why has been logged.
struct Unfit;

fn failed(message: &str) -> Unfit {
    log::error!("{message}");
    log::error!("FPM initialization failed");
    Unfit
}

/// Everything up to the bound sockets. `launch` is set where the process has gone to the background.
fn prepare(
    cli: &Cli,
    path: PathBuf,
    inherited: &mut Inherited,
    launch: &mut Option<daemon::Reporter>,
) -> Result<(Config, Vec<PoolSocket>), Unfit> {
    let config = load(cli, path, inherited.reloaded).ok_or(Unfit)?;
    if !Uid::effective().is_root() {
        report(&config.ignored_without_root());
    }
    let file = open_error_log(&config).map_err(|e| failed(&e))?;
    let to_file = config.global.daemonize || !(cli.force_stderr || log::stderr_is_terminal());
    match to_file {
        true => log::start(&config.global, file),
        false => log::stay_on_stderr(&config.global),
    }
    if inherited.reloaded {
        log::launched();
    }
    limit(&config.global).map_err(|e| failed(&e))?;
    // Who was a master before is in the background, if that is wanted.
    if config.global.daemonize && !inherited.reloaded {
        // What fails from here on makes the process that was started exit with 70, when the Reporter is dropped: after
        // the reason has been logged.
        match daemon::daemonize() {
            Ok(reporter) => *launch = Some(reporter),
            Err(e) => return Err(failed(&format!("failed to daemonize: {e}"))),
        }
    }
    prioritize(&config.global).map_err(|e| failed(&e))?;
    sockets::check_root(&config, cli.allow_root).map_err(|e| failed(&e))?;
    let files: Result<Vec<_>, _> = config.pools.iter().map(PoolFiles::open).collect();
    let files = files.map_err(|e| failed(&e))?;
    sockets::announce(&inherited.sockets);
    let bound = sockets::bind_all(&config, &mut inherited.sockets).map_err(|e| failed(&e))?;
    let pools = config.pools.iter().zip(bound).zip(files);
    let pools = pools.map(|((pool, bound), files)| PoolSocket { pool: pool.clone(), bound, files }).collect();
    Ok((config, pools))
}

fn load(cli: &Cli, path: PathBuf, reloaded: bool) -> Option<Config> {
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
            if !reloaded {
                log::configure(&loaded.config.global);
            }
            report(&loaded.diagnostics);
            report(&loaded.config.thread_notes());
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
            Some(level) if !log::logs(level) => continue,
            Some(level) => log::write(level, &diagnostic.message),
            None => eprintln!("{}", diagnostic.message),
        }
        for line in diagnostic.details() {
            eprintln!("{line}");
        }
    }
}

/// `-t` and `-tt`; with what a master about to reload has handed over, also whether the new sockets can be had.
fn test(cli: &Cli, path: PathBuf, inherited: Inherited, engine: &EngineSettings) -> i32 {
    let Some(config) = load(cli, path, false) else { return exit::CONFIG };
    let checked = open_error_log(&config)
        .and_then(|_| config.pools.iter().try_for_each(|pool| PoolFiles::open(pool).map(drop)))
        .and_then(|()| sockets::check_names(&config))
        .and_then(|()| match inherited.check {
            true => sockets::check_root(&config, cli.allow_root)
                .and_then(|()| sockets::try_bind(&config, inherited.sockets)),
            false => Ok(()),
        });
    if let Err(message) = checked {
        failed(&message);
        return exit::CONFIG;
    }
    if cli.test > 1 {
        for line in config.dump() {
            log::notice!("{line}");
        }
    }
    if check::php(&config, engine).is_err() {
        return exit::SOFTWARE;
    }
    log::notice!("configuration file {} test is successful", config.file.display());
    if Engine::php_version_id() < 80400 {
        eprintln!(); // as PHP-FPM, until then
    }
    exit::OK
}

fn open_error_log(config: &Config) -> Result<Option<std::fs::File>, String> {
    match &config.global.error_log {
        ErrorLog::Syslog => Ok(None),
        ErrorLog::File(path) => log::open(path)
            .map(Some)
            .map_err(|e| format!("failed to open error_log ({}): {}", path.display(), reason(&e))),
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

/// The forked process: becomes the pool. Never returns.
fn become_pool(start: pool::PoolStart<'_>, log_fd: OwnedFd, ends: WorkerEnds) -> ! {
    let name = start.pool.name.clone();
    daemon::attach_output(log_fd, ends);
    let code = match pool::run(start) {
        Ok(code) => code,
        Err(message) => {
            log::alert!("[pool {name}] {message}");
            exit::SOFTWARE
        }
    };
    std::process::exit(code)
}

/// A fault ends a process with its own signal, a pool's from its fork on: Rust's handlers for stack overflows would turn it into SIGABRT, and
/// swallow a SIGSEGV that was sent.
fn default_fault_signals() {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the default action is no handler, so nothing of ours runs in a signal's context.
        let _ = unsafe { signal(fault, SigHandler::SigDfl) };
    }
}

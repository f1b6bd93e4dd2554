//! PHP's start, tried in a forked process.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use ftm_config::{Global, PhpSetting, PhpValue, Pool, php_settings};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdout, fork};

use super::{inventory, messages, unsafe_warnings};
use crate::observe::log;
use crate::php::{Engine, EngineSettings};
use crate::pool;

/// The most that is taken of what PHP says, in bytes.
const MOST_OUTPUT: u64 = 256 * 1024;

/// A `log_limit` that cuts nothing.
const WHOLE_LINES: usize = 1 << 20;

/// How a trial ended.
pub enum End {
    /// PHP started.
    Started,
    /// It did not, and this is why.
    Refused(String),
    /// It took too long.
    Late,
    /// The process ended in this way.
    Died(String),
}

/// What a trial showed.
pub struct Trial {
    /// How it ended.
    pub end: End,
    /// What PHP and its extensions said, without times and levels.
    pub messages: Vec<String>,
    /// The ini files that were read.
    pub ini_files: Vec<PathBuf>,
    /// Warnings about extensions that do not bear threads.
    pub unsafe_extensions: Vec<String>,
    /// Settings with values that threads make dangerous, that the pool itself does not make.
    pub settings: Vec<(&'static PhpSetting, String)>,
    /// What PHP consists of.
    pub inventory: Vec<String>,
}

impl Trial {
    /// Starts PHP with the pool's settings in a process that ends afterwards, or is killed when `patience` is over.
    ///
    /// # Errors
    ///
    /// The system refuses a process, memory or a descriptor.
    pub fn run(global: &Global, pool: &Pool, engine: &EngineSettings, patience: Duration) -> io::Result<Trial> {
        // Files, not pipes: nobody has to read them while the process runs.
        let mut output = File::from(memfd_create(c"php-ftm-output", MFdFlags::MFD_CLOEXEC)?);
        let mut findings = File::from(memfd_create(c"php-ftm-findings", MFdFlags::MFD_CLOEXEC)?);
        // SAFETY: this process, which only tests a configuration, has one thread.
        let ended = match unsafe { fork() }? {
            ForkResult::Child => child(global, pool, engine, &output, &mut findings),
            ForkResult::Parent { child } => wait(child, patience)?,
        };
        let mut trial = Trial {
            end: End::Late,
            messages: Vec::new(),
            ini_files: Vec::new(),
            unsafe_extensions: Vec::new(),
            settings: Vec::new(),
            inventory: Vec::new(),
        };
        let text = contents(&mut output)?;
        trial.messages = String::from_utf8_lossy(&text).lines().filter_map(messages::plain).collect();
        match ended {
            None => {}
            Some(WaitStatus::Signaled(_, signal, _)) => trial.end = End::Died(format!("killed by {signal}")),
            Some(WaitStatus::Exited(_, code)) => trial.end = End::Died(format!("an extension exits with code {code}")),
            Some(status) => trial.end = End::Died(format!("{status:?}")),
        }
        for line in contents(&mut findings)?.split(|b| *b == b'\n') {
            trial.take(line);
        }
        Ok(trial)
    }

    /// One line of what [`child`] has found.
    fn take(&mut self, line: &[u8]) {
        let Some((tag, rest)) = line.split_first() else { return };
        let text = || String::from_utf8_lossy(rest).into_owned();
        match tag {
            b'i' => self.ini_files.push(PathBuf::from(OsStr::from_bytes(rest))),
            b'u' => self.unsafe_extensions.push(text()),
            b'v' => self.settings.extend(text().split_once('=').and_then(|(name, value)| {
                let setting = php_settings().iter().find(|setting| setting.name == name)?;
                Some((setting, value.to_string()))
            })),
            b'l' => self.inventory.push(text()),
            b'r' => self.end = End::Refused(text()),
            _ => self.end = End::Started,
        }
    }
}

/// The forked process. It says what it has found, the last line being `s` where PHP has started, and leaves without the
/// shutdown of the modules.
fn child(global: &Global, pool: &Pool, engine: &EngineSettings, output: &File, findings: &mut File) -> ! {
    // SAFETY: prctl() takes plain numbers here.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let null = File::options().write(true).open("/dev/null");
    let redirected = null.and_then(|null| Ok(dup2_stdout(null)?)).and_then(|()| Ok(dup2_stderr(output)?));
    log::stay_on_stderr(&Global {
        log_level: log::Level::Notice,
        log_json: false,
        log_limit: WHOLE_LINES,
        ..global.clone()
    });
    let found =
        match redirected.map_err(|e| format!("cannot redirect the output: {e}")).and_then(|()| start(pool, engine)) {
            Ok(found) => found,
            Err(why) => format!("r{}\n", why.replace('\n', " ")).into_bytes(),
        };
    let code = i32::from(findings.write_all(&found).is_err());
    // SAFETY: ends the process, which is meant.
    unsafe { libc::_exit(code) }
}

fn start(pool: &Pool, engine: &EngineSettings) -> Result<Vec<u8>, String> {
    let mut settings = pool::engine_settings(pool, engine.clone());
    // A test runs no scripts and leaves no files: nothing is preloaded, and messages are not displayed but logged, here.
    for (name, value) in [("opcache.preload", ""), ("error_log", ""), ("display_startup_errors", "0")] {
        settings.values.push(PhpValue { name: name.into(), value: value.into(), admin: false, flag: false });
    }
    let engine = Engine::start(&settings)?;
    let mut found = Vec::new();
    for file in engine.ini_files() {
        found.extend_from_slice(&[b"i", file.as_os_str().as_bytes(), b"\n"].concat());
    }
    for warning in unsafe_warnings(&engine) {
        found.extend_from_slice(format!("u{warning}\n").as_bytes());
    }
    for (name, value) in dangerous_values(pool, &engine) {
        found.extend_from_slice(&[b"v", name.as_bytes(), b"=", &value, b"\n"].concat());
    }
    for line in inventory::lines(&engine) {
        found.extend_from_slice(format!("l{line}\n").as_bytes());
    }
    found.extend_from_slice(b"s\n");
    Ok(found)
}

/// Settings with values that threads make dangerous, but those of the pool, which are known from its configuration.
fn dangerous_values(pool: &Pool, engine: &Engine) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    php_settings().iter().filter_map(|setting| {
        let name = CString::new(setting.name).ok()?;
        let value = engine.ini_string(&name)?;
        let of_pool = pool.php_values.iter().any(|value| value.name == setting.name);
        (!of_pool && setting.matters(&value)).then_some((setting.name, value))
    })
}

/// Waits for the process to end; `None`: it had to be killed.
fn wait(child: Pid, patience: Duration) -> io::Result<Option<WaitStatus>> {
    let ended = ends_within(child, patience);
    if !matches!(ended, Ok(true)) {
        // It is not reaped yet, so the id is its own.
        let _ = kill(child, Signal::SIGKILL);
    }
    let status = waitpid(child, None)?;
    Ok(ended?.then_some(status))
}

fn ends_within(child: Pid, patience: Duration) -> io::Result<bool> {
    // SAFETY: takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a new descriptor that nobody else owns.
    let process = unsafe { OwnedFd::from_raw_fd(fd) };
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    Ok(poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], timeout)? > 0)
}

fn contents(file: &mut File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut text = Vec::new();
    file.take(MOST_OUTPUT).read_to_end(&mut text)?;
    Ok(text)
}

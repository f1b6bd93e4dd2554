//! SIGUSR2: a new master takes this one's place.
//!
//! ```text
//!  check: "argv[0] … -t" in a child ── wrong ──> its messages are logged, nothing changes
//!     └─ right ──> exec: same process, same sockets ──> new pools start ──> each that serves relieves its former one
//! ```
//!
//! Because argv\[0\] is what is checked and started, a replaced binary is an upgrade.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, execvp, pipe2};

use super::inherit::{Legacy, set_inherited};
use crate::observe::{log, reason};

/// How long the check of a new configuration may take.
const CHECK_PATIENCE: Duration = Duration::from_secs(30);

/// The most that is kept of what the check says, in bytes.
const CHECK_OUTPUT: usize = 64 * 1024;

/// The arguments shown in the log: as many as PHP-FPM shows.
const SHOWN_ARGUMENTS: usize = 11;

/// A check under way.
pub struct Check {
    child: Pid,
    output: File,
    /// It has no more to say.
    silent: bool,
    text: Vec<u8>,
    until: Instant,
    killed: bool,
}

impl Check {
    /// Starts a check of what this command line would load now.
    ///
    /// # Errors
    ///
    /// argv\[0\] cannot be run.
    pub fn start(argv: &[OsString], legacy: &Legacy<'_>) -> io::Result<Check> {
        let program = argv.first().ok_or(io::ErrorKind::NotFound)?;
        let (read, write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?;
        let sockets: Vec<_> = legacy.sockets.iter().map(|socket| socket.socket.as_raw_fd()).collect();
        let mut command = Command::new(program);
        command.args(&argv[1..]).arg("-t").envs(legacy.check_variables());
        command.stdin(Stdio::null()).stdout(write.try_clone()?).stderr(write);
        // SAFETY: between fork and exec only fcntl() is called, which may be called there.
        unsafe {
            command.pre_exec(move || {
                for &fd in &sockets {
                    libc::fcntl(fd, libc::F_SETFD, 0);
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Check {
            child: Pid::from_raw(pid),
            output: File::from(read),
            silent: false,
            text: Vec::new(),
            until: Instant::now() + CHECK_PATIENCE,
            killed: false,
        })
    }

    /// Whether this is its process.
    pub fn is(&self, pid: Pid) -> bool {
        self.child == pid
    }

    /// What is to be watched for [`Check::read`].
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        (!self.silent).then(|| self.output.as_fd())
    }

    /// When it must be over.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.killed).then_some(self.until)
    }

    /// Ends it if it takes too long.
    pub fn escalate(&mut self) {
        if !self.killed && self.until <= Instant::now() {
            self.killed = true;
            // It may just have ended.
            let _ = kill(self.child, Signal::SIGKILL);
        }
    }

    /// Takes what it has said so far.
    pub fn read(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.output.read(&mut buffer) {
                Ok(0) => break self.silent = true,
                Ok(n) => {
                    let room = CHECK_OUTPUT.saturating_sub(self.text.len());
                    self.text.extend_from_slice(&buffer[..n.min(room)]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break self.silent = e.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Its process has ended: whether all is well. If not, what it said is logged.
    pub fn passed(mut self, status: WaitStatus) -> bool {
        self.read();
        let why = match status {
            WaitStatus::Exited(_, 0) => return true,
            _ if self.killed => format!("it took longer than {CHECK_PATIENCE:?}"),
            WaitStatus::Exited(_, code) => format!("exit code {code}"),
            WaitStatus::Signaled(_, signal, _) => format!("it ended on {signal}"),
            _ => "it ended".to_owned(),
        };
        for line in String::from_utf8_lossy(&self.text).lines().filter(|line| !line.trim().is_empty()) {
            log::error!("reload: {}", without_time(line));
        }
        log::error!(
            "the new configuration does not pass the check ({why}): not reloaded, the former one stays in effect"
        );
        false
    }
}

/// A line of the check without its own time.
fn without_time(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, text)) if time.starts_with(|c: char| c.is_ascii_digit()) => text,
        _ => line,
    }
}

/// Replaces this process by one that is started with the same command line. Returns only if that fails.
pub fn exec(argv: &[OsString], legacy: &Legacy<'_>) {
    let shown: Vec<String> = argv.iter().take(SHOWN_ARGUMENTS).map(|arg| format!("\"{}\"", arg.display())).collect();
    let program = argv.first().map(|arg| arg.display().to_string()).unwrap_or_default();
    log::notice!("reloading: execvp(\"{program}\", {{{}}})", shown.join(", "));
    let variables = legacy.variables();
    let descriptors = legacy.descriptors();
    if let Err(e) = try_exec(argv, &variables, &descriptors) {
        log::error!("failed to reload: execvp() failed: {}: the former configuration stays in effect", reason(&e));
        for (name, _) in &variables {
            // SAFETY: the master has one thread, so nobody else looks at the environment.
            unsafe { std::env::remove_var(name) };
        }
        for fd in descriptors {
            // They are open: nothing can fail.
            let _ = set_inherited(fd, false);
        }
    }
}

fn try_exec(argv: &[OsString], variables: &[(String, OsString)], inherited: &[BorrowedFd<'_>]) -> io::Result<()> {
    let argv: Vec<CString> = argv.iter().map(|arg| CString::new(arg.as_bytes())).collect::<Result<_, _>>()?;
    let program = argv.first().ok_or(io::ErrorKind::NotFound)?;
    for fd in inherited {
        set_inherited(*fd, true)?;
    }
    for (name, value) in variables {
        // SAFETY: the master has one thread, so nobody else looks at the environment.
        unsafe { std::env::set_var(name, value) };
    }
    // Not Command::exec(): it would unblock the signals that arrive meanwhile, which the new master waits for.
    match execvp(program, &argv)? {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_check_lose_their_time() {
        assert_eq!(without_time("[20-Nov-2026 21:39:34] ERROR: x"), "ERROR: x");
        assert_eq!(without_time("[pool www] x"), "[pool www] x");
        assert_eq!(without_time("   | x"), "   | x");
    }
}

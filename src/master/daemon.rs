//! Going into the background, and what pool processes do with their standard streams.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use super::output::WorkerEnds;
use crate::cli::exit;
use crate::observe::log;

/// How long the process that was started waits for the one that stays to say how it went.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(10);

/// Tells the process that was started that the server runs. Dropped unused, it tells of a failure.
pub struct Reporter(File);

impl Reporter {
    /// The server runs.
    pub fn success(mut self) {
        // Whoever waited may have given up.
        let _ = self.0.write_all(b"1");
    }
}

/// Forks. The parent waits for the [`Reporter`] and exits: 0, or 70 if the server did not come up.
///
/// # Errors
///
/// The system refused a step.
pub fn daemonize() -> io::Result<Reporter> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the master has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => {
            drop(write);
            std::process::exit(if wait(read) { exit::OK } else { exit::SOFTWARE })
        }
        ForkResult::Child => {
            drop(read);
            setsid()?;
            null_streams(true)?;
            Ok(Reporter(File::from(write)))
        }
    }
}

fn wait(read: OwnedFd) -> bool {
    let mut fds = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(LAUNCH_PATIENCE).unwrap_or(PollTimeout::MAX);
    if !matches!(poll(&mut fds, patience), Ok(1..)) {
        return false;
    }
    let mut byte = [0];
    matches!(File::from(read).read(&mut byte), Ok(1))
}

fn null_streams(stderr: bool) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    if stderr {
        dup2_stderr(&null)?;
    }
    Ok(())
}

/// Descriptors that whoever started us left open are none of the business of programs that scripts start.
pub fn keep_descriptors_from_children() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: sets a flag on descriptors, whoever owns them. Kernels before 5.11 refuse: then things stay as they are.
    unsafe { libc::close_range(FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
}

/// In a pool process: stdout and stderr go to the master; our own lines, panics among them, to the log.
pub fn attach_output(log_fd: OwnedFd, ends: WorkerEnds) {
    log::redirect(log_fd);
    let attached = null_streams(false).and_then(|()| {
        dup2_stdout(&ends.stdout)?;
        dup2_stderr(&ends.stderr)?;
        Ok(())
    });
    if let Err(e) = attached {
        log::warning!("cannot attach the standard streams to the master: {e}");
    }
    std::panic::set_hook(Box::new(|info| log::alert!("internal error: {info}")));
}

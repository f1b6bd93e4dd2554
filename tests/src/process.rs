//! A started program: its process group, its output in a file, its certain end.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::proc;
use crate::wait::{DEADLINE, eventually_some};

/// How much of a log is printed when a test fails, bytes.
const TAIL: usize = 8 * 1024;

/// A program that runs in the foreground of its own process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    logs: Vec<PathBuf>,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to `output`. `logs` are further files to show on failure.
    pub fn start(name: &str, mut command: Command, output: &Path, logs: &[PathBuf]) -> Self {
        let sink = OpenOptions::new().create(true).append(true).open(output);
        let sink: File = sink.unwrap_or_else(|e| panic!("{}: {e}", output.display()));
        command.stdin(Stdio::null()).stdout(sink.try_clone().expect("dup")).stderr(sink).process_group(0);
        // SAFETY: prctl is async-signal-safe and touches nothing but the new process.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let mut all = vec![output.to_owned()];
        all.extend_from_slice(logs);
        Self { child, name: name.to_owned(), logs: all }
    }

    /// The id of the process that was started (a master, usually).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    /// Waits for its end; panics at the deadline.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        eventually_some(deadline, || self.ended())
            .unwrap_or_else(|| panic!("{} has not ended within {deadline:?}", self.name))
    }

    /// Sends a signal to the process itself, not to its children.
    pub fn signal(&self, signal: Signal) {
        kill(as_pid(self.pid()), signal).unwrap_or_else(|e| panic!("kill -{signal} {}: {e}", self.name));
    }

    /// All that was written to its output and logs so far.
    pub fn log(&self) -> String {
        self.logs
            .iter()
            .filter_map(|log| fs::read(log).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    fn kill_all(&mut self) {
        // Children that left the group (daemons of scripts) are found by descent, before their parents go.
        let tree = proc::tree(self.pid());
        if self.ended().is_none() {
            // Stopped first, so that a master cannot replace the children while they are being killed.
            let _ = kill(as_pid(self.pid()), Signal::SIGSTOP);
        }
        let _ = killpg(as_pid(self.pid()), Signal::SIGKILL);
        for &pid in &tree {
            let _ = kill(as_pid(pid), Signal::SIGKILL);
        }
        let _ = eventually_some(DEADLINE, || self.ended());
        let _ = eventually_some(DEADLINE, || (!tree.iter().any(|&pid| proc::alive(pid))).then_some(()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().take(TAIL).last().map_or(0, |(at, _)| at);
            eprintln!("---- log of {} ----\n{}\n---- end of log ----", self.name, &log[from..]);
        }
    }
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid fits in i32"))
}

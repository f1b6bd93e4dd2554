//! The error log, in PHP-FPM's format: `[20-Nov-2026 21:39:34] WARNING: text`.
//!
//! Master and pool processes append to the same file, a whole line a write. Until [`start`] has been called, and beside
//! the file until [`launched`], lines go to stderr.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use ftm_config::Level;

struct Sink {
    level: Level,
    file: Option<File>,
    stderr: bool,
}

static SINK: Mutex<Sink> = Mutex::new(Sink { level: Level::Notice, file: None, stderr: true });

fn sink() -> MutexGuard<'static, Sink> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the log file, for appending. A new one is the master's alone to read, as under PHP-FPM: what one pool logs is
/// none of another's business.
///
/// # Errors
///
/// The file cannot be created or opened for writing.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// From now on lines of at least `level` go to `file`, and to stderr too until [`launched`].
pub fn start(level: Level, file: Option<File>) {
    *sink() = Sink { level, file, stderr: true };
}

/// The server runs: from now on lines go to the log file only, where there is one.
pub fn launched() {
    let mut sink = sink();
    sink.stderr = sink.file.is_none();
}

/// Whether stderr is somebody's terminal: logs stay there then.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A copy of the log's descriptor, for a process that replaces its stderr.
pub fn descriptor() -> io::Result<OwnedFd> {
    match &sink().file {
        Some(file) => file.as_fd().try_clone_to_owned(),
        None => io::stderr().as_fd().try_clone_to_owned(),
    }
}

/// A copy of the log file's descriptor; `None`: lines go to stderr.
pub fn file() -> Option<OwnedFd> {
    sink().file.as_ref().and_then(|file| file.as_fd().try_clone_to_owned().ok())
}

// SAFETY: as time.h declares it.
unsafe extern "C" {
    fn tzset();
}

/// Lines go to `fd` from now on: for a pool process, whose stderr scripts may write to. Their time zone is that of this
/// moment: the pool may lose the variable TZ, or /etc/localtime to a chroot.
pub fn redirect(fd: OwnedFd) {
    // SAFETY: a forked process has one thread, so nobody else reads the environment or the time zone.
    unsafe { tzset() };
    let mut sink = sink();
    sink.file = Some(File::from(fd));
    sink.stderr = false;
}

/// Lines go to `file` from now on: the log was opened anew.
pub fn reopen(file: File) {
    sink().file = Some(file);
}

/// Writes a line; newlines inside become spaces, so that no script can forge one.
pub fn write(level: Level, message: &str) {
    let mut sink = sink();
    if level < sink.level {
        return;
    }
    let message = message.trim_end().replace(['\n', '\r'], " ");
    let line = format!("[{}] {level}: {message}\n", timestamp());
    // There is nobody to tell when the log cannot be written to.
    if sink.stderr {
        let _ = io::stderr().write_all(line.as_bytes());
    }
    if let Some(file) = &mut sink.file {
        let _ = file.write_all(line.as_bytes());
    }
}

/// The local time as `20-Nov-2026 21:39:34`.
fn timestamp() -> String {
    local_time(now(), c"%d-%b-%Y %H:%M:%S")
}

/// The Unix time.
pub fn now() -> i64 {
    // SAFETY: a null pointer asks for the result alone.
    unsafe { libc::time(std::ptr::null_mut()) }
}

/// A Unix time in the server's time zone, in `strftime` format; at most 128 bytes.
pub fn local_time(at: i64, format: &CStr) -> String {
    let mut out = [0u8; 129];
    // SAFETY: localtime_r() and strftime() get valid pointers to locals, the format ends with a NUL, and the length is the
    // buffer's true size.
    let len = unsafe {
        let mut tm = std::mem::zeroed();
        libc::localtime_r(&at, &mut tm);
        libc::strftime(out.as_mut_ptr().cast(), out.len(), format.as_ptr(), &tm)
    };
    String::from_utf8_lossy(&out[..len]).into_owned()
}

macro_rules! debug {
    ($($arg:tt)*) => { $crate::observe::log::write($crate::observe::log::Level::Debug, &format!($($arg)*)) };
}
pub(crate) use debug;

macro_rules! notice {
    ($($arg:tt)*) => { $crate::observe::log::write($crate::observe::log::Level::Notice, &format!($($arg)*)) };
}
pub(crate) use notice;

macro_rules! warning {
    ($($arg:tt)*) => { $crate::observe::log::write($crate::observe::log::Level::Warning, &format!($($arg)*)) };
}
pub(crate) use warning;

macro_rules! error {
    ($($arg:tt)*) => { $crate::observe::log::write($crate::observe::log::Level::Error, &format!($($arg)*)) };
}
pub(crate) use error;

macro_rules! alert {
    ($($arg:tt)*) => { $crate::observe::log::write($crate::observe::log::Level::Alert, &format!($($arg)*)) };
}
pub(crate) use alert;

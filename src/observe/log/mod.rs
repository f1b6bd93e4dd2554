//! The error log, in PHP-FPM's format: `[20-Nov-2026 21:39:34] WARNING: text`, or as JSON.
//!
//! Master and pool processes append to the same file, a whole line a write. Until [`start`] has been called, and beside
//! the file until [`launched`], lines go to stderr.

mod line;
mod said;
mod syslog;

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use ftm_config::Level;
use ftm_config::{ErrorLog, Global};

use line::{Format, Origin};
pub use said::{Said, Stream, said};
use syslog::Syslog;

struct Sink {
    level: Level,
    format: Format,
    file: Option<File>,
    syslog: Option<Syslog>,
    stderr: bool,
}

static SINK: Mutex<Sink> =
    Mutex::new(Sink { level: Level::Notice, format: Format::PLAIN, file: None, syslog: None, stderr: true });

fn sink() -> MutexGuard<'static, Sink> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a log file, for appending. A new one is the master's alone to read, as under PHP-FPM: what one pool logs is none
/// of another's business.
///
/// # Errors
///
/// The file cannot be created or opened for writing.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// From now on lines go to `file`, and to stderr too until [`launched`], as notices.
pub fn take_up(file: File) {
    sink().file = Some(file);
}

/// From now on lines are filtered and written as `[global]` says, to stderr.
pub fn configure(global: &Global) {
    let mut sink = sink();
    sink.level = global.log_level;
    sink.format = Format { json: global.log_json, limit: global.log_limit, debug: global.log_level == Level::Debug };
}

/// From now on lines go to where `error_log` says, and to stderr too until [`launched`]. `file` is that of `error_log`, open.
pub fn start(global: &Global, file: Option<File>) {
    configure(global);
    let mut sink = sink();
    sink.file = file;
    sink.syslog = match global.error_log {
        ErrorLog::Syslog => Some(Syslog::open(&global.syslog_ident, global.syslog_facility)),
        ErrorLog::File(_) => None,
    };
    sink.stderr = true;
}

/// Lines go to stderr only: in the foreground, with `-O` or at a terminal.
pub fn stay_on_stderr(global: &Global) {
    configure(global);
    let mut sink = sink();
    (sink.file, sink.syslog, sink.stderr) = (None, None, true);
}

/// The server runs: from now on lines go to the log only, where there is one beside stderr.
pub fn launched() {
    let mut sink = sink();
    sink.stderr = sink.file.is_none() && sink.syslog.is_none();
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

/// A copy of the log file's descriptor; `None`: lines go elsewhere.
pub fn file() -> Option<OwnedFd> {
    sink().file.as_ref().and_then(|file| file.as_fd().try_clone_to_owned().ok())
}

// SAFETY: as time.h declares it.
unsafe extern "C" {
    fn tzset();
}

/// Lines go to `fd` from now on, unless they go to syslog: for a pool process, whose stderr scripts may write to. Their time
/// zone is that of this moment: the pool may lose the variable TZ, or /etc/localtime to a chroot.
pub fn redirect(fd: OwnedFd) {
    // SAFETY: a forked process has one thread, so nobody else reads the environment or the time zone.
    unsafe { tzset() };
    let mut sink = sink();
    if sink.syslog.is_none() {
        sink.file = Some(File::from(fd));
    }
    sink.stderr = false;
}

/// Lines go to `file` from now on: the log was opened anew.
pub fn reopen(file: File) {
    sink().file = Some(file);
}

/// Writes a line. `function` and `line` are the place in the source, for `log_level = debug`. Newlines inside become spaces,
/// so that no script can forge a line.
pub fn write_at(level: Level, function: &str, line: u32, message: &str) {
    let mut sink = sink();
    if level < sink.level {
        return;
    }
    let origin = Origin { level, function, line };
    let message = message.trim_end().replace(['\n', '\r'], " ");
    let text = line::message(&sink.format, &origin, &message);
    sink.put(level, &message, &text);
}

/// Whether messages of this level are logged.
pub fn logs(level: Level) -> bool {
    level >= sink().level
}

/// A message of a worker, cut to `log_limit`, its newline included, as PHP-FPM's workers do it.
pub fn limited(text: &str) -> String {
    let limit = sink().format.limit;
    if text.len() < limit {
        return text.to_owned();
    }
    let end = (0..=limit - "...\n".len()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// Writes a line on behalf of C.
pub fn write(level: Level, message: &str) {
    write_at(level, "shim", 0, message);
}

impl Sink {
    /// Writes `text`, a whole line, to all places but syslog, which gets `message`.
    fn put(&mut self, level: Level, message: &str, text: &[u8]) {
        // There is nobody to tell when the log cannot be written to.
        if self.stderr {
            let _ = io::stderr().write_all(text);
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(text);
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.send(level, message);
        }
    }
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

macro_rules! at_level {
    ($level:ident, $($arg:tt)*) => {
        $crate::observe::log::write_at(
            $crate::observe::log::Level::$level,
            module_path!().rsplit("::").next().unwrap_or_default(),
            line!(),
            &format!($($arg)*),
        )
    };
}
pub(crate) use at_level;

macro_rules! debug {
    ($($arg:tt)*) => { $crate::observe::log::at_level!(Debug, $($arg)*) };
}
pub(crate) use debug;

macro_rules! notice {
    ($($arg:tt)*) => { $crate::observe::log::at_level!(Notice, $($arg)*) };
}
pub(crate) use notice;

macro_rules! warning {
    ($($arg:tt)*) => { $crate::observe::log::at_level!(Warning, $($arg)*) };
}
pub(crate) use warning;

macro_rules! error {
    ($($arg:tt)*) => { $crate::observe::log::at_level!(Error, $($arg)*) };
}
pub(crate) use error;

macro_rules! alert {
    ($($arg:tt)*) => { $crate::observe::log::at_level!(Alert, $($arg)*) };
}
pub(crate) use alert;

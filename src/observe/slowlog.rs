//! `slowlog`: a backtrace of each slow request, in PHP-FPM's form.

use std::fs::File;
use std::io::Write;
use std::sync::{PoisonError, RwLock};

use super::log::{local_time, now};

/// The slowlog of a pool. Any thread may write to it.
pub struct SlowLog {
    pool: String,
    depth: u32,
    file: RwLock<File>,
}

impl SlowLog {
    /// Writes to `file`, which is open for appending; `depth` is `request_slowlog_trace_depth`.
    pub fn new(pool: &str, depth: u32, file: File) -> SlowLog {
        SlowLog { pool: pool.to_owned(), depth, file: RwLock::new(file) }
    }

    /// Writes to `file` from now on: the log was opened anew.
    pub fn reopen(&self, file: File) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
    }

    /// The most frames of a backtrace.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Writes an entry: the frames of thread `pid`, a line each; not `whole`: the backtrace broke off.
    pub fn write(&self, pid: i64, script: &[u8], frames: &str, whole: bool) {
        let (time, pool) = (local_time(now(), c"[%d-%b-%Y %H:%M:%S]"), &self.pool);
        let script = String::from_utf8_lossy(script);
        let script: String = script.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let end = if whole { "" } else { "+++ dump failed\n" };
        let entry = format!("\n{time}  [pool {pool}] pid {pid}\nscript_filename = {script}\n{frames}{end}");
        // There is nobody to tell when the log cannot be written to.
        let _ = (&*self.file.read().unwrap_or_else(PoisonError::into_inner)).write_all(entry.as_bytes());
    }
}

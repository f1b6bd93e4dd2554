//! `access.log`: a line for each request, in the format that `access.format` gives.

mod line;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::{PoisonError, RwLock};

use ftm_config::AccessField;

pub use line::{Entry, Line};

use super::log;

/// The value of the header `name` if this is it: `Name: value`. Names are compared as they are, as under PHP-FPM.
pub fn header_value<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    header.strip_prefix(name)?.strip_prefix(b": ").filter(|value| !value.is_empty())
}

/// The access log of a pool. Any thread may write to it.
pub struct AccessLog {
    pool: String,
    format: Vec<AccessField>,
    suppress_paths: Vec<OsString>,
    file: RwLock<File>,
}

impl AccessLog {
    /// Writes to `file`, which is open for appending.
    pub fn new(pool: &str, config: &ftm_config::AccessLog, file: File) -> AccessLog {
        let (format, suppress_paths) = (config.format.clone(), config.suppress_paths.clone());
        AccessLog { pool: pool.to_owned(), format, suppress_paths, file: RwLock::new(file) }
    }

    /// Writes to `file` from now on: the log was opened anew.
    pub fn reopen(&self, file: File) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
    }

    /// The names of the response's headers that lines show.
    pub fn headers(&self) -> impl Iterator<Item = &[u8]> {
        self.format.iter().filter_map(|field| match field {
            AccessField::Header(name) => Some(name.as_slice()),
            _ => None,
        })
    }

    /// The line of a request, unless it is suppressed.
    pub fn line(&self, entry: &Entry<'_>) -> Option<Line> {
        if self.suppresses(entry) { None } else { line::render(&self.format, &self.pool, entry) }
    }

    /// Writes a line.
    pub fn write(&self, line: &Line) {
        if line.cut {
            log::notice!("the log buffer is full ({}). The access log request has been truncated.", line::MAX);
        }
        // There is nobody to tell when the log cannot be written to.
        let _ = (&*self.file.read().unwrap_or_else(PoisonError::into_inner)).write_all(&line.bytes);
    }

    /// `access.suppress_path`: of successful, plain requests only, as PHP-FPM has it.
    fn suppresses(&self, entry: &Entry<'_>) -> bool {
        let shown = entry.shown;
        shown.query.is_empty()
            && matches!(shown.method.as_slice(), b"GET" | b"HEAD")
            && (200..300).contains(&entry.status)
            && shown.content_length == 0
            && self.suppress_paths.iter().any(|path| path.as_bytes() == shown.uri)
    }
}

//! What workers say: lines of scripts on stdout and stderr, and PHP's own messages (`catch_workers_output`).

use super::line::{Format, Origin, object, prefix};
use super::{Level, sink};

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Who says something, and how it is shown.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// The pool.
    pub pool: &'a str,
    /// The thread, or the process where that is not known.
    pub pid: i64,
    /// Where it said so.
    pub stream: Stream,
    /// `decorate_workers_output`.
    pub decorate: bool,
}

impl Said<'_> {
    fn before(&self, format: &Format) -> String {
        if !self.decorate {
            return String::new();
        }
        let origin = Origin { level: Level::Warning, function: "said", line: line!() };
        let Said { pool, pid, stream, .. } = self;
        format!("{}[pool {pool}] child {pid} said into {}: \"", prefix(format, &origin), stream.name())
    }

    /// The most bytes of text that a line takes: with the rest and its newline it is as long as `log_limit`.
    pub fn room(&self) -> usize {
        let format = sink().format;
        room(&format, &self.before(&format), self.decorate)
    }
}

fn room(format: &Format, before: &str, decorate: bool) -> usize {
    format.limit.saturating_sub(before.len() + usize::from(decorate) + 1).max(1)
}

/// Logs text without newlines, in as many lines as `log_limit` makes of it.
pub fn said(who: &Said<'_>, text: &[u8]) {
    let mut sink = sink();
    if text.is_empty() || who.decorate && Level::Warning < sink.level {
        return;
    }
    let format = sink.format;
    let before = who.before(&format);
    for piece in text.chunks(room(&format, &before, who.decorate)) {
        let shown = String::from_utf8_lossy(piece);
        let line = match (format.json, who.decorate) {
            (true, _) => object(Level::Warning, who.pid, Some(who.pool), Some(who.stream.name()), &shown),
            (false, true) => [before.as_bytes(), piece, b"\"\n"].concat(),
            (false, false) => [piece, b"\n"].concat(),
        };
        let (pool, pid, stream) = (who.pool, who.pid, who.stream.name());
        let message = match who.decorate {
            true => format!("[pool {pool}] child {pid} said into {stream}: \"{shown}\""),
            false => shown.into_owned(),
        };
        sink.put(Level::Warning, &message, &line);
    }
}

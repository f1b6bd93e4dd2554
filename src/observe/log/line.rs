//! A line of the error log: PHP-FPM's form, with its place in the source where `log_level = debug`, or JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use ftm_config::Level;

use super::local_time;
use crate::observe::status::escape::json_text;

/// PHP-FPM cuts its own messages here at the latest, in bytes.
const MESSAGE_MAX: usize = 2048;

/// How lines are written.
#[derive(Clone, Copy)]
pub struct Format {
    /// `log_format = json`.
    pub json: bool,
    /// `log_limit` in bytes, the newline included.
    pub limit: usize,
    /// `log_level = debug`.
    pub debug: bool,
}

impl Format {
    /// Before the configuration is known.
    pub const PLAIN: Format = Format { json: false, limit: 1024, debug: false };
}

/// Where a message comes from.
pub struct Origin<'a> {
    /// Its level.
    pub level: Level,
    /// Where in the source it stands.
    pub function: &'a str,
    /// Likewise.
    pub line: u32,
}

/// What stands before the text: time, level and, for debugging, the place.
pub fn prefix(format: &Format, origin: &Origin<'_>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = local_time(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), c"%d-%b-%Y %H:%M:%S");
    if format.debug {
        let (pid, micros) = (std::process::id(), now.subsec_micros());
        let Origin { level, function, line } = origin;
        format!("[{time}.{micros:06}] {level}: pid {pid}, {function}(), line {line}: ")
    } else {
        format!("[{time}] {}: ", origin.level)
    }
}

/// A line with `message`, which has no newline.
pub fn message(format: &Format, origin: &Origin<'_>, message: &str) -> Vec<u8> {
    if format.json {
        let (pool, text) = split_pool(message);
        return object(origin.level, std::process::id().into(), pool, None, text);
    }
    let mut line = (prefix(format, origin) + message).into_bytes();
    if line.len() >= MESSAGE_MAX {
        line.truncate(format.limit.min(MESSAGE_MAX) - "...\n".len());
        line.extend_from_slice(b"...");
    }
    line.push(b'\n');
    line
}

/// The pool that a message names at its beginning: `[pool www] text`.
fn split_pool(message: &str) -> (Option<&str>, &str) {
    let rest = message.strip_prefix("[pool ").and_then(|rest| rest.split_once("] "));
    rest.map_or((None, message), |(pool, text)| (Some(pool), text))
}

/// A line in JSON.
pub fn object(level: Level, pid: i64, pool: Option<&str>, stream: Option<&str>, text: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let zone = local_time(seconds, c"%z");
    // RFC 3339 wants a colon in the zone.
    let zone = zone.split_at_checked(3).map_or(String::new(), |(hours, minutes)| format!("{hours}:{minutes}"));
    let time = local_time(seconds, c"%Y-%m-%dT%H:%M:%S");
    let level = level.to_string().to_ascii_lowercase();
    let micros = now.subsec_micros();
    let mut line = format!("{{\"time\":\"{time}.{micros:06}{zone}\",\"level\":\"{level}\",\"pid\":{pid}").into_bytes();
    for (name, value) in [("pool", pool), ("stream", stream), ("message", Some(text))] {
        if let Some(value) = value {
            line.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
            json_text(&mut line, value.as_bytes());
            line.push(b'"');
        }
    }
    line.extend_from_slice(b"}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin<'_> = Origin { level: Level::Warning, function: "f", line: 7 };

    fn text(format: &Format, text: &str) -> String {
        String::from_utf8(message(format, &ORIGIN, text)).expect("UTF-8")
    }

    #[test]
    fn lines_have_php_fpms_form() {
        let line = text(&Format::PLAIN, "hello");
        assert!(line.starts_with('[') && line.ends_with("] WARNING: hello\n"), "{line}");
        assert_eq!(line.len(), "[20-Nov-2026 21:39:34] WARNING: hello\n".len());
        let line = text(&Format { debug: true, ..Format::PLAIN }, "hello");
        let pid = std::process::id();
        assert!(line.ends_with(&format!("] WARNING: pid {pid}, f(), line 7: hello\n")), "{line}");
        assert_eq!(line.find(']'), Some("[20-Nov-2026 21:41:14.907658".len()));
    }

    #[test]
    fn long_lines_are_cut_at_the_limit() {
        let cut = text(&Format { limit: 600, ..Format::PLAIN }, &"x".repeat(5000));
        assert!(cut.len() == 600 && cut.ends_with("xx...\n"), "{cut}");
        assert_eq!(text(&Format::PLAIN, &"x".repeat(1500)).len(), 1500 + 33);
    }

    #[test]
    fn json_lines_are_objects() {
        let line = text(&Format { json: true, ..Format::PLAIN }, "[pool www] it \"said\"\u{1}");
        let pid = std::process::id();
        let end =
            format!("\"level\":\"warning\",\"pid\":{pid},\"pool\":\"www\",\"message\":\"it \\\"said\\\"\\u0001\"}}\n");
        assert!(line.starts_with("{\"time\":\"") && line.ends_with(&end), "{line}");
    }
}

//! A line of an access log: from what is known of a request to bytes.

use std::ffi::CString;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use ftm_config::{AccessField, CpuTime, DurationUnit};

use crate::observe::log::local_time;
use crate::pool::{Cpu, Shown};

/// The longest line in bytes, its newline not counted, as under PHP-FPM.
pub const MAX: usize = 1024;

/// What a line tells of a request.
pub struct Entry<'a> {
    /// What the scoreboard shows of it, cut to the same lengths.
    pub shown: &'a Shown,
    /// The status of the response.
    pub status: i32,
    /// From its first byte to the end of its script.
    pub duration: Duration,
    /// Processor time.
    pub cpu: Cpu,
    /// Peak memory in bytes.
    pub memory: u64,
    /// Unix time at which it began.
    pub began: i64,
    /// Unix time now.
    pub now: i64,
    /// The web server's address; `None`: a unix socket.
    pub peer: Option<IpAddr>,
    /// The thread that ran it.
    pub pid: i64,
    /// The master.
    pub parent: i64,
    /// A parameter of the request.
    pub param: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    /// A header of the response.
    pub header: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
}

/// A rendered line.
pub struct Line {
    /// With its newline.
    pub bytes: Vec<u8>,
    /// It was too long.
    pub cut: bool,
}

/// The line, in `format`; `None`: it would be empty.
pub fn render(format: &[AccessField], pool: &str, entry: &Entry<'_>) -> Option<Line> {
    let mut bytes = Vec::with_capacity(256);
    for field in format {
        render_field(&mut bytes, field, pool, entry);
    }
    if bytes.is_empty() {
        return None;
    }
    let cut = bytes.len() > MAX;
    bytes.truncate(MAX);
    bytes.push(b'\n');
    Some(Line { bytes, cut })
}

fn render_field(out: &mut Vec<u8>, field: &AccessField, pool: &str, entry: &Entry<'_>) {
    let shown = entry.shown;
    // Writing to a vector cannot fail.
    let _ = match field {
        AccessField::Text(text) => out.write_all(text),
        AccessField::Cpu(kind) => write!(out, "{:.2}", percent(*kind, entry)),
        AccessField::Duration(DurationUnit::Seconds) => write!(out, "{:.3}", entry.duration.as_secs_f64()),
        AccessField::Duration(DurationUnit::Milliseconds) => write!(out, "{:.3}", entry.duration.as_secs_f64() * 1e3),
        AccessField::Duration(DurationUnit::Microseconds) => write!(out, "{}", entry.duration.as_micros()),
        AccessField::Param(name) => escaped(out, (entry.param)(name).unwrap_or(b"-")),
        AccessField::Script => escaped(out, or_dash(&shown.script)),
        AccessField::ContentLength => write!(out, "{}", shown.content_length),
        AccessField::Method => escaped(out, or_dash(&shown.method)),
        AccessField::Memory(unit) => write!(out, "{}", entry.memory / unit),
        AccessField::Pool => out.write_all(pool.as_bytes()),
        AccessField::Header(name) => escaped(out, (entry.header)(name).unwrap_or(b"-")),
        AccessField::Pid => write!(out, "{}", entry.pid),
        AccessField::ParentPid => write!(out, "{}", entry.parent),
        AccessField::Query => escaped(out, &shown.query),
        AccessField::QueryMark => out.write_all(if shown.query.is_empty() { b"" } else { b"?" }),
        AccessField::Uri => escaped(out, &shown.uri),
        AccessField::Peer => match entry.peer {
            Some(peer) => write!(out, "{}", peer.to_canonical()),
            None => out.write_all(b"-"),
        },
        AccessField::Status => write!(out, "{}", entry.status),
        AccessField::Began(format) => out.write_all(time(entry.began, format).as_bytes()),
        AccessField::Written(format) => out.write_all(time(entry.now, format).as_bytes()),
        AccessField::User => escaped(out, &shown.user),
    };
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

fn percent(kind: CpuTime, entry: &Entry<'_>) -> f64 {
    let used = match kind {
        CpuTime::Total => entry.cpu.total(),
        CpuTime::User => entry.cpu.user,
        CpuTime::System => entry.cpu.system,
    };
    if entry.duration.is_zero() { 0.0 } else { used.as_secs_f64() / entry.duration.as_secs_f64() * 100.0 }
}

fn time(at: i64, format: &[u8]) -> String {
    // A NUL cannot come out of the configuration.
    CString::new(format).map(|format| local_time(at, &format)).unwrap_or_default()
}

/// What a client sent must not begin another line, nor move a terminal's cursor. PHP-FPM writes it as it is.
fn escaped(out: &mut Vec<u8>, text: &[u8]) -> std::io::Result<()> {
    for &byte in text {
        match byte {
            0..0x20 | 0x7f => write!(out, "\\x{byte:02X}")?,
            _ => out.push(byte),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: &[AccessField], change: impl FnOnce(&mut Shown)) -> Option<String> {
        let mut shown = Shown { method: b"GET".into(), uri: b"/a.php".into(), ..Shown::default() };
        change(&mut shown);
        let entry = Entry {
            shown: &shown,
            status: 200,
            duration: Duration::from_micros(2_500),
            cpu: Cpu { user: Duration::from_millis(1), system: Duration::from_micros(250) },
            memory: 3 << 20,
            began: 0,
            now: 3600,
            peer: Some("::ffff:10.0.0.1".parse().expect("an address")),
            pid: 17,
            parent: 1,
            param: &|name| (name == b"X").then_some(b"x y".as_slice()),
            header: &|name| (name == b"H").then_some(b"h".as_slice()),
        };
        render(format, "www", &entry).map(|line| String::from_utf8(line.bytes).expect("UTF-8"))
    }

    #[test]
    fn each_field_has_php_fpms_form() {
        use AccessField as F;
        for (field, text) in [
            (F::Cpu(CpuTime::Total), "50.00"),
            (F::Cpu(CpuTime::System), "10.00"),
            (F::Duration(DurationUnit::Seconds), "0.003"),
            (F::Duration(DurationUnit::Milliseconds), "2.500"),
            (F::Duration(DurationUnit::Microseconds), "2500"),
            (F::Param(b"X".into()), "x y"),
            (F::Param(b"Y".into()), "-"),
            (F::Header(b"H".into()), "h"),
            (F::Script, "-"),
            (F::Memory(1 << 10), "3072"),
            (F::Memory(1 << 20), "3"),
            (F::Peer, "10.0.0.1"),
            (F::Began(b"%Y".into()), if local_time(0, c"%Y") == "1970" { "1970" } else { "1969" }),
        ] {
            assert_eq!(line(std::slice::from_ref(&field), |_| {}), Some(format!("{text}\n")), "{field:?}");
        }
        assert_eq!(line(&[F::User, F::QueryMark, F::Query], |_| {}), None, "an empty line is none");
        assert_eq!(line(&[F::QueryMark, F::Query], |shown| shown.query = b"a=1".into()).as_deref(), Some("?a=1\n"));
    }

    #[test]
    fn a_line_stays_one_and_is_cut() {
        let forged = line(&[AccessField::Uri], |shown| shown.uri = b"/a\n127.0.0.1 \x1b[2J".into());
        assert_eq!(forged.as_deref(), Some("/a\\x0A127.0.0.1 \\x1B[2J\n"));
        let long = line(&[AccessField::Query], |shown| shown.query = vec![b'q'; 5000]);
        assert_eq!(long.map(|line| line.len()), Some(MAX + 1));
    }
}

//! `text/plain`: lines of a name and a figure.

use super::Snapshot;
use super::fields::{self, Style, Value};

/// The column in which figures begin.
const COLUMN: usize = 22;

/// The page; with `full` a block for each thread.
pub fn render(snapshot: &Snapshot, full: bool) -> Vec<u8> {
    let mut out = Vec::new();
    lines(&mut out, snapshot, &fields::summary(&snapshot.summary));
    for view in snapshot.threads.iter().filter(|_| full) {
        out.extend_from_slice(b"\n************************\n");
        lines(&mut out, snapshot, &fields::thread(view, snapshot.summary.now));
    }
    out
}

fn lines(out: &mut Vec<u8>, snapshot: &Snapshot, fields: &[(&str, Value<'_>)]) {
    for (name, value) in fields {
        let name = if *name == "request uri" { "request URI" } else { name };
        out.extend_from_slice(format!("{:COLUMN$}", format!("{name}:")).as_bytes());
        fields::write(out, value, snapshot.local_time, &Style { client: plain, text: plain });
        out.push(b'\n');
    }
}

/// As it is, but for control characters, which could forge lines.
fn plain(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|&b| if b.is_ascii_control() { b'?' } else { b }));
}

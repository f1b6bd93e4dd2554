//! `text/xml`: an element for each figure.

use super::fields::{self, Value};
use super::{Snapshot, escape};

/// The page; with `full` an element `processes`, which holds one for each thread.
pub fn render(snapshot: &Snapshot, full: bool) -> Vec<u8> {
    let mut out = b"<?xml version=\"1.0\" ?>\n<status>\n".to_vec();
    for (name, value) in fields::summary(&snapshot.summary) {
        element(&mut out, name, &value);
        out.push(b'\n');
    }
    if full {
        out.extend_from_slice(b"<processes>\n");
        for view in &snapshot.threads {
            out.extend_from_slice(b"<process>");
            for (name, value) in fields::thread(view, snapshot.summary.now) {
                element(&mut out, name, &value);
            }
            out.extend_from_slice(b"</process>\n");
        }
        out.extend_from_slice(b"</processes>\n");
    }
    out.extend_from_slice(b"</status>");
    out
}

fn element(out: &mut Vec<u8>, name: &str, value: &Value<'_>) {
    let name = name.replace(' ', "-");
    out.extend_from_slice(format!("<{name}>").as_bytes());
    fields::write(out, value, |at| at.to_string(), &escape::MARKUP);
    out.extend_from_slice(format!("</{name}>").as_bytes());
}

//! `text/html`: tables.

use super::fields;
use super::{Snapshot, escape};

const TOP: &str = r#"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head><title>PHP-FPM Status Page</title></head>
<body>
<table>
"#;

const ROWS_TOP: &str = "<table border=\"1\">\n<tr><th>pid</th><th>state</th><th>start time</th><th>start since</th>\
    <th>requests</th><th>request duration</th><th>request method</th><th>request uri</th><th>content length</th>\
    <th>user</th><th>script</th><th>last request cpu</th><th>last request memory</th></tr>\n";

/// The page; with `full` a second table with a row for each thread.
pub fn render(snapshot: &Snapshot, full: bool) -> Vec<u8> {
    let mut out = TOP.as_bytes().to_vec();
    for (name, value) in fields::summary(&snapshot.summary) {
        out.extend_from_slice(format!("<tr><th>{name}</th><td>").as_bytes());
        fields::write(&mut out, &value, snapshot.local_time, &escape::MARKUP);
        out.extend_from_slice(b"</td></tr>\n");
    }
    out.extend_from_slice(b"</table>\n");
    if full {
        out.extend_from_slice(ROWS_TOP.as_bytes());
        for view in &snapshot.threads {
            out.extend_from_slice(b"<tr>");
            for (_, value) in fields::thread(view, snapshot.summary.now) {
                out.extend_from_slice(b"<td>");
                fields::write(&mut out, &value, snapshot.local_time, &escape::MARKUP);
                out.extend_from_slice(b"</td>");
            }
            out.extend_from_slice(b"</tr>\n");
        }
        out.extend_from_slice(b"</table>");
    }
    out.extend_from_slice(b"</body></html>");
    out
}

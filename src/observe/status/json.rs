//! `application/json`: a member for each figure.

use super::fields::{self, Value};
use super::{Snapshot, Summary, escape, own};

/// The page; with `full` a member `processes`, an array of the threads, and a member `php-ftm` with what is our own.
pub fn render(snapshot: &Snapshot, full: bool) -> Vec<u8> {
    let mut out = vec![b'{'];
    members(&mut out, &fields::summary(&snapshot.summary));
    if full {
        out.extend_from_slice(b", \"processes\":[");
        for (i, view) in snapshot.threads.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b",{" } else { b"{" });
            members(&mut out, &fields::thread(view, snapshot.summary.now));
            out.push(b'}');
        }
        out.extend_from_slice(b"], \"php-ftm\":");
        out.extend_from_slice(ours(&snapshot.summary).as_bytes());
    }
    out.push(b'}');
    out
}

fn members(out: &mut Vec<u8>, fields: &[(&str, Value<'_>)]) {
    for (i, (name, value)) in fields.iter().enumerate() {
        let quote: &[u8] =
            if matches!(value, Value::Text(_) | Value::Client(_) | Value::Uri(..)) { b"\"" } else { b"" };
        let comma = if i > 0 { "," } else { "" };
        out.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
        out.extend_from_slice(quote);
        fields::write(out, value, |at| at.to_string(), &escape::JSON);
        out.extend_from_slice(quote);
    }
}

/// What is counted; how many requests waited for a thread at most so many milliseconds, how many there
/// were, and the sum of their waits in seconds.
fn ours(summary: &Summary) -> String {
    let waits = summary.waits;
    let buckets: Vec<String> = waits.cumulative().map(|(ms, n)| format!("\"{ms}\":{n}")).collect();
    let counted: String = own::named(&summary.own, " ").map(|(name, _, n)| format!("\"{name}\":{n},")).collect();
    format!(
        "{{{counted}\"queue time\":{{\"at most ms\":{{{}}},\"requests\":{},\"seconds\":{:.6}}}}}",
        buckets.join(","),
        waits.count(),
        waits.sum().as_secs_f64()
    )
}

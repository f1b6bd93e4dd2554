//! The figures under PHP-FPM's names and in its order, which text, HTML, XML and JSON share.

use super::Summary;
use crate::pool::View;

/// A figure.
pub enum Value<'a> {
    /// A word, or a name of the configuration.
    Text(&'a [u8]),
    /// What a client has sent.
    Client(&'a [u8]),
    /// SCRIPT_NAME and QUERY_STRING.
    Uri(&'a [u8], &'a [u8]),
    /// A Unix time.
    Time(i64),
    /// A count, seconds, microseconds or bytes.
    Number(u64),
    /// Percent, shown with two decimals.
    Percent(f64),
}

/// What PHP-FPM shows for empty text.
pub const NONE: &[u8] = b"-";

fn seconds(from: i64, to: i64) -> Value<'static> {
    Value::Number(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

fn client(value: &[u8]) -> Value<'_> {
    Value::Client(if value.is_empty() { NONE } else { value })
}

/// The pool's figures.
pub fn summary(summary: &Summary) -> Vec<(&'static str, Value<'_>)> {
    let mut fields = vec![
        ("pool", Value::Text(summary.pool.as_bytes())),
        ("process manager", Value::Text(summary.process_manager.as_bytes())),
        ("start time", Value::Time(summary.start_time)),
        ("start since", seconds(summary.start_time, summary.now)),
        ("accepted conn", Value::Number(summary.accepted)),
        ("listen queue", Value::Number(summary.queue)),
        ("max listen queue", Value::Number(summary.queue_max)),
        ("listen queue len", Value::Number(summary.queue_limit)),
        ("idle processes", Value::Number(summary.idle)),
        ("active processes", Value::Number(summary.active)),
        ("total processes", Value::Number(summary.idle + summary.active)),
        ("max active processes", Value::Number(summary.active_max)),
        ("max children reached", Value::Number(summary.max_children_reached)),
        ("slow requests", Value::Number(summary.slow_requests)),
    ];
    if let Some(bytes) = summary.memory_peak {
        fields.push(("memory peak", Value::Number(bytes)));
    }
    fields
}

/// A thread's figures.
pub fn thread(view: &View, now: i64) -> Vec<(&'static str, Value<'_>)> {
    let shown = &view.shown;
    vec![
        ("pid", Value::Number(u64::try_from(view.thread_id).unwrap_or(0))),
        ("state", Value::Text(view.state.name().to_bytes())),
        ("start time", Value::Time(view.start_time)),
        ("start since", seconds(view.start_time, now)),
        ("requests", Value::Number(view.requests)),
        ("request duration", Value::Number(u64::try_from(view.duration.as_micros()).unwrap_or(u64::MAX))),
        ("request method", client(&shown.method)),
        ("request uri", Value::Uri(if shown.uri.is_empty() { NONE } else { &shown.uri }, &shown.query)),
        ("content length", Value::Number(u64::try_from(shown.content_length).unwrap_or(0))),
        ("user", client(&shown.user)),
        ("script", client(&shown.script)),
        ("last request cpu", Value::Percent(view.cpu_percent())),
        ("last request memory", Value::Number(view.idle_memory())),
    ]
}

/// How a format writes text.
pub struct Style {
    /// What clients send, which PHP-FPM escapes: of old only the address, from 8.2.36 on all of it.
    pub client: fn(&mut Vec<u8>, &[u8]),
    /// Other text, which it does not: what needs no escape must stay as it is.
    pub text: fn(&mut Vec<u8>, &[u8]),
}

/// Writes a value.
pub fn write(out: &mut Vec<u8>, value: &Value<'_>, time: impl Fn(i64) -> String, style: &Style) {
    match value {
        Value::Text(text) => (style.text)(out, text),
        Value::Client(text) => (style.client)(out, text),
        Value::Uri(path, query) => {
            (style.client)(out, path);
            if !query.is_empty() {
                out.push(b'?');
                (style.client)(out, query);
            }
        }
        Value::Time(at) => out.extend_from_slice(time(*at).as_bytes()),
        Value::Number(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Percent(percent) => out.extend_from_slice(format!("{percent:.2}").as_bytes()),
    }
}

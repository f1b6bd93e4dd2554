//! `application/openmetrics-text`, as Prometheus reads it.
//!
//! PHP-FPM's part is its own to the byte, oddities included (counters without `_total`, a TYPE before its HELP), because
//! dashboards know its names. Ours come first: PHP's test suite wants `# EOF` behind the last of PHP-FPM's.

use std::fmt::Write;

use super::{Snapshot, Summary, own};

/// The page; `full` adds nothing.
pub fn render(snapshot: &Snapshot, _full: bool) -> Vec<u8> {
    let mut out = String::new();
    ours(&mut out, &snapshot.summary);
    php_fpm(&mut out, &snapshot.summary);
    out.push_str("# EOF\n");
    out.into_bytes()
}

fn metric(out: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    // A String takes everything.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

fn ours(out: &mut String, summary: &Summary) {
    for (name, help, n) in own::named(&summary.own, "_") {
        let name = format!("phpftm_{name}");
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name}_total {n}\n");
    }
    let name = "phpftm_queue_seconds";
    let _ = write!(out, "# HELP {name} How long requests waited for a thread.\n# TYPE {name} histogram\n");
    let waits = summary.waits;
    for (ms, n) in waits.cumulative() {
        let _ = writeln!(out, "{name}_bucket{{le=\"{:?}\"}} {n}", ms as f64 / 1000.0);
    }
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", waits.count());
    let _ = write!(out, "{name}_sum {:.6}\n{name}_count {}\n", waits.sum().as_secs_f64(), waits.count());
}

fn php_fpm(out: &mut String, summary: &Summary) {
    let Summary { pool, process_manager, .. } = summary;
    let up = format!("Could pool {pool} using a {process_manager} PM on PHP-FPM be reached?");
    metric(out, "phpfpm_up", &up, "gauge", 1);
    let since = u64::try_from(summary.now.saturating_sub(summary.start_time)).unwrap_or(0);
    for (name, help, kind, value) in [
        ("start_since", "The number of seconds since FPM has started.", "counter", since),
        ("accepted_connections", "The number of requests accepted by the pool.", "counter", summary.accepted),
        ("listen_queue", "The number of requests in the queue of pending connections.", "gauge", summary.queue),
        (
            "max_listen_queue",
            "The maximum number of requests in the queue of pending connections since FPM has started.",
            "counter",
            summary.queue_max,
        ),
    ] {
        metric(out, &format!("phpfpm_{name}"), help, kind, value);
    }
    let name = "phpfpm_listen_queue_length";
    let help = "The size of the socket queue of pending connections.";
    let _ = write!(out, "# TYPE {name} gauge\n# HELP {name} {help}\n{name} {}\n", summary.queue_limit);
    for (name, help, kind, value) in [
        ("idle_processes", "The number of idle processes.", "gauge", summary.idle),
        ("active_processes", "The number of active processes.", "gauge", summary.active),
        ("total_processes", "The number of idle + active processes.", "gauge", summary.idle + summary.active),
        (
            "max_active_processes",
            "The maximum number of active processes since FPM has started.",
            "counter",
            summary.active_max,
        ),
        (
            "max_children_reached",
            "The number of times, the process limit has been reached, when pm tries to start more children (works only \
             for pm 'dynamic' and 'ondemand').",
            "counter",
            summary.max_children_reached,
        ),
        (
            "slow_requests",
            "The number of requests that exceeded your 'request_slowlog_timeout' value.",
            "counter",
            summary.slow_requests,
        ),
    ] {
        metric(out, &format!("phpfpm_{name}"), help, kind, value);
    }
    if let Some(bytes) = summary.memory_peak {
        metric(out, "phpfpm_memory_peak", "The memory usage peak since FPM has started.", "gauge", bytes);
    }
}

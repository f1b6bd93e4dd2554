//! The formats against what php-fpm 8.2 sent for `/status?…` (`samples/`).

use std::time::Duration;

use super::*;
use crate::pool::{Cpu, Shown, State};

const START: i64 = 1_795_211_618;

/// A pool of two processes: the first answers `/status?QUERY`, the second has answered `/status?BEFORE`. `requests`: of
/// the pool, of the first, of the second; `durations` in microseconds.
fn snapshot(query: &str, before: &str, requests: [u64; 3], durations: [u64; 2]) -> Snapshot {
    let thread = |i: usize, state: State, query: &str| View {
        thread_id: 4871 + i as i64,
        state,
        start_time: START,
        requests: requests[i + 1],
        duration: Duration::from_micros(durations[i]),
        shown: Shown { method: b"GET".to_vec(), uri: b"/status".to_vec(), query: query.into(), ..Shown::default() },
        cpu: Cpu::default(),
        ran: Duration::from_micros(durations[i]),
        memory: 2_097_152,
    };
    Snapshot {
        summary: Summary {
            pool: "www".into(),
            process_manager: "dynamic",
            start_time: START,
            now: START,
            accepted: requests[0],
            queue: 0,
            queue_max: 0,
            queue_limit: 0,
            idle: 1,
            active: 1,
            active_max: 1,
            max_children_reached: 0,
            slow_requests: 0,
            memory_peak: None,
            own: [3, 1, 4, 0, 2, 5, 6],
            waits: Waits::default(),
        },
        threads: vec![thread(0, State::Running, query), thread(1, State::Idle, before)],
        local_time: |_| "20/Nov/2026:21:53:38 +0000".into(),
    }
}

fn page(snapshot: &Snapshot, query: &str) -> String {
    let query = Query::parse(query.as_bytes(), Keys::Beginnings);
    String::from_utf8(render(snapshot, query)).expect("UTF-8")
}

#[test]
fn text_is_php_fpms() {
    let short = snapshot("", "", [2, 1, 1], [0, 0]);
    assert_eq!(page(&short, ""), include_str!("samples/text"));
    let full = snapshot("full", "", [3, 2, 1], [124, 316]);
    assert_eq!(page(&full, "full"), include_str!("samples/text-full"));
}

#[test]
fn html_is_php_fpms() {
    let short = snapshot("", "", [8, 1, 1], [0, 0]);
    assert_eq!(page(&short, "html"), include_str!("samples/html"));
    let full = snapshot("html&full", "html", [9, 5, 4], [75, 82]);
    assert_eq!(page(&full, "html&full"), include_str!("samples/html-full"));
}

#[test]
fn xml_is_php_fpms() {
    let short = snapshot("", "", [6, 1, 1], [0, 0]);
    assert_eq!(page(&short, "xml"), include_str!("samples/xml"));
    let full = snapshot("xml&full", "xml", [7, 4, 3], [85, 81]);
    assert_eq!(page(&full, "xml&full"), include_str!("samples/xml-full"));
}

#[test]
fn json_is_php_fpms_with_our_own_behind_the_processes() {
    let short = snapshot("", "", [4, 1, 1], [0, 0]);
    assert_eq!(page(&short, "json"), include_str!("samples/json"));
    let mut full = snapshot("json&full", "json", [5, 3, 2], [314, 84]);
    full.summary.waits.add(Duration::from_millis(7));
    let theirs = include_str!("samples/json-full").strip_suffix('}').expect("an object");
    let own = r#", "php-ftm":{"recycles":3,"crashes":1,"kills by error":4,"kills by socket":0,"kills by program":2,"abandoned threads":5,"opcache restarts":6,"queue time":{"at most ms":{"1":0,"5":0,"10":1,"50":1,"100":1,"500":1,"1000":1,"5000":1,"10000":1},"requests":1,"seconds":0.007000}}}"#;
    assert_eq!(page(&full, "json&full"), format!("{theirs}{own}"));
}

#[test]
fn openmetrics_are_php_fpms_with_our_own_in_front() {
    let mut snapshot = snapshot("", "", [10, 1, 1], [0, 0]);
    snapshot.summary.waits.add(Duration::from_millis(7));
    snapshot.summary.waits.add(Duration::from_secs(60));
    let shown = page(&snapshot, "openmetrics&full");
    let own = shown.strip_suffix(include_str!("samples/openmetrics")).expect("php-fpm's at the end");
    let lines: Vec<&str> = own.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines[..10],
        [
            "phpftm_recycles_total 3",
            "phpftm_crashes_total 1",
            "phpftm_kills_by_error_total 4",
            "phpftm_kills_by_socket_total 0",
            "phpftm_kills_by_program_total 2",
            "phpftm_abandoned_threads_total 5",
            "phpftm_opcache_restarts_total 6",
            "phpftm_queue_seconds_bucket{le=\"0.001\"} 0",
            "phpftm_queue_seconds_bucket{le=\"0.005\"} 0",
            "phpftm_queue_seconds_bucket{le=\"0.01\"} 1",
        ]
    );
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "phpftm_queue_seconds_bucket{le=\"10.0\"} 1",
            "phpftm_queue_seconds_bucket{le=\"+Inf\"} 2",
            "phpftm_queue_seconds_sum 60.007000",
            "phpftm_queue_seconds_count 2",
        ]
    );
}

#[test]
fn php_8_4_has_the_memory_peak_last() {
    let mut snapshot = snapshot("", "", [1, 1, 1], [0, 0]);
    snapshot.summary.memory_peak = Some(2_097_152);
    assert!(page(&snapshot, "").ends_with("slow requests:        0\nmemory peak:          2097152\n"));
    assert!(page(&snapshot, "json").ends_with(r#""slow requests":0,"memory peak":2097152}"#));
    assert!(page(&snapshot, "xml").ends_with("</slow-requests>\n<memory-peak>2097152</memory-peak>\n</status>"));
    let html = "<tr><th>memory peak</th><td>2097152</td></tr>\n</table>\n</body></html>";
    assert!(page(&snapshot, "html").ends_with(html));
    assert!(page(&snapshot, "openmetrics").ends_with("gauge\nphpfpm_memory_peak 2097152\n# EOF\n"));
}

#[test]
fn figures_of_the_last_request_are_shown_while_idle() {
    let mut snapshot = snapshot("", "", [1, 1, 1], [0, 2_000_000]);
    let quarter = Cpu { user: Duration::from_millis(450), system: Duration::from_millis(50) };
    snapshot.threads.iter_mut().for_each(|thread| thread.cpu = quarter);
    let rows = page(&snapshot, "full");
    let shown = |name: &str| rows.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("|");
    assert_eq!(shown("last request cpu"), "last request cpu:     0.00|last request cpu:     25.00");
    assert_eq!(shown("last request memory"), "last request memory:  0|last request memory:  2097152");
}

#[test]
fn what_clients_send_cannot_break_a_page() {
    let mut snapshot = snapshot("q=\"<b>\"&x", "", [1, 1, 1], [0, 0]);
    let shown = &mut snapshot.threads[0].shown;
    shown.uri = b"/<i>\"".to_vec();
    shown.user = b"\"},{<u>\n".to_vec();
    shown.method = b"<GET>".to_vec();
    for format in ["html", "xml"] {
        let page = page(&snapshot, &format!("{format}&full"));
        assert!(page.contains("/&lt;i&gt;&quot;?q=&quot;&lt;b&gt;&quot;&amp;x<"), "{page}");
        assert!(page.contains("&quot;},{&lt;u&gt;") && page.contains("&lt;GET&gt;"), "{page}");
    }
    let json = page(&snapshot, "json&full");
    assert!(json.contains(r#""\/<i>\"?q=\"<b>\"&x""#) && json.contains(r#""user":"\"},{<u>\n""#), "{json}");
    let text = page(&snapshot, "full");
    assert!(text.contains("\nuser:                 \"},{<u>?\n"), "{text}");
}

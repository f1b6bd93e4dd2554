//! The status page in PHP-FPM's formats: pure functions from a [`Snapshot`] to bytes.
//!
//! Text, HTML and XML are PHP-FPM's to the byte, because tools match them by patterns. What php-ftm knows beyond them has a
//! place in two formats: in `json&full` as the last member, `php-ftm` (the short form is matched up to its closing brace
//! by PHP's own test suite), and in `openmetrics` as metrics `phpftm_…` in front of PHP-FPM's.
//!
//! What clients send is escaped, as by PHP-FPM from 8.2.36 on. Before, it wrote the method, the user and the script as they are,
//! so that a client's user name could break a page.

pub mod escape;
mod fields;
mod html;
mod json;
mod openmetrics;
pub mod own;
mod query;
mod text;
mod xml;

#[cfg(test)]
mod tests;

pub use query::{Keys, Query};

use crate::pool::{View, Waits};

/// A pool at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The pool itself.
    pub summary: Summary,
    /// Its threads, for `full`.
    pub threads: Vec<View>,
    /// A Unix time as `20/Nov/2026:21:53:38 +0000`, in the server's time zone.
    pub local_time: fn(i64) -> String,
}

/// The pool's figures. Those from `pool` to `slow_requests` (and `memory_peak`) are PHP-FPM's, under its names.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The pool's name.
    pub pool: String,
    /// `pm`.
    pub process_manager: &'static str,
    /// Unix time at which the pool process started.
    pub start_time: i64,
    /// Unix time of this snapshot.
    pub now: i64,
    /// Requests that have begun.
    pub accepted: u64,
    /// Connections in the kernel's backlog and requests that wait for a thread.
    pub queue: u64,
    /// The most there were.
    pub queue_max: u64,
    /// The most there may be.
    pub queue_limit: u64,
    /// Threads that wait for a request.
    pub idle: u64,
    /// Threads that run one, and the request for this page.
    pub active: u64,
    /// The most that were active at once.
    pub active_max: u64,
    /// How often `pm.max_children` kept the pool from growing.
    pub max_children_reached: u64,
    /// Requests that took longer than `request_slowlog_timeout`.
    pub slow_requests: u64,
    /// The most bytes that a request took; shown from PHP 8.4 on, and `None` before.
    pub memory_peak: Option<u64>,
    /// What is our own, by [`own::Counted`].
    pub own: [u64; own::KINDS],
    /// How long requests waited for a thread.
    pub waits: Waits,
}

/// How the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for each figure.
    Text,
    /// A page for people.
    Html,
    /// An element for each figure.
    Xml,
    /// A member for each figure.
    Json,
    /// For Prometheus and the like. `full` adds nothing.
    OpenMetrics,
}

impl Format {
    /// Its media type, as PHP-FPM sets it.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain",
            Format::Html => "text/html",
            Format::Xml => "text/xml",
            Format::Json => "application/json",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The page that `query` asks for, without headers.
pub fn render(snapshot: &Snapshot, query: Query) -> Vec<u8> {
    let render = match query.format {
        Format::Text => text::render,
        Format::Html => html::render,
        Format::Xml => xml::render,
        Format::Json => json::render,
        Format::OpenMetrics => openmetrics::render,
    };
    render(snapshot, query.full)
}

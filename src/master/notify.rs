//! What systemd is told (`Type=notify`): sd_notify(3). Without systemd nothing happens.

use std::time::{Duration, Instant};

use nix::unistd::getpid;
use sd_notify::NotifyState;

use crate::observe::log;

/// A watchdog interval up to this is taken for a mistake, as by PHP-FPM.
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(1);

/// Tells systemd.
#[derive(Default)]
pub struct Notifier {
    /// Time between two status messages; `None`: there are none.
    interval: Option<Duration>,
    watchdog: bool,
    next: Option<Instant>,
    /// The requests served so far, as of the last status message.
    requests: u64,
}

/// Figures of all pools for the status line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Threads that run a request.
    pub active: u64,
    /// Threads that wait for one.
    pub idle: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests that were slow.
    pub slow: u64,
}

impl Notifier {
    /// `interval` (`systemd_interval`) gives way to a watchdog's.
    pub fn new(interval: Option<Duration>) -> Notifier {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Notifier::default();
        }
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|usec| usec.parse().ok());
        match watchdog.map(|usec: u64| Duration::from_micros(usec / 2)).filter(|&half| half > SHORTEST_WATCHDOG) {
            Some(half) => {
                if interval.is_some() {
                    log::warning!("systemd_interval option ignored");
                }
                log::notice!("systemd watchdog configured to {}sec", half.as_millis() as f64 / 1000.0);
                Notifier { interval: Some(half), watchdog: true, ..Notifier::default() }
            }
            None => {
                match interval {
                    Some(interval) => log::notice!("systemd monitor interval set to {}ms", interval.as_millis()),
                    None => log::notice!("systemd monitor disabled"),
                }
                Notifier { interval, ..Notifier::default() }
            }
        }
    }

    /// The pools serve, or go on serving.
    pub fn ready(&mut self) {
        let pid = getpid().as_raw().unsigned_abs();
        send(&[NotifyState::Ready, NotifyState::Status("Ready to handle connections"), NotifyState::MainPid(pid)]);
        self.next = self.interval.map(|interval| Instant::now() + interval);
    }

    /// A reload begins.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// A stop begins.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping, NotifyState::Status("Stopping")]);
    }

    /// When the next status message is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Sends a status message if one is due.
    pub fn beat(&mut self, totals: impl FnOnce() -> Totals) {
        let (Some(interval), Some(next)) = (self.interval, self.next) else { return };
        if next > Instant::now() {
            return;
        }
        let totals = totals();
        let status = status(totals, totals.requests.saturating_sub(self.requests), interval);
        let mut states = vec![NotifyState::Ready, NotifyState::Status(&status)];
        if self.watchdog {
            states.push(NotifyState::Watchdog);
        }
        send(&states);
        self.requests = totals.requests;
        self.next = Some(Instant::now() + interval);
    }
}

/// PHP-FPM's status line.
fn status(totals: Totals, since: u64, interval: Duration) -> String {
    format!(
        "Processes active: {}, idle: {}, Requests: {}, slow: {}, Traffic: {:.2}req/sec",
        totals.active,
        totals.idle,
        totals.requests,
        totals.slow,
        since as f64 / interval.as_secs_f64()
    )
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warning!("failed to notify systemd: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_php_fpms() {
        let totals = Totals { active: 1, idle: 2, requests: 30, slow: 4 };
        let line = "Processes active: 1, idle: 2, Requests: 30, slow: 4, Traffic: 1.50req/sec";
        assert_eq!(status(totals, 15, Duration::from_secs(10)), line);
    }
}

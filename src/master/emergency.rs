//! `emergency_restart_threshold` and `emergency_restart_interval`: a reload when too many processes die of a fault.

use std::collections::VecDeque;
use std::time::Instant;

use ftm_config::EmergencyRestart;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

/// Counts deaths by SIGSEGV and SIGBUS.
#[derive(Default)]
pub struct Faults {
    limit: Option<EmergencyRestart>,
    at: VecDeque<Instant>,
}

impl Faults {
    /// `None`: no number of deaths is too many.
    pub fn new(limit: Option<EmergencyRestart>) -> Faults {
        Faults { limit, at: VecDeque::new() }
    }

    /// A process has ended. PHP-FPM's warning if that was one fault too many.
    pub fn note(&mut self, status: WaitStatus, now: Instant) -> Option<String> {
        let limit = self.limit?;
        if !matches!(status, WaitStatus::Signaled(_, Signal::SIGSEGV | Signal::SIGBUS, _)) {
            return None;
        }
        self.at.push_back(now);
        self.at.retain(|&at| now.saturating_duration_since(at) < limit.interval);
        if self.at.len() < limit.threshold.get() as usize {
            return None;
        }
        self.at.clear();
        Some(format!(
            "failed processes threshold ({} in {} sec) is reached, initiating reload",
            limit.threshold,
            limit.interval.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn faults_within_the_interval_reach_the_threshold() {
        let threshold = NonZeroU32::new(2).expect("not zero");
        let mut faults = Faults::new(Some(EmergencyRestart { threshold, interval: Duration::from_secs(60) }));
        let dead = |signal| WaitStatus::Signaled(Pid::from_raw(1), signal, false);
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        assert_eq!(faults.note(dead(Signal::SIGSEGV), after(0)), None);
        assert_eq!(faults.note(dead(Signal::SIGKILL), after(1)), None, "not a fault");
        assert_eq!(faults.note(dead(Signal::SIGBUS), after(60)), None, "the first is out of date");
        let warning = "failed processes threshold (2 in 60 sec) is reached, initiating reload";
        assert_eq!(faults.note(dead(Signal::SIGSEGV), after(61)).as_deref(), Some(warning));
        assert_eq!(faults.note(dead(Signal::SIGSEGV), after(62)), None, "counted anew");
        assert_eq!(Faults::default().note(dead(Signal::SIGSEGV), after(0)), None);
    }
}

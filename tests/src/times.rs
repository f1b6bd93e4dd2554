//! How long requests took.

use std::fmt;
use std::time::Duration;

/// Times of any number of requests.
#[derive(Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds those of `other`, and sorts all.
    pub fn merge(&mut self, other: Times) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    /// The time within which so many of a thousand requests were done; zero if there were none. 1000: the longest.
    pub fn within(&self, per_mille: usize) -> Duration {
        let at = (self.0.len() * per_mille.min(1000)).div_ceil(1000);
        self.0.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// In short: there may be a million.
impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times, half within {:.1?}, at most {:.1?}", self.0.len(), self.within(500), self.within(1000))
    }
}

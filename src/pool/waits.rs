//! How long requests waited for a thread: a histogram for the status page.

use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds. What took longer counts in the total only.
pub const BOUNDS_MS: [u64; 9] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000];

/// Counts of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    buckets: [u64; BOUNDS_MS.len()],
    count: u64,
    sum: Duration,
}

impl Waits {
    /// A request was taken by a thread after `wait`.
    pub fn add(&mut self, wait: Duration) {
        if let Some(at) = BOUNDS_MS.iter().position(|&bound| wait <= Duration::from_millis(bound)) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum += wait;
    }

    /// So many requests had not to wait at all.
    pub fn add_none(&mut self, requests: u64) {
        self.buckets[0] += requests;
        self.count += requests;
    }

    /// For each bound, in milliseconds, how many waits were at most as long.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.buckets.into_iter().scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        });
        BOUNDS_MS.into_iter().zip(counts)
    }

    /// All waits.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_in_its_bucket_and_all_wider_ones() {
        let mut waits = Waits::default();
        for ms in [0, 1, 7, 60_000] {
            waits.add(Duration::from_millis(ms));
        }
        let counts: Vec<_> = waits.cumulative().map(|(_, n)| n).collect();
        assert_eq!(counts, [2, 2, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!((waits.count(), waits.sum()), (4, Duration::from_millis(60_008)));
    }
}

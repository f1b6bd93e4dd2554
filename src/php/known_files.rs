//! Files that were there a while ago. PHP-FPM keeps their paths in PHP's realpath cache, and does not look again for as long.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// More are forgotten, all at once: an application has few scripts that are asked for by name.
const MOST: usize = 256;

/// What a thread knows of files.
pub struct KnownFiles {
    files: HashMap<Box<[u8]>, Instant>,
    lasts: Duration,
}

impl KnownFiles {
    /// What is known lasts so long (`realpath_cache_ttl`); zero: nothing is.
    pub fn new(lasts: Duration) -> KnownFiles {
        KnownFiles { files: HashMap::new(), lasts }
    }

    /// Whether there is this file, or was when it was looked at last.
    pub fn exists(&mut self, path: &[u8]) -> bool {
        let now = Instant::now();
        if self.files.get(path).is_some_and(|&seen| now.duration_since(seen) < self.lasts) {
            return true;
        }
        let exists = fs::metadata(OsStr::from_bytes(path)).is_ok();
        if exists && !self.lasts.is_zero() {
            if self.files.len() >= MOST {
                self.files.clear();
            }
            self.files.insert(path.into(), now);
        }
        exists
    }
}

//! The log files of a pool. The master opens them, as its own user and outside of any chroot, and hands them over.

use std::fs::File;
use std::path::Path;

use ftm_config::Pool;

use crate::observe::{log, reason};

/// Open for appending; `None` where the pool has no such log.
#[derive(Default)]
pub struct PoolFiles {
    /// `access.log`.
    pub access: Option<File>,
    /// `slowlog`.
    pub slow: Option<File>,
}

impl PoolFiles {
    /// Opens the logs of `pool`. New files are the master's alone to read, as under PHP-FPM.
    ///
    /// # Errors
    ///
    /// PHP-FPM's message for the first that cannot be opened.
    pub fn open(pool: &Pool) -> Result<PoolFiles, String> {
        let open = |what: &str, path: &Path| {
            log::open(path).map_err(|e| format!("{what} ({}): {}", path.display(), reason(&e)))
        };
        let access = pool.access.as_ref().map(|access| open("failed to open access log", &access.file)).transpose()?;
        let slow = pool.slowlog.as_deref().map(|path| open("Unable to create or open slowlog", path)).transpose()?;
        Ok(PoolFiles { access, slow })
    }

    /// The same files under further descriptors.
    ///
    /// # Errors
    ///
    /// The system is out of descriptors.
    pub fn try_clone(&self) -> std::io::Result<PoolFiles> {
        let clone = |file: &Option<File>| file.as_ref().map(File::try_clone).transpose();
        Ok(PoolFiles { access: clone(&self.access)?, slow: clone(&self.slow)? })
    }
}

//! The private directory of one test: docroot, sockets, logs, configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A temp dir that lives as long as the site and everything started for it. It is readable for all, because pools
/// and web servers started by root run as `www-data`.
#[derive(Debug, Clone)]
pub struct Site {
    dir: Arc<TempDir>,
    next: Arc<AtomicU32>,
}

impl Site {
    /// An empty site.
    #[allow(clippy::new_without_default)] // it makes a directory: nothing that should happen by default
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ftm-").tempdir().expect("temp dir");
        chmod(dir.path(), 0o755);
        let site = Self { dir: Arc::new(dir), next: Arc::new(AtomicU32::new(0)) };
        mkdir(&site.docroot());
        // PHP's own places to write in.
        site.writable("sessions");
        site.writable("tmp");
        site
    }

    /// The temp dir itself.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the web servers serve.
    pub fn docroot(&self) -> PathBuf {
        self.dir().join("www")
    }

    /// Writes a file below the docroot, with the folders it needs; returns its absolute path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.docroot().join(name.trim_start_matches('/'));
        mkdir(path.parent().expect("below the docroot"));
        fs::write(&path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }

    /// Makes a directory (outside the docroot) in which the pools' user may write.
    pub fn writable(&self, name: &str) -> PathBuf {
        let path = self.dir().join(name);
        mkdir(&path);
        chmod(&path, 0o777);
        path
    }

    /// Makes a directory of a name not used before, in which the pools' user may write.
    pub fn unique(&self, name: &str) -> PathBuf {
        let path = self.room(name);
        chmod(&path, 0o777);
        path
    }

    /// A directory of its own for something that is about to be started.
    pub(crate) fn room(&self, name: &str) -> PathBuf {
        let path = self.dir().join(format!("{name}-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        mkdir(&path);
        path
    }
}

/// Makes a directory with its parents, readable for all whatever the umask.
pub fn mkdir(path: &Path) {
    if !path.is_dir() {
        if let Some(parent) = path.parent() {
            mkdir(parent);
        }
        fs::create_dir(path).unwrap_or_else(|e| panic!("mkdir {}: {e}", path.display()));
        chmod(path, 0o755);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|e| panic!("chmod {}: {e}", path.display()));
}

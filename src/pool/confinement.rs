//! How a pool process gives up what it does not need, in PHP-FPM's order: limits, root, directory, priority, user, profile.

use std::path::{Path, PathBuf};

use ftm_config::Pool;
use nix::sys::prctl::set_dumpable;
use nix::unistd::{Uid, chdir, chroot};

use super::apparmor::Hat;
use super::limits;
use super::privileges::Identity;
use crate::observe::{log, reason};

/// The directory in which the pool runs, as it is named within its root. `None`: the one it was started in.
pub fn directory(pool: &Pool) -> Option<PathBuf> {
    let root = changed_root(pool).map(|_| PathBuf::from("/"));
    pool.chdir.clone().or(root)
}

/// `chroot`, which takes root; it was said at start that another user's is ignored.
fn changed_root(pool: &Pool) -> Option<&Path> {
    pool.chroot.as_deref().filter(|_| Uid::effective().is_root())
}

/// Confines this process, for good. What needs files outside of the new root (PHP's start, the user database, the time
/// zone) must have been done, and threads started before keep their priority.
///
/// # Errors
///
/// Which step the system refused. A pool that is less confined than it should be must not run.
pub fn enter(pool: &Pool, identity: &Identity) -> Result<(), String> {
    let name = &pool.name;
    set_limits(pool)?;
    let hat = pool.apparmor_hat.as_deref().map(Hat::take).transpose()?;
    let is_root = Uid::effective().is_root();
    if let Some(root) = changed_root(pool) {
        chroot(root).map_err(|e| format!("failed to chroot({}): {}", root.display(), reason(&e.into())))?;
    }
    // Without it, the current directory would be a way out of the new root.
    if let Some(dir) = directory(pool) {
        chdir(&dir).map_err(|e| format!("failed to chdir({}): {}", dir.display(), reason(&e.into())))?;
    }
    if let (true, Some(nice)) = (is_root, pool.process_priority) {
        limits::priority(nice).map_err(|e| format!("Unable to set priority for this new process: {}", reason(&e)))?;
    }
    identity.assume()?;
    if pool.process_dumpable
        && let Err(e) = set_dumpable(true)
    {
        log::error!("[pool {name}] failed to prctl(PR_SET_DUMPABLE): {}", reason(&e.into()));
    }
    hat.map_or(Ok(()), Hat::put_on)
}

/// Limits that cannot be had are said and done without, as under PHP-FPM.
fn set_limits(pool: &Pool) -> Result<(), String> {
    let name = &pool.name;
    let mut files_set = false;
    if let Some(most) = pool.rlimit_files {
        match limits::files(most.get()) {
            Ok(()) => files_set = true,
            Err(e) => log::error!("[pool {name}] {e}"),
        }
    }
    if !files_set {
        limits::raise_files()?;
    }
    if let Some(most) = pool.rlimit_core
        && let Err(e) = limits::core(most)
    {
        log::error!("[pool {name}] {e}");
    }
    Ok(())
}

//! What master and pools alike may be bound to: open files, core files, priority.

use std::io;

use ftm_config::CoreLimit;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::observe::reason;

/// The most descriptors that a pool process allows itself by default: one per connection, beside those of scripts. Not
/// more, because programs that scripts start may close all possible descriptors one by one.
const DESCRIPTORS: u64 = 65_536;

/// `rlimit_files`: limits open files, for what this process starts too.
///
/// # Errors
///
/// PHP-FPM's message. Raising the hard limit takes root, and is bounded by the kernel's `fs.nr_open`.
pub fn files(most: u32) -> Result<(), String> {
    setrlimit(Resource::RLIMIT_NOFILE, most.into(), most.into())
        .map_err(|e| refused("rlimit_files", "RLIMIT_NOFILE", most, e))
}

/// As many open files as the hard limit allows, up to a bound: for a pool that says nothing about them.
///
/// # Errors
///
/// The system refuses.
pub fn raise_files() -> Result<(), String> {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard.min(DESCRIPTORS) => {
            setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)
                .map_err(|e| format!("failed to raise the limit of descriptors: {}", reason(&e.into())))
        }
        _ => Ok(()),
    }
}

/// `rlimit_core`: limits core files, for what this process starts too.
///
/// # Errors
///
/// PHP-FPM's message. Raising the hard limit takes root.
pub fn core(most: CoreLimit) -> Result<(), String> {
    let (bytes, shown) = match most {
        CoreLimit::Unlimited => (libc::RLIM_INFINITY, -1),
        CoreLimit::Bytes(bytes) => (bytes.get().into(), i64::from(bytes.get())),
    };
    setrlimit(Resource::RLIMIT_CORE, bytes, bytes).map_err(|e| refused("rlimit_core", "RLIMIT_CORE", shown, e))
}

fn refused(directive: &str, resource: &str, value: impl std::fmt::Display, e: nix::Error) -> String {
    format!(
        "failed to set {directive} for this pool. Please check your system limits or decrease {directive}. \
         setrlimit({resource}, {value}): {}",
        reason(&e.into())
    )
}

/// `process.priority`: the nice value of this thread and of those, and the processes, that it starts from now on.
///
/// # Errors
///
/// The system refuses: to become nicer than before takes root.
pub fn priority(nice: i32) -> io::Result<()> {
    // SAFETY: takes and keeps no pointers.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

//! The environment of a pool process: `clear_env`, `env[]`, and USER and HOME of the pool's user.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use ftm_config::{EnvValue, Pool};
use nix::unistd::User;

/// Sets the environment, in PHP-FPM's order. Must be called while the process has one thread.
///
/// # Errors
///
/// A name or value cannot be set.
pub fn apply(pool: &Pool, user: Option<&User>) -> io::Result<()> {
    let inherited: Vec<(OsString, OsString)> =
        pool.env.iter().map(|(name, value)| (name.clone(), resolve(value))).collect();
    if pool.clear_env {
        // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
        unsafe { libc::clearenv() };
    }
    for (name, value) in &inherited {
        set(name, value)?;
    }
    if let Some(user) = user {
        for (name, value) in [("USER", OsStr::new(&user.name)), ("HOME", user.dir.as_os_str())] {
            if !inherited.iter().any(|(set, _)| set == name) {
                set(OsStr::new(name), value)?;
            }
        }
    }
    Ok(())
}

fn resolve(value: &EnvValue) -> OsString {
    match value {
        EnvValue::Text(text) => text.clone(),
        EnvValue::Inherited(name) => std::env::var_os(name).unwrap_or_default(),
    }
}

fn set(name: &OsStr, value: &OsStr) -> io::Result<()> {
    let (name, value) = (CString::new(name.as_bytes())?, CString::new(value.as_bytes())?);
    // SAFETY: both are NUL-terminated, setenv() copies them, and this process has one thread.
    if unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

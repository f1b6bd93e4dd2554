//! Relative paths and their prefixes (`fpm_evaluate_full_path` of `fpm_conf.c`).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::options::LoadOptions;

/// Makes `path` absolute: with the pool's prefix, else `-p`, else `default`. A pool's prefix that
/// is relative itself is taken from the latter two.
pub(crate) fn absolute(path: &[u8], pool_prefix: Option<&[u8]>, default: &Path, options: &LoadOptions<'_>) -> Vec<u8> {
    match path.first() {
        Some(b'/') => path.to_vec(),
        _ => below(path, pool_prefix, default, options),
    }
}

/// Puts the prefix and a slash before `path`, whatever that begins with.
pub(crate) fn below(path: &[u8], pool_prefix: Option<&[u8]>, default: &Path, options: &LoadOptions<'_>) -> Vec<u8> {
    let outer = match &options.prefix {
        Some(prefix) => prefix.as_os_str().as_bytes(),
        None => default.as_os_str().as_bytes(),
    };
    let full = join(pool_prefix.unwrap_or(outer), path);
    match pool_prefix {
        Some(_) if full.first() != Some(&b'/') => join(outer, &full),
        _ => full,
    }
}

fn join(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    [prefix, b"/", path].concat()
}

/// Bytes as a path.
pub(crate) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

//! What the loader wants of a file system, and the real one.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::glob;

/// Most bytes of configuration that are read, all included files together.
pub const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// File access of the loader. [`Disk`] is the real one; tests and the fuzz target bring their own.
pub trait Files {
    /// The whole file, at most `limit` bytes of it.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// Names in a directory, in any order, without `.` and `..`.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Whether something of that name is there.
    fn exists(&self, path: &Path) -> bool;

    /// Whether that is a directory, or a link to one.
    fn is_directory(&self, path: &Path) -> bool;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let entries = std::fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// Files that an `include` pattern names, sorted by their bytes, directories left out; as
/// `glob(3)` with `GLOB_ERR | GLOB_MARK` does it for php-fpm. `None`: nothing has such a name, not
/// even a directory.
///
/// # Errors
/// A directory on the way cannot be read. One that is written out need not be there to be such.
pub(crate) fn expand(files: &dyn Files, pattern: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let bytes = pattern.as_os_str().as_bytes();
    let mut found: Vec<Vec<u8>> = vec![match bytes.first() {
        Some(b'/') => b"/".to_vec(),
        _ => Vec::new(),
    }];
    let parts: Vec<&[u8]> = bytes.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    let mut compared = false;
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let mut next = Vec::new();
        compared |= glob::is_pattern(part);
        for base in &found {
            for name in matching(files, base, part)? {
                let mut path = base.clone();
                path.extend(name);
                let plain = path_of(&path);
                if last && !bytes.ends_with(b"/") {
                    if files.exists(&plain) {
                        next.push(path);
                    }
                } else if !compared || files.is_directory(&plain) {
                    path.push(b'/');
                    next.push(path);
                }
            }
        }
        found = next;
    }
    found.sort();
    if found.is_empty() {
        return Ok(None);
    }
    let paths = found.iter().map(|path| path_of(path));
    Ok(Some(paths.filter(|path| !files.is_directory(path)).collect()))
}

/// Names in `base` that match one part of a pattern.
fn matching(files: &dyn Files, base: &[u8], part: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    if !glob::is_pattern(part) {
        return Ok(vec![glob::unescape(part)]);
    }
    let directory = match base {
        b"" => PathBuf::from("."),
        base => path_of(base),
    };
    let names = match files.list(&directory) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = names.into_iter().map(|name| name.as_bytes().to_vec());
    Ok(names.filter(|name| glob::matches(part, name)).collect())
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

//! Files in memory, for tests and the fuzz target.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use ftm_config::Files;

/// A file system of a few files; the directories above them exist too.
#[derive(Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    directories: Vec<PathBuf>,
}

impl Memory {
    /// With these files, and these directories beside theirs.
    pub fn new(files: &[(&str, &[u8])], directories: &[&str]) -> Memory {
        let files: BTreeMap<PathBuf, Vec<u8>> =
            files.iter().map(|(path, bytes)| (path.into(), bytes.to_vec())).collect();
        let above = files.keys().flat_map(|path| path.ancestors().skip(1));
        let mut all: Vec<PathBuf> = above.map(Path::to_path_buf).collect();
        for directory in directories {
            all.extend(Path::new(directory).ancestors().map(Path::to_path_buf));
        }
        Memory { files, directories: all }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(io::Error::from_raw_os_error(2))?;
        Ok(bytes.iter().copied().take(limit as usize).collect())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        if !self.is_directory(directory) {
            let code = if self.exists(directory) { 20 } else { 2 };
            return Err(io::Error::from_raw_os_error(code));
        }
        let all = self.files.keys().chain(&self.directories);
        let inside = all.filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.is_directory(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.directories.iter().any(|directory| directory == path)
    }
}

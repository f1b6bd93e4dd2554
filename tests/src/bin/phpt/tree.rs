//! A private copy of what the tests use of PHP's source: they write beside themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;

/// Whom the copy belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The user that the pools run as, if this is root: the tests write into the copy.
pub fn owner() -> Option<Owner> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let user = User::from_name("www-data").ok().flatten().expect("a user www-data, as whom the pools run");
    Some(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// Copies the directories of tests, which use files of each other, from `source` to `tree`.
pub fn copy(source: &Path, tree: &Path, owner: Option<Owner>) {
    let mut dirs = vec![PathBuf::from("Zend/tests"), PathBuf::from("tests")];
    let extensions = fs::read_dir(source.join("ext")).unwrap_or_else(|e| panic!("{}/ext: {e}", source.display()));
    dirs.extend(extensions.flatten().map(|entry| Path::new("ext").join(entry.file_name()).join("tests")));
    for dir in dirs.iter().filter(|dir| source.join(dir).is_dir()) {
        let to = tree.join(dir);
        fs::create_dir_all(to.parent().expect("below the tree")).expect("make a directory of the copy");
        done(Command::new("cp").arg("-r").arg(source.join(dir)).arg(to));
    }
    if let Some(Owner { uid, gid }) = owner {
        done(Command::new("chown").arg("-R").arg(format!("{uid}:{gid}")).arg(tree));
    }
}

fn done(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// The names of all tests in `arg`, a directory or a .phpt file below `source`, in order.
pub fn find(source: &Path, arg: &str) -> Result<Vec<String>, String> {
    let path = source.join(arg);
    let arg = arg.trim_end_matches('/');
    if path.is_file() {
        return Ok(vec![arg.to_owned()]);
    }
    let entries = fs::read_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries.flatten() {
        let name = format!("{arg}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(find(source, &name)?);
        } else if name.ends_with(".phpt") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

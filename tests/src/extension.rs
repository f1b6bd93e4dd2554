//! PHP extensions of `tests/ext`, built by the `phpize` of the PHP that the server under test contains.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::server::Kind;

/// The shared object of the extension `tests/ext/<name>`. It is built below the target directory, once for each content
/// and PHP.
pub fn build(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("ext").join(name);
    let prefix = prefix();
    let key = key(&source, &prefix);
    // The test's executable lies in target/<profile>/deps.
    let program = std::env::current_exe().expect("this program's path");
    let target = program.parent().and_then(Path::parent).expect("the target directory");
    let built = target.join("php-extensions").join(format!("{name}-{key:016x}"));
    let object = built.join("modules").join(format!("{name}.so"));
    fs::create_dir_all(built.parent().expect("below the target directory")).expect("mkdir");
    let lock = File::create(built.with_extension("lock")).expect("a lock file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap_or_else(|(_, e)| panic!("lock {name}: {e}"));
    if !object.exists() {
        // Built aside, so that what a broken build leaves is never taken for the result.
        let room = built.with_extension("building");
        let _ = fs::remove_dir_all(&room);
        fs::create_dir(&room).expect("mkdir");
        for file in files(&source) {
            fs::copy(&file, room.join(file.file_name().expect("a file"))).expect("copy a source");
        }
        let config = tool(&prefix, "php-config");
        run(&room, &tool(&prefix, "phpize"), &[""; 0]);
        run(&room, &room.join("configure"), &[format!("--with-php-config={}", config.display())]);
        run(&room, Path::new("make"), &[""; 0]);
        fs::rename(&room, &built).expect("rename");
    }
    assert!(object.exists(), "{} was not built", object.display());
    object
}

/// The prefix of the PHP inside php-ftm, as its help shows it.
fn prefix() -> PathBuf {
    let help = Command::new(Kind::PhpFtm.program()).arg("-h").output().expect("php-ftm -h");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let prefix =
        help.split_once("(default: ").and_then(|(_, rest)| rest.split_once(')')).expect("a prefix in the help");
    prefix.0.into()
}

/// `phpize` or `php-config`: in the prefix, else beside `$PHP_CONFIG` under a name like its own.
fn tool(prefix: &Path, name: &str) -> PathBuf {
    let path = prefix.join("bin").join(name);
    if path.exists() {
        return path;
    }
    let config = std::env::var("PHP_CONFIG").unwrap_or_else(|_| panic!("no {}, and no PHP_CONFIG", path.display()));
    match config.rsplit_once("php-config") {
        Some((before, after)) => format!("{before}{name}{after}").into(),
        None => panic!("PHP_CONFIG={config}: no php-config"),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn key(source: &Path, prefix: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    prefix.hash(&mut hasher);
    for file in files(source) {
        file.file_name().hash(&mut hasher);
        fs::read(&file).expect("a source file").hash(&mut hasher);
    }
    hasher.finish()
}

fn run(dir: &Path, program: &Path, args: &[impl AsRef<OsStr>]) {
    let output = Command::new(program).args(args).current_dir(dir).output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{} in {}:\n{said}", program.display(), dir.display());
}

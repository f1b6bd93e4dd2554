//! What a configuration is loaded with.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::files::{Disk, Files};

/// What a configuration is loaded with: command line, build and surroundings.
#[derive(Clone)]
pub struct LoadOptions<'a> {
    /// `-p`: prefix of relative paths.
    pub prefix: Option<PathBuf>,
    /// Prefix of relative paths and of `include` without `-p`.
    pub compile_prefix: PathBuf,
    /// Prefix of a relative `pid` and `error_log` without `-p`.
    pub local_state: PathBuf,
    /// Whether the server runs as root: a pool must then have a user.
    pub is_root: bool,
    /// `-R`: pools may run as root.
    pub root_allowed: bool,
    /// `-D` (true) or `-F` (false), which win over `daemonize`.
    pub daemonize: Option<bool>,
    /// `-g`: the pid file, if the configuration names none.
    pub pid: Option<PathBuf>,
    /// `-t`: some warnings are errors then, as in php-fpm.
    pub testing: bool,
    /// What `${NAME}` stands for. php-fpm asks php.ini (with `-d`) first, then the environment,
    /// which is all the default does.
    pub variable: &'a dyn Fn(&OsStr) -> Option<OsString>,
    /// PHP constants in values. The default knows the `E_*` of PHP 8; others stay as written.
    pub constant: &'a dyn Fn(&str) -> Option<String>,
    /// File access.
    pub files: &'a dyn Files,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        LoadOptions {
            prefix: None,
            compile_prefix: "/usr".into(),
            local_state: "/var".into(),
            is_root: false,
            root_allowed: false,
            daemonize: None,
            pid: None,
            testing: false,
            variable: &|name| std::env::var_os(name),
            constant: &error_level,
            files: &Disk,
        }
    }
}

/// The value of an `E_*` constant, in decimal.
pub fn error_level(name: &str) -> Option<String> {
    let number = match name {
        "E_ERROR" => 1,
        "E_WARNING" => 2,
        "E_PARSE" => 4,
        "E_NOTICE" => 8,
        "E_CORE_ERROR" => 16,
        "E_CORE_WARNING" => 32,
        "E_COMPILE_ERROR" => 64,
        "E_COMPILE_WARNING" => 128,
        "E_USER_ERROR" => 256,
        "E_USER_WARNING" => 512,
        "E_USER_NOTICE" => 1024,
        "E_STRICT" => 2048,
        "E_RECOVERABLE_ERROR" => 4096,
        "E_DEPRECATED" => 8192,
        "E_USER_DEPRECATED" => 16384,
        "E_ALL" => 32767,
        _ => return None,
    };
    Some(number.to_string())
}

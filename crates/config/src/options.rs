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
    /// PHP constants in values. The default knows the `E_*` of PHP 8, [`php_constant`] more; others
    /// stay as written.
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

/// The value of a constant that PHP has before its modules start: `E_*`, the version, the system.
/// `version` is that of PHP, such as `8.4.1` or `8.5.0-dev`.
pub fn php_constant(name: &str, version: &str) -> Option<String> {
    let digits = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let (numbers, extra) = version.split_at(digits);
    let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let [major, minor, release] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    Some(match name {
        "PHP_VERSION" => version.to_string(),
        "PHP_MAJOR_VERSION" => major.to_string(),
        "PHP_MINOR_VERSION" => minor.to_string(),
        "PHP_RELEASE_VERSION" => release.to_string(),
        "PHP_EXTRA_VERSION" => extra.to_string(),
        "PHP_VERSION_ID" => (major * 10_000 + minor * 100 + release).to_string(),
        "PHP_OS" | "PHP_OS_FAMILY" => "Linux".to_string(),
        "PHP_SAPI" => "fpm-fcgi".to_string(),
        // Without E_STRICT, which nothing raises any more.
        "E_ALL" if (major, minor) >= (8, 4) => (32767 & !2048).to_string(),
        _ => return error_level(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_the_version() {
        let value = |name| php_constant(name, "8.5.10-dev").unwrap_or_default();
        let names = ["PHP_MAJOR_VERSION", "PHP_MINOR_VERSION", "PHP_RELEASE_VERSION", "PHP_EXTRA_VERSION"];
        assert_eq!(names.map(value), ["8", "5", "10", "-dev"]);
        assert_eq!((value("PHP_VERSION"), value("PHP_VERSION_ID")), ("8.5.10-dev".into(), "80510".into()));
        assert_eq!(php_constant("PHP_VERSION_ID", "8.2.32").as_deref(), Some("80232"));
        assert_eq!(php_constant("E_ALL", "8.2.32").as_deref(), Some("32767"));
        assert_eq!(php_constant("E_ALL", "8.4.1").as_deref(), Some("30719"));
        assert_eq!(php_constant("php_version", "8.2.32"), None);
    }
}

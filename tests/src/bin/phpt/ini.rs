//! PHP's settings: those that all tests take for granted, and those of a test's `INI` section.

use std::path::Path;

use ftm_tests::ServerConfig;

/// php.ini: what run-tests.php passes to each test, and what the command line has for defaults, which most tests were
/// written for. Where a process is missing that a test could not start, it waits for 10 seconds instead of 60.
const DEFAULTS: [&str; 30] = [
    "output_buffering = 0",
    "implicit_flush = 1",
    "max_execution_time = 0",
    "max_input_time = -1",
    "register_argc_argv = 1",
    "error_reporting = E_ALL",
    "display_errors = 1",
    "display_startup_errors = 1",
    "log_errors = 0",
    "html_errors = 0",
    "report_memleaks = 1",
    "docref_root =",
    "docref_ext = .html",
    "ignore_repeated_errors = 0",
    "precision = 14",
    "serialize_precision = -1",
    "memory_limit = 128M",
    "zend.assertions = 1",
    "zend.exception_ignore_args = 0",
    "zend.exception_string_param_max_len = 15",
    "short_open_tag = 0",
    "session.save_path =",
    "default_socket_timeout = 10",
    "opcache.fast_shutdown = 0",
    "opcache.file_update_protection = 0",
    "opcache.revalidate_freq = 0",
    "opcache.jit_hot_loop = 1",
    "opcache.jit_hot_func = 1",
    "opcache.jit_hot_return = 1",
    "opcache.jit_hot_side_exit = 1",
];

/// `config` with the settings that all tests share.
pub fn with_defaults(config: ServerConfig, opcache: bool) -> ServerConfig {
    let config = DEFAULTS.iter().fold(config, |config, line| config.ini(line));
    if opcache { config.ini("zend_extension = opcache").ini("opcache.enable = 1") } else { config }
}

/// A test's settings as the value of a PHP_VALUE parameter, by which php-fpm sets any setting, wherever it may be changed
/// otherwise, and lets the script change it again; under PHP_ADMIN_VALUE the script could not. What is decided when PHP
/// starts stays as it is.
pub fn php_value(section: &str, dir: &Path, temp: &Path) -> String {
    let section = section.replace("{PWD}", &dir.display().to_string()).replace("{TMP}", &temp.display().to_string());
    let settings = section.split(['\r', '\n']).filter_map(|line| line.split_once('='));
    settings.map(|(name, value)| format!("{}={}\n", name.trim(), quoted(&mailed_to_file(value.trim())))).collect()
}

/// `{MAIL:FILE}` stands for a program that writes its input to FILE.
fn mailed_to_file(value: &str) -> String {
    let Some((before, (file, after))) = value.split_once("{MAIL:").and_then(|(b, r)| Some((b, r.split_once('}')?)))
    else {
        return value.to_owned();
    };
    format!("{before}tee {file} >/dev/null{after}")
}

/// The value as the option -d of PHP's command line reads it: quoted, unless it begins with a letter, a digit or a quote.
fn quoted(value: &str) -> String {
    match value.bytes().next() {
        Some(first) if !first.is_ascii_alphanumeric() && first != b'"' && first != b'\'' => format!("\"{value}\""),
        _ => value.to_owned(),
    }
}

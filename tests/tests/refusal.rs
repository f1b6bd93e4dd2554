//! A PHP that cannot run on threads is refused when php-ftm is built, with what to do about it.
//!
//! Runs the build script that built the binary under test against prefixes of PHPs that lack something.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ftm_tests::*;

/// The newest compiled build script beside the binary under test.
fn build_script() -> PathBuf {
    let program = Kind::PhpFtm.program();
    let builds = program.parent().expect("target/release").join("build");
    let scripts = fs::read_dir(&builds)
        .expect("target/release/build")
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("php-ftm-"));
    let scripts = scripts.map(|entry| entry.path().join("build-script-build")).filter(|path| path.exists());
    scripts.max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok()).expect("a build script")
}

const GOOD: &str = "#define ZTS 1\n#define ZEND_MAX_EXECUTION_TIMERS 1\n/* #undef ZEND_SIGNALS */\n";

/// A PHP as far as a build script sees it: a php-config and a header, with a library if there is one.
fn fake_php(dir: &Path, header: &str, library: Option<&str>) -> PathBuf {
    let include = dir.join("include/main");
    fs::create_dir_all(&include).expect("include");
    fs::create_dir_all(dir.join("lib")).expect("lib");
    fs::write(include.join("php_config.h"), header).expect("header");
    if let Some(library) = library {
        fs::write(dir.join("lib").join(library), "").expect("library");
    }
    let config = dir.join("php-config");
    let dir = dir.display();
    let script = format!(
        "#!/bin/sh\ncase $1 in\n--include-dir) echo {dir}/include ;;\n--prefix) echo {dir} ;;\n\
         --version) echo 8.2.0 ;;\n*) echo ;;\nesac\n"
    );
    fs::write(&config, script).expect("php-config");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o755)).expect("mode");
    config
}

fn build_with(php_config: &Path) -> Output {
    let out = Site::new();
    Command::new(build_script())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("PHP_CONFIG", php_config)
        .env("OUT_DIR", out.writable("out"))
        .output()
        .expect("the build script runs")
}

fn refused(header: &str, library: Option<&str>, reason: &str) {
    let site = Site::new();
    let output = build_with(&fake_php(&site.writable("php"), header, library));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it was taken");
    assert!(message.contains(reason), "{reason:?} is not in:\n{message}");
    assert!(message.contains("scripts/build-php") && message.contains("PHP_CONFIG="), "no remedy in:\n{message}");
}

#[test]
fn php_that_is_not_thread_safe_is_refused() {
    refused(&GOOD.replace("#define ZTS 1\n", ""), Some("libphp.a"), "is not thread-safe (NTS)");
}

#[test]
fn php_without_execution_timers_is_refused() {
    let header = GOOD.replace("#define ZEND_MAX_EXECUTION_TIMERS 1\n", "");
    refused(&header, Some("libphp.a"), "has no execution timers");
}

#[test]
fn php_with_zend_signals_is_refused() {
    let header = GOOD.replace("/* #undef ZEND_SIGNALS */", "#define ZEND_SIGNALS 1");
    refused(&header, Some("libphp.a"), "has Zend signals");
}

#[test]
fn php_without_the_embed_library_is_refused() {
    refused(GOOD, None, "has no embed library");
}

#[test]
fn a_missing_php_config_is_named() {
    let output = build_with(Path::new("/nonexistent/php-config"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("cannot run /nonexistent/php-config"), "{message}");
    assert!(message.contains("scripts/build-php"), "{message}");
}

//! Where an extension is asked for, and where a setting is made. PHP does not tell.

use std::fs;
use std::path::PathBuf;

use ftm_config::{Config, PhpValue, Pool};

use super::messages::{speaker, subject};
use crate::php::EngineSettings;

/// The beginning of a line about a message: where what it is about is asked for, as far as that can be told.
pub fn origin(
    message: &str,
    config: &Config,
    pool: &Pool,
    engine: &EngineSettings,
    ini_files: &[PathBuf],
) -> Option<String> {
    let name = subject(message).or_else(|| speaker(message))?;
    let asks = |value: &&PhpValue| match value.name == "extension" || value.name == "zend_extension" {
        true => same(&value.value.to_string_lossy(), name),
        false => value.name == name,
    };
    if let Some(place) = pool.php_values.iter().find(asks).and_then(|value| config.place_of_php_value(pool, value)) {
        return Some(format!("[pool {}] [{}:{}] ", pool.name, place.file.display(), place.line));
    }
    let loads = |line: &str| loaded(line).is_some_and(|file| same(file, name));
    in_defines(engine, &loads).next().or_else(|| in_files(ini_files, &loads).next())
}

/// The beginning of a line about a php.ini setting: where its value comes from. `None`: from no file that was read.
pub fn of_setting(name: &str, engine: &EngineSettings, ini_files: &[PathBuf]) -> Option<String> {
    let sets = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == name);
    // The last one counts.
    in_defines(engine, &sets).last().or_else(|| in_files(ini_files, &sets).last())
}

fn in_defines(engine: &EngineSettings, wanted: &dyn Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let defines = engine.defines.iter().map(|define| define.to_string_lossy());
    defines.filter(|define| wanted(define)).map(|define| format!("[-d {define}] "))
}

fn in_files(files: &[PathBuf], wanted: &dyn Fn(&str) -> bool) -> impl Iterator<Item = String> {
    files.iter().flat_map(|file| {
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().enumerate().filter(|(_, line)| wanted(line));
        let places: Vec<_> = lines.map(|(at, _)| format!("[{}:{}] ", file.display(), at + 1)).collect();
        places
    })
}

/// What a line of an ini file loads.
fn loaded(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let loads = key.eq_ignore_ascii_case("extension") || key.eq_ignore_ascii_case("zend_extension");
    let value = value.split(';').next().unwrap_or_default();
    loads.then(|| value.trim().trim_matches(['"', '\'']))
}

/// Whether two names are of one extension: with or without directory and `.so`.
fn same(one: &str, other: &str) -> bool {
    let stem = |name: &str| -> String {
        let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        file.strip_suffix(".so").unwrap_or(&file).to_string()
    };
    !one.is_empty() && stem(one) == stem(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini_lines_that_load_are_recognized() {
        assert_eq!(loaded("extension=curl.so"), Some("curl.so"));
        assert_eq!(loaded(" zend_extension = \"/x/opcache.so\" ; cache"), Some("/x/opcache.so"));
        assert_eq!(loaded(";extension=curl"), None);
        assert_eq!(loaded("extension_dir=/x"), None);
        assert!(
            same("/usr/lib/php/curl.so", "curl") && same("Curl", "curl.so") && !same("", "") && !same("curl", "url")
        );
    }
}

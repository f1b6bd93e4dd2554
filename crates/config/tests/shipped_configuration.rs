//! The configuration in `conf/` documents the directives, so it has to agree with their table.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ftm_config::{Directive, LoadOptions, Section, Type, directives, load};

/// A line `name = value` or `;name = value`, and what its paragraph says.
struct Shown {
    /// It stands behind a `;`: what it shows is the default.
    commented: bool,
    value: String,
    text: String,
}

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

/// The directives of a file, by name. A paragraph is text and the lines below it.
fn shown(file: &str) -> BTreeMap<String, Vec<Shown>> {
    let content = fs::read_to_string(conf().join(file)).unwrap();
    let mut found: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
    for paragraph in content.split("\n\n") {
        let text: Vec<&str> = paragraph.lines().filter(|l| l.starts_with("; ")).collect();
        for line in paragraph.lines().filter(|line| !line.starts_with("; ")) {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let name = name.trim_start_matches(';').split('[').next().unwrap();
            found.entry(name.trim().into()).or_default().push(Shown {
                commented: line.starts_with(';'),
                value: value.trim().trim_matches('"').replace("\\\"", "\""),
                text: text.join(" "),
            });
        }
    }
    found
}

fn check(directive: &Directive, shown: &Shown) {
    let (name, text) = (directive.name, &shown.text);
    assert!(!text.is_empty(), "{name}: no text above it");
    match directive.default {
        Some(default) if shown.commented => {
            // "10s" says more than "10".
            let seconds = format!("{default}s");
            let same = shown.value == default || directive.kind == Type::Time && shown.value == seconds;
            assert!(same, "{name}: {} is not the default {default}", shown.value);
        }
        None if shown.commented => {
            assert!(text.contains("Default: "), "{name}: which default? {text}");
        }
        _ => {}
    }
    let own = text.contains("php-ftm's own");
    assert_eq!(own, directive.own, "{name}: 'php-ftm's own' in: {text}");
}

#[test]
fn every_directive_is_documented_with_its_default() {
    for (section, file) in [(Section::Global, "php-ftm.conf"), (Section::Pool, "pool.d/www.conf")] {
        let mut shown = shown(file);
        shown.remove("include");
        for directive in directives().filter(|d| d.section == section) {
            let lines = shown.remove(directive.name).unwrap_or_else(|| panic!("{file} lacks {}", directive.name));
            lines.iter().for_each(|line| check(directive, line));
        }
        let unknown: Vec<_> = shown.into_keys().collect();
        assert_eq!(unknown, Vec::<String>::new(), "not directives, in {file}");
    }
}

#[test]
fn it_loads_without_a_warning() {
    let global = fs::read_to_string(conf().join("php-ftm.conf")).unwrap();
    let pools = conf().join("pool.d/*.conf");
    let global = global.replace("/etc/php-ftm/pool.d/*.conf", pools.to_str().unwrap());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("php-ftm.conf");
    fs::write(&file, global).unwrap();
    for is_root in [true, false] {
        let options = LoadOptions { is_root, ..LoadOptions::default() };
        let loaded = load(&file, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
        let said: Vec<_> = loaded.diagnostics.iter().map(|d| d.to_string()).collect();
        // php-fpm's own words to a user who is not root.
        let said: Vec<_> = said
            .iter()
            .filter(|line| is_root || !line.contains("is ignored when FPM is not running as root"))
            .collect();
        assert_eq!(said, Vec::<&String>::new());
        assert_eq!(loaded.config.pools.len(), 1);
        assert_eq!(loaded.config.pools[0].name, "www");
    }
}

//! What php-fpm said about these configurations, we must say too. `fixtures/cases.txt` holds
//! configurations and the output observed; its head explains the format.

#[path = "support/memory.rs"]
mod memory;

use std::ffi::OsString;

use ftm_config::{Diagnostic, LoadOptions, directives, load};
use memory::Memory;

const BASE: &str = include_str!("fixtures/base.conf");
const BASE_EXPECTED: &str = include_str!("fixtures/base.expected");
const CASES: &str = include_str!("fixtures/cases.txt");

/// Output as php-fpm's `-tt`, without our own directives.
fn ours(addition: &str) -> Vec<String> {
    let text = [BASE, addition].concat();
    let c = "env[incb]=2\n[c]\nuser=www-data\nlisten=8\npm=static\npm.max_children=2\n";
    let files = Memory::new(
        &[
            ("t.conf", text.as_bytes()),
            ("/tmp/ftm/t.conf", text.as_bytes()),
            ("/tmp/ftm/inc/a.conf", b"env[inca]=1\n"),
            ("/tmp/ftm/inc/b.conf", c.as_bytes()),
            ("/tmp/ftm/inc/.h.conf", b"env[hidden]=1\n"),
        ],
        &["/tmp/ftm/inc/d.conf", "/usr/share/doc"],
    );
    let options = LoadOptions {
        is_root: true,
        testing: true,
        files: &files,
        variable: &|name| match name.to_str() {
            Some("VVV") => Some(OsString::from("v a l")),
            Some("NUM") => Some(OsString::from("7")),
            Some("EMPTY") => Some(OsString::new()),
            _ => None,
        },
        ..LoadOptions::default()
    };
    let line = |diagnostic: &Diagnostic| match diagnostic.level {
        Some(level) => format!("{level}: {}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    match load("t.conf".as_ref(), &options) {
        Err(diagnostics) => diagnostics.iter().map(line).collect(),
        Ok(loaded) => {
            let own = |text: &String| {
                let name = text.trim_start().split(' ').next();
                directives().any(|d| d.own && Some(d.name) == name)
            };
            let dump = loaded.config.dump().into_iter();
            let dump = dump.filter(|text| !own(text)).map(|text| format!("NOTICE: {text}"));
            let mut lines: Vec<String> = loaded.diagnostics.iter().map(line).collect();
            lines.extend(dump);
            lines.push("NOTICE: configuration file t.conf test is successful".into());
            lines
        }
    }
}

/// Undoes the fixtures' escapes.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '\\' { rest.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('\\')) => out.push('\\'),
            ('\\', Some('u')) => {
                assert_eq!(rest.by_ref().take(6).collect::<String>(), "{feff}");
                out.push('\u{feff}');
            }
            (c, None) => out.push(c),
            other => panic!("unknown escape {other:?}"),
        }
    }
    out
}

fn is_error(line: &str) -> bool {
    ["ERROR: ", "ALERT: ", "PHP:  "].iter().any(|level| line.starts_with(level))
}

/// php-fpm stops at the first error and we go on: its lines must all be there, in its order, and
/// its error must be our first.
fn check_refusal(expected: &[String], ours: &[String]) -> Result<(), &'static str> {
    let mut rest = ours.iter();
    if !expected.iter().all(|line| rest.any(|ours| ours == line)) {
        return Err("a line of php-fpm is missing");
    }
    let first = |lines: &[String]| lines.iter().find(|line| is_error(line)).cloned();
    match first(expected) == first(ours) {
        true => Ok(()),
        false => Err("the first error is another one"),
    }
}

/// Lines gone from the plain dump and lines new in it, as often as they are.
fn check_difference(expected: &[String], ours: &[String]) -> Result<(), &'static str> {
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let mut gone: Vec<String> = BASE_EXPECTED.lines().map(String::from).collect();
    let mut new = Vec::new();
    for line in ours {
        match gone.iter().position(|base| base == line) {
            Some(at) => drop(gone.remove(at)),
            None => new.push(line.clone()),
        }
    }
    let marked = |mark: char| -> Vec<String> {
        let lines = expected.iter().filter_map(|line| line.strip_prefix(mark));
        lines.map(String::from).collect()
    };
    if sorted(marked('-')) != sorted(gone) || sorted(marked('+')) != sorted(new) {
        return Err("the dump differs");
    }
    // Of the new lines, php-fpm's order.
    let mut rest = ours.iter();
    match marked('+').iter().all(|line| rest.any(|ours| ours == line)) {
        true => Ok(()),
        false => Err("the order differs"),
    }
}

#[test]
fn the_plain_configuration_dumps_as_php_fpm_dumps_it() {
    assert_eq!(ours(""), BASE_EXPECTED.lines().collect::<Vec<_>>());
}

#[test]
fn every_case_is_answered_as_php_fpm_answered() {
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    for line in CASES.lines() {
        if let Some(text) = line.strip_prefix("> ") {
            cases.push((unescape(text), Vec::new()));
        } else if let Some(text) = line.strip_prefix("  ") {
            let (_, expected) = cases.last_mut().expect("a case begins with '> '");
            expected.push(unescape(text));
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
        }
    }
    assert!(cases.len() > 400, "only {} cases were read", cases.len());
    let mut failed = Vec::new();
    for (text, expected) in &cases {
        let ours = ours(text);
        let refused = expected.iter().any(|line| is_error(line));
        let result = match refused {
            true => check_refusal(expected, &ours),
            false => check_difference(expected, &ours),
        };
        if let Err(problem) = result {
            let (expected, ours) = (expected.join("\n  "), ours.join("\n  "));
            failed.push(format!("{text:?}: {problem}\n php-fpm:\n  {expected}\n ours:\n  {ours}"));
        }
    }
    assert!(failed.is_empty(), "{} cases fail\n{}", failed.len(), failed.join("\n\n"));
}

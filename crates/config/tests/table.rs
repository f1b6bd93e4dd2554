//! The table of directives against the parser, the dump and php-fpm's own list.

mod support;

use std::collections::BTreeSet;

use ftm_config::{ActedOn, Directive, Section, Type, directives};
use support::{GOOD, load_text};

/// A file in which `line` stands in the directive's section.
fn file(directive: &Directive, line: &str) -> String {
    match directive.section {
        Section::Global => format!("{line}\n{GOOD}"),
        Section::Pool => format!("{GOOD}{line}\n"),
    }
}

/// The directive's line with this value.
fn line(directive: &Directive, value: &str) -> String {
    match directive.kind {
        Type::Map { .. } => format!("{}[k] = {value}", directive.name),
        Type::Paths => format!("{}[] = {value}", directive.name),
        _ => format!("{} = {value}", directive.name),
    }
}

#[test]
fn every_directive_is_there_once_and_documented() {
    let mut names = BTreeSet::new();
    for directive in directives() {
        let section = format!("{:?}", directive.section);
        assert!(names.insert((section, directive.name)), "{} twice", directive.name);
        assert!(directive.doc.ends_with('.'), "{}: {}", directive.name, directive.doc);
        assert!(!directive.doc.contains("  "), "{}: {}", directive.name, directive.doc);
        assert_eq!(directive.name, directive.name.to_ascii_lowercase());
    }
}

#[test]
fn every_default_can_be_written_and_changes_nothing() {
    let plain = load_text(GOOD).expect("the plain file is good").config.dump();
    for directive in directives() {
        let Some(default) = directive.default else {
            continue;
        };
        // The first is mandatory, so its default is refused; the second asks for a slowlog if it
        // is written at all.
        if ["pm.max_children", "request_slowlog_trace_depth"].contains(&directive.name) {
            continue;
        }
        let quoted = format!("\"{}\"", default.replace('"', "\\\""));
        let text = file(directive, &line(directive, &quoted));
        let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{text}\n{}", errors[0]));
        assert!(loaded.config.not_acted_on().is_empty(), "{text}");
        // php-fpm shows these only when they are written.
        if !["log_level", "access.format", "listen.mode"].contains(&directive.name) {
            assert_eq!(loaded.config.dump(), plain, "{text}");
        }
    }
}

#[test]
fn every_type_refuses_what_it_is_not() {
    for directive in directives() {
        let bad = match directive.kind {
            Type::Bool | Type::Map { flag: true } => "maybe",
            Type::Integer | Type::Priority | Type::CoreLimit => "12K",
            Type::Time => "5y",
            Type::Size | Type::Rate => "5T",
            Type::Choice { .. } => "nonesuch",
            Type::Paths => "relative",
            Type::Text | Type::Path | Type::Mode | Type::List(_) | Type::Map { flag: false } => {
                continue;
            }
        };
        let text = file(directive, &line(directive, bad));
        let errors = load_text(&text).expect_err(&text);
        let first = &errors[0];
        assert!(first.message.contains(directive.name), "{first}");
        // The caret is below the value.
        let location = first.location.as_ref().expect("a place");
        let shown = text.lines().nth(location.line as usize - 1).unwrap_or_default();
        assert_eq!(&shown[location.column as usize - 1..], bad, "{first}");
        let last: Vec<&str> = errors.iter().rev().take(2).map(|e| e.message.as_str()).collect();
        assert_eq!(last, ["FPM initialization failed", "failed to load configuration file 't.conf'"]);
    }
}

#[test]
fn every_directive_is_at_home_in_one_section() {
    for directive in directives() {
        let both = directives().filter(|other| other.name == directive.name).count() > 1;
        if both {
            continue;
        }
        let elsewhere = match directive.section {
            Section::Global => Section::Pool,
            Section::Pool => Section::Global,
        };
        let moved = Directive { section: elsewhere, ..*directive };
        let errors = load_text(&file(&moved, &line(directive, "1"))).expect_err(directive.name);
        let said = match directive.kind.is_array() {
            false => format!("unknown entry '{}'", directive.name),
            true if directive.kind == Type::Paths => "must begin with '/'".into(),
            true => "Array are not allowed in the global section".into(),
        };
        assert!(errors[0].message.contains(&said), "{}", errors[0]);
        if !directive.kind.is_array() {
            let help = errors[0].help.as_deref().unwrap_or_default();
            assert!(help.contains("belongs in"), "{}", errors[0]);
        }
    }
}

#[test]
fn every_directive_shows_in_the_dump() {
    for directive in directives() {
        // php-fpm leaves it out; flags show as values.
        let name = match directive.name {
            "apparmor_hat" => continue,
            "php_flag" => "php_value",
            "php_admin_flag" => "php_admin_value",
            name => name,
        };
        let text = match directive.kind {
            Type::Map { .. } => file(directive, &line(directive, "1")),
            Type::Paths => file(directive, &line(directive, "/x")),
            _ => GOOD.to_string(),
        };
        let dump = load_text(&text).expect(&text).config.dump();
        let shown = dump.iter().any(|line| {
            let line = line.strip_prefix('\t').unwrap_or_default();
            let name_of = line.split([' ', '[']).next();
            name_of == Some(name)
        });
        assert!(shown, "{name} is missing in {dump:#?}");
    }
}

/// php-fpm's `-tt` names nearly all that it knows; this is what it leaves out.
#[test]
fn php_fpms_directives_are_all_there_and_no_others() {
    let observed = include_str!("fixtures/base.expected").lines();
    let observed = observed.filter_map(|line| line.strip_prefix("NOTICE: \t"));
    let mut theirs: BTreeSet<&str> = observed.filter_map(|line| line.split(' ').next()).collect();
    theirs.extend([
        "access.suppress_path",
        "apparmor_hat",
        "env",
        "php_value",
        "php_flag",
        "php_admin_value",
        "php_admin_flag",
    ]);
    let ours: BTreeSet<&str> = directives().filter(|d| !d.own).map(|d| d.name).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn what_is_not_acted_on_is_named_once_with_its_first_place() {
    let text = format!(
        "{GOOD}request_terminate_timeout = 5\npm = dynamic\npm.min_spare_servers = 1\npm.max_spare_servers = 2\n\
         pm.start_servers = 1\npm.max_spawn_rate = 32\nslowlog =\naccess.suppress_path[] = /a\n\
         access.suppress_path[] = /b\n[b]\nlisten = 9000\npm = ondemand\npm.max_children = 1\n\
         pm.max_spare_servers = 7\n"
    );
    let loaded = load_text(&text).expect("good");
    let said: Vec<String> = loaded.config.not_acted_on().iter().map(|n| n.to_string()).collect();
    assert_eq!(said, ["[t.conf:5] 'request_terminate_timeout' is not acted on yet"]);
}

#[test]
fn what_is_acted_on_is_not_named() {
    for directive in directives().filter(|directive| directive.acted_on == ActedOn::Yes) {
        let value = match directive.kind {
            Type::Bool | Type::Map { flag: true } => "no",
            Type::Choice { choices, .. } => choices[choices.len() - 1].name,
            Type::Size | Type::Rate => "3M",
            _ if ["chdir", "chroot", "prefix", "pm.status_path", "ping.path"].contains(&directive.name) => "/srv/www",
            Type::Paths => "/x",
            _ if directive.name == "events.mechanism" => "poll",
            _ if directive.name == "log_limit" => "2048",
            _ => "7",
        };
        let text = file(directive, &line(directive, value));
        let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{text}\n{}", errors[0]));
        assert!(loaded.config.not_acted_on().is_empty(), "{text}");
    }
}

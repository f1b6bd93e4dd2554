//! The documentation of all directives, from their table: `docs/directives.md` and `man/php-ftm.conf.5`.

use ftm_config::{ActedOn, Directive, Section, Type, directives, php_settings};

const SECTIONS: [(Section, &str); 2] = [(Section::Global, "[global]"), (Section::Pool, "Pools")];

/// Longest line of a manual page's source that mandoc does not complain about, and one blank.
const MAN_WIDTH: usize = 78;

/// As it is written in a file.
fn spelling(directive: &Directive) -> String {
    match directive.kind {
        Type::Map { .. } => format!("{}[NAME]", directive.name),
        Type::Paths => format!("{}[]", directive.name),
        _ => directive.name.to_string(),
    }
}

/// Its type, with the words it takes.
fn kind(directive: &Directive) -> String {
    match directive.kind {
        Type::Choice { choices, .. } => {
            let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
            format!("one of {}", names.join(", "))
        }
        Type::List(' ') => "words with blanks between them".to_string(),
        Type::List(_) => "words with commas between them".to_string(),
        kind => kind.name().to_string(),
    }
}

fn effect(directive: &Directive) -> Option<String> {
    match directive.acted_on {
        ActedOn::Yes => None,
        ActedOn::No => Some("Checked, but not acted on yet.".to_string()),
        ActedOn::Only(word) => Some(format!("Only {word} is acted on yet.")),
    }
}

/// Type and default in one line.
fn facts(directive: &Directive) -> String {
    let default = directive.default.map_or("none".to_string(), |text| format!("`{text}`"));
    let own = if directive.own { "php-ftm's own" } else { "as in php-fpm" };
    format!("{}; default: {default}; {own}", kind(directive))
}

/// `docs/directives.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Directives\n\n\
         All that php-ftm's configuration can say. This page is written from the table that the server itself uses\n\
         (`crates/config/src/table`), by `cargo run -p ftm-config --example directives -- markdown`: do not edit it.\n\n\
         Times are seconds, or a number with s, m, h or d. Sizes are bytes, or a number with K, M or G. Booleans: yes, on,\n\
         true, 1 and no, off, false, 0. `$pool` in a value is the pool's name. \"With threads\" says what a user of php-fpm\n\
         has to know; where a value makes it matter, `php-ftm -t` and a start warn of it.\n",
    );
    for (section, title) in SECTIONS {
        text += &format!("\n## {title}\n");
        for directive in directives().filter(|directive| directive.section == section) {
            text += &format!(
                "\n### `{}`\n\n{}\n\n{}\n",
                spelling(directive),
                wrapped(&facts(directive)),
                wrapped(directive.doc)
            );
            let threads = directive.threads.map(|threads| format!("**With threads:** {threads}"));
            for more in [threads, effect(directive)].into_iter().flatten() {
                text += &format!("\n{}\n", wrapped(&more));
            }
        }
    }
    text += "\n## php.ini with threads\n\nSettings of `php_value[]` and its relatives with values that only processes bear.\n";
    for setting in php_settings() {
        text += &format!("\n### `{} = {}`\n\n{}\n", setting.name, setting.value, wrapped(setting.threads));
    }
    text
}

/// Lines of at most 120 characters.
fn wrapped(text: &str) -> String {
    lines(text, 120).join("\n")
}

fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                let blank = if line.is_empty() { "" } else { " " };
                *line += &format!("{blank}{word}");
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// `man/php-ftm.conf.5`.
pub fn man() -> String {
    let mut text = String::from(
        ".\\\" Written by cargo run -p ftm-config --example directives -- man: do not edit.\n\
         .Dd November 21, 2026\n.Dt PHP-FTM.CONF 5\n.Os\n.Sh NAME\n.Nm php-ftm.conf\n.Nd configuration of php-ftm\n.Sh DESCRIPTION\n\
         The configuration of\n.Xr php-ftm 8\nis that of php-fpm: an existing php-fpm.conf serves as it is.\n\
         A section\n.Ic \\&[global]\nand a section for each pool hold lines\n.Ar name No = Ar value .\n\
         .Ql \\&;\nbegins a comment.\nA line\n.Ic include No = Ar pattern\nreads further files.\n.Pp\n\
         Times are seconds, or a number with s, m, h or d.\nSizes are bytes, or a number with K, M or G.\n\
         Booleans are yes, on, true, 1 and no, off, false, 0.\n.Ql $pool\nin a value is the name of the pool.\n.Pp\n\
         .Dq With threads\nsays what a user of php-fpm has to know.\n",
    );
    for (section, title) in SECTIONS {
        text += &format!(".Sh {}\n.Bl -tag -width Ds\n", title.to_uppercase().trim_matches(['[', ']']));
        for directive in directives().filter(|directive| directive.section == section) {
            text += &format!(".It Ic {}\n{}", escaped(&spelling(directive)), sentences(directive.doc));
            let facts = facts(directive).replace('`', "");
            text += &format!(".br\n{}", sentences(&format!("({facts})")));
            let threads = directive.threads.map(|threads| format!("With threads: {threads}"));
            for more in [threads, effect(directive)].into_iter().flatten() {
                text += &format!(".Pp\n{}", sentences(&more));
            }
        }
        text += ".El\n";
    }
    text += ".Sh PHP.INI WITH THREADS\n.Bl -tag -width Ds\n";
    for setting in php_settings() {
        let line = escaped(&format!("{} = {}", setting.name, setting.value));
        text += &format!(".It Ic {line}\n{}", sentences(setting.threads));
    }
    text += ".El\n.Sh SEE ALSO\n.Xr php-ftm 8\n";
    text
}

/// A line for each sentence, as mdoc(7) wants it.
fn sentences(text: &str) -> String {
    let text = escaped(text).replace(". ", ".\n");
    let short = text.lines().flat_map(|sentence| lines(sentence, MAN_WIDTH));
    short.map(|line| format!("{}{line}\n", if line.starts_with('.') { "\\&" } else { "" })).collect()
}

/// Without meaning to roff.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('"', "\\(dq")
}

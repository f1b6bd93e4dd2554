//! What the loader has to say: php-fpm's own sentence, the place in the file, and help.

use std::fmt;
use std::path::PathBuf;

/// Importance of a message, in php-fpm's words (`zlog.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// For developers.
    Debug = 1,
    /// Normal, but worth a line.
    Notice = 2,
    /// Something is off; php-fpm goes on.
    Warning = 3,
    /// The configuration cannot be used.
    Error = 4,
    /// The configuration cannot be used, and an administrator must act.
    Alert = 5,
}

impl Level {
    /// The level with php-fpm's number (`log_level` is stored as one).
    pub fn from_number(number: i32) -> Option<Level> {
        match number {
            1 => Some(Level::Debug),
            2 => Some(Level::Notice),
            3 => Some(Level::Warning),
            4 => Some(Level::Error),
            5 => Some(Level::Alert),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Debug => "DEBUG",
            Level::Notice => "NOTICE",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Alert => "ALERT",
        })
    }
}

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file as it was named (by `-y` or by an `include`).
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// A source line, cut to a width that fits a terminal, with the part meant by the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    text: String,
    /// Characters before the marked part.
    offset: usize,
    /// Length of the marked part in characters, at least 1.
    width: usize,
}

/// Longest part of a source line that a [`Snippet`] shows, in bytes of the file.
const SNIPPET_BYTES: usize = 120;

impl Snippet {
    /// Shows `line` (without its newline) with the bytes `start..end` marked. Control characters
    /// become blanks, bytes that are not UTF-8 become replacement characters, long lines are cut
    /// around the mark.
    pub(crate) fn new(line: &[u8], start: usize, end: usize) -> Snippet {
        let end = end.min(line.len());
        let start = start.min(end);
        let from = match line.len() > SNIPPET_BYTES {
            true => start.saturating_sub(SNIPPET_BYTES / 3),
            false => 0,
        };
        let to = line.len().min(from + SNIPPET_BYTES);
        let shown = |bytes: &[u8]| -> String {
            String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
        };
        let (head, mark) = (shown(&line[from..start]), shown(&line[start..end.min(to)]));
        let tail = shown(&line[end.min(to)..to]);
        let lead = if from > 0 { "…" } else { "" };
        let rest = if to < line.len() { "…" } else { "" };
        Snippet {
            offset: lead.chars().count() + head.chars().count(),
            width: mark.chars().count().max(1),
            text: format!("{lead}{head}{mark}{tail}{rest}").trim_end().to_string(),
        }
    }
}

/// One thing the loader has to say.
///
/// [`Diagnostic::message`] is php-fpm's own text. [`fmt::Display`] prints it, and below it, indented, the
/// place, the line with a caret and the help where there are any:
///
/// ```text
/// [/etc/php-ftm.conf:3] unknown entry 'pm.max_childrn'
///   --> /etc/php-ftm.conf:3:1
///    |
///  3 | pm.max_childrn = 5
///    | ^^^^^^^^^^^^^^
///    = help: did you mean 'pm.max_children'?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// `None` for the syntax errors of PHP's ini parser, which php-fpm writes to stderr bare:
    /// without time and level.
    pub level: Option<Level>,
    /// php-fpm's text, one line.
    pub message: String,
    /// Where it comes from, if it comes from a line.
    pub location: Option<Location>,
    pub(crate) snippet: Option<Snippet>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(level: Level, message: impl Into<String>) -> Diagnostic {
        Diagnostic { level: Some(level), message: message.into(), location: None, snippet: None, help: None }
    }

    /// Whether the configuration cannot be used because of this.
    pub fn is_error(&self) -> bool {
        self.level.is_none_or(|level| level >= Level::Error)
    }

    /// The lines below the message: place, source line with a caret, help. Empty if there are none.
    pub fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut gutter = 1;
        if let Some(location) = &self.location {
            let number = location.line.to_string();
            gutter = number.len();
            let blank = " ".repeat(gutter);
            lines.push(format!("{blank} --> {location}"));
            if let Some(snippet) = &self.snippet {
                let pad = " ".repeat(snippet.offset);
                lines.push(format!(" {blank} |"));
                lines.push(format!(" {number} | {}", snippet.text));
                lines.push(format!(" {blank} | {pad}{}", "^".repeat(snippet.width)));
            }
        }
        if let Some(help) = &self.help {
            lines.push(format!(" {} = help: {help}", " ".repeat(gutter)));
        }
        lines
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.details().iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &[u8], start: usize, end: usize) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(Level::Error, "wrong");
        diagnostic.help = Some("do it right".into());
        diagnostic.location = Some(Location { file: "f.conf".into(), line: 12, column: start as u32 + 1 });
        diagnostic.snippet = Some(Snippet::new(line, start, end));
        diagnostic
    }

    #[test]
    fn a_diagnostic_shows_place_line_caret_and_help() {
        assert_eq!(
            at(b"user = x y", 7, 10).to_string(),
            "wrong\n   --> f.conf:12:8\n    |\n 12 | user = x y\n    |        ^^^\n    = help: do it right"
        );
    }

    #[test]
    fn control_characters_and_broken_utf8_keep_the_caret_in_place() {
        let text = at(b"\ta\x1b[2J\xff = \xc3\xa9x", 12, 13).to_string();
        assert!(text.contains(" 12 |  a [2J\u{fffd} = \u{e9}x\n"), "{text}");
        assert!(text.contains("    |            ^\n"), "{text}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let mut line = vec![b'a'; 100_000];
        line[50_000] = b'!';
        let text = at(&line, 50_000, 50_001).to_string();
        assert!(text.len() < 500, "{}", text.len());
        let lines: Vec<&str> = text.lines().collect();
        let column = |line: &str, c| line.chars().position(|x| x == c);
        assert_eq!(column(lines[3], '!'), column(lines[4], '^'));
        assert!(lines[3].contains('…'));
    }

    #[test]
    fn a_caret_past_the_end_stays_behind_the_line() {
        assert!(at(b"abc", 9, 9).to_string().contains("    |    ^\n"));
    }
}

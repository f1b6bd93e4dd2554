//! What a directive is: its type, how a value of that type is read, and how `-tt` shows it.
//! The directives themselves stand in [`crate::table`].

use crate::number;

/// Where a directive may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `[global]`, and lines before any section.
    Global,
    /// Every other section.
    Pool,
}

/// A word that a directive takes, and the number php-fpm has for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The word, in php-fpm's spelling. Case does not count.
    pub name: &'static str,
    /// php-fpm's number.
    pub number: i32,
}

/// Type of a directive's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// yes, true, on, 1 / no, false, off, none, 0.
    Bool,
    /// Whole number. php-fpm accepts negative ones here and judges them later.
    Integer,
    /// Seconds, or a number followed by s, m, h or d.
    Time,
    /// Bytes, or a number followed by K, M or G.
    Size,
    /// Bytes per second, written as a [`Type::Size`].
    Rate,
    /// Text; `$pool` stands for the pool's name.
    Text,
    /// A file; relative ones are taken from a prefix.
    Path,
    /// A file mode in octal.
    Mode,
    /// Words separated by this character (by blanks and tabs, if it is a blank).
    List(char),
    /// One of some words.
    Choice {
        /// The words.
        choices: &'static [Choice],
        /// php-fpm's complaint about any other word.
        complaint: &'static str,
    },
    /// A nice value, -19 to 20.
    Priority,
    /// Bytes, or `unlimited`.
    CoreLimit,
    /// `name[key] = value`, any number of times.
    Map {
        /// Values are booleans, kept as 1 and 0.
        flag: bool,
    },
    /// `name[] = /path`, any number of times.
    Paths,
}

impl Type {
    /// The type as documentation calls it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "boolean",
            Type::Integer => "integer",
            Type::Time => "time",
            Type::Size => "size",
            Type::Rate => "size per second",
            Type::Text => "string",
            Type::Path => "path",
            Type::Mode => "octal mode",
            Type::List(_) => "list",
            Type::Choice { .. } => "word",
            Type::Priority => "nice value",
            Type::CoreLimit => "size or 'unlimited'",
            Type::Map { flag: false } => "key and value",
            Type::Map { flag: true } => "key and boolean",
            Type::Paths => "list of paths",
        }
    }

    /// Whether it is written with brackets.
    pub fn is_array(self) -> bool {
        matches!(self, Type::Map { .. } | Type::Paths)
    }

    /// What a value looks like, for the help below an error.
    pub(crate) fn hint(self) -> Option<String> {
        Some(match self {
            Type::Bool | Type::Map { flag: true } => "write yes or no (in lower case if it is quoted)".into(),
            Type::Integer | Type::Priority => "write a whole number without a unit".into(),
            Type::Time => "write seconds, or a number followed by s, m, h or d, as in 30s".into(),
            Type::Size | Type::Rate => "write bytes, or a number followed by K, M or G, as in 256K".into(),
            Type::CoreLimit => "write a number of bytes, or unlimited".into(),
            Type::Choice { choices, .. } => {
                let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
                format!("one of: {}", names.join(", "))
            }
            _ => return None,
        })
    }

    /// Reads a value as php-fpm does; the error is php-fpm's complaint.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Value, &'static str> {
        Ok(match self {
            Type::Bool | Type::Map { flag: true } => Value::Bool(boolean(bytes)?),
            Type::Integer | Type::Priority => Value::Integer(integer(bytes)?),
            Type::Time => Value::Integer(seconds(bytes)?),
            Type::Size | Type::Rate => {
                Value::Size(number::size(bytes).ok_or("is not a valid size (a number, optionally with K, M or G)")?)
            }
            Type::Choice { choices, complaint } => {
                let same = |c: &&Choice| c.name.as_bytes().eq_ignore_ascii_case(bytes);
                Value::Integer(choices.iter().find(same).ok_or(complaint)?.number)
            }
            Type::CoreLimit if bytes.eq_ignore_ascii_case(b"unlimited") => Value::Integer(-1),
            Type::CoreLimit => match integer(bytes)? {
                0.. => Value::Integer(integer(bytes)?),
                _ => return Err("must be greater than zero or 'unlimited'"),
            },
            Type::Text | Type::Path | Type::Mode | Type::List(_) | Type::Map { flag: false } | Type::Paths => {
                Value::Text(bytes.to_vec())
            }
        })
    }
}

/// Whether and how far a directive has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActedOn {
    /// It does what it says.
    Yes,
    /// It is checked and otherwise ignored.
    No,
    /// Only this word of its choices has an effect.
    Only(&'static str),
}

/// One directive. All are in [`crate::directives`].
#[derive(Debug)]
pub struct Directive {
    /// As it is written, without brackets.
    pub name: &'static str,
    /// Where it may stand.
    pub section: Section,
    /// Type of its value.
    pub kind: Type,
    /// What holds if it is not there, written as in a file. `None`: it is not set, or depends on
    /// other directives, as [`Directive::doc`] says.
    pub default: Option<&'static str>,
    /// Whether it has an effect yet.
    pub acted_on: ActedOn,
    /// Beyond php-fpm: it would refuse the name.
    pub own: bool,
    /// What it does, in one to three sentences.
    pub doc: &'static str,
    /// What a user has to know of it because requests are threads of one process, where that is
    /// not what php-fpm does. [`crate::Config::thread_notes`] says it where the value makes it matter.
    pub threads: Option<&'static str>,
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(bool),
    Integer(i32),
    Size(u64),
    Text(Vec<u8>),
}

fn boolean(bytes: &[u8]) -> Result<bool, &'static str> {
    match bytes {
        b"1" | b"yes" | b"true" | b"on" => Ok(true),
        b"" | b"0" | b"no" | b"none" | b"false" | b"off" => Ok(false),
        _ => Err("invalid boolean value"),
    }
}

fn integer(bytes: &[u8]) -> Result<i32, &'static str> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err("is not a valid number (greater or equal than zero)");
    }
    Ok(number::atoi(bytes))
}

fn seconds(bytes: &[u8]) -> Result<i32, &'static str> {
    let (suffix, head) = bytes.split_last().ok_or("invalid time value")?;
    let (digits, unit) = match suffix {
        b's' => (head, 1),
        b'm' => (head, 60),
        b'h' => (head, 60 * 60),
        b'd' => (head, 24 * 60 * 60),
        b'0'..=b'9' => (bytes, 1),
        _ => return Err("unknown suffix used in time value"),
    };
    Ok(number::atoi(digits).saturating_mul(unit))
}

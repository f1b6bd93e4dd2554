//! What a test expects: plain text (`EXPECT`), text with placeholders (`EXPECTF`), or a regular expression.

use regex_lite::RegexBuilder;

use crate::phpt::Phpt;

/// The most memory that a compiled pattern may take, bytes: expectations of some thousand lines are no exception.
const PATTERN_LIMIT: usize = 256 << 20;

/// What stands for what in `EXPECTF`. `%f` is written without lookahead.
const PLACEHOLDERS: [(u8, &str); 12] = [
    (b'e', "/"),
    (b's', r"[^\r\n]+"),
    (b'S', r"[^\r\n]*"),
    (b'a', ".+"),
    (b'A', ".*"),
    (b'w', r"\s*"),
    (b'i', r"[+-]?\d+"),
    (b'd', r"\d+"),
    (b'x', "[0-9a-fA-F]+"),
    (b'f', r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[Ee][+-]?\d+)?"),
    (b'c', "."),
    (b'0', r"\x00"),
];

/// A test's expectation.
#[derive(Debug)]
pub struct Expectation {
    /// What the test's file says, trimmed and with `\n` at the ends of lines.
    pub wanted: Vec<u8>,
    /// The regular expression that it means; `None` for plain text.
    pattern: Option<String>,
}

impl Expectation {
    /// The expectation of `phpt`; an error says that it has none.
    pub fn of(phpt: &Phpt) -> Result<Self, String> {
        let wanted = |name| phpt.section(name).map(normal);
        if let Some(wanted) = wanted("EXPECTF") {
            let pattern = Some(pattern_of(&latin1(&wanted)));
            return Ok(Self { wanted, pattern });
        }
        if let Some(wanted) = wanted("EXPECTREGEX") {
            let pattern = Some(translated(&latin1(&wanted)));
            return Ok(Self { wanted, pattern });
        }
        let wanted = wanted("EXPECT").ok_or("it has no section --EXPECT--, --EXPECTF-- or --EXPECTREGEX--")?;
        Ok(Self { wanted, pattern: None })
    }

    /// Whether `output`, trimmed and with `\n` at the ends of lines, is what is expected.
    pub fn matches(&self, output: &[u8]) -> Result<bool, String> {
        let Some(pattern) = &self.pattern else {
            return Ok(output == self.wanted);
        };
        let mut regex = RegexBuilder::new(&format!("^{pattern}$"));
        let regex = regex.dot_matches_new_line(true).size_limit(PATTERN_LIMIT).build();
        let regex = regex.map_err(|e| format!("its expectation is no regular expression for this runner: {e}"))?;
        Ok(regex.is_match(&latin1(output)))
    }
}

/// Trimmed as PHP's `trim()` does it, with `\n` at the ends of lines.
pub fn normal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        if byte != b'\r' || text.get(at + 1) != Some(&b'\n') {
            out.push(byte);
        }
    }
    let keep = |byte: &u8| !b" \n\r\t\x0B\0".contains(byte);
    let start = out.iter().position(keep).unwrap_or(out.len());
    let end = out.iter().rposition(keep).map_or(start, |last| last + 1);
    out[start..end].to_vec()
}

/// Each byte as the character of that number, so that patterns match bytes, of whatever encoding.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// The regular expression that `EXPECTF` text means; what stands between two `%r` is one already.
fn pattern_of(text: &str) -> String {
    let mut pattern = String::new();
    let mut parts = text.split("%r");
    while let Some(quoted) = parts.next() {
        pattern.push_str(&with_placeholders(&regex_lite::escape(quoted)));
        if let Some(regex) = parts.next() {
            pattern.push_str(&format!("({})", with_placeholders(&translated(regex))));
        }
    }
    pattern
}

fn with_placeholders(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let letter = rest.as_bytes().get(at + 1);
        match PLACEHOLDERS.iter().find(|(name, _)| Some(name) == letter) {
            Some((_, regex)) => {
                out.push_str(regex);
                rest = &rest[at + 2..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// PCRE's syntax where this library's differs: `{` is plain text unless it begins a count, `\0` is a NUL.
fn translated(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, '0')) => out.push_str(r"\x00"),
                Some((_, escaped)) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '{' if !is_count(&pattern[at + 1..]) => out.push_str(r"\{"),
            c => out.push(c),
        }
    }
    out
}

/// Whether `text` goes on with what stands behind the brace of `{2}`, `{2,}` or `{2,3}`.
fn is_count(text: &str) -> bool {
    let count = text.split('}').next().filter(|count| count.len() < text.len()).unwrap_or("");
    let (least, most) = count.split_once(',').unwrap_or((count, "0"));
    !least.is_empty() && [least, most].iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

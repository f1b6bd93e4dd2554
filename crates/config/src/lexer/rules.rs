//! The scanner's patterns: each function measures what a rule takes at the start of its input.

use super::Kind;

/// Where the single quote at the start closes, if there is something between.
pub(super) fn closing_quote(rest: &[u8]) -> Option<usize> {
    match rest[1..].iter().position(|&b| b == b'\'') {
        Some(0) | None => None,
        Some(length) => Some(length + 1),
    }
}

pub(super) fn count(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&b| !belongs(b)).unwrap_or(bytes.len())
}

pub(super) fn blanks(bytes: &[u8]) -> usize {
    count(bytes, |b| b == b' ' || b == b'\t')
}

/// Length of the newline at the start: `\r\n`, `\n`, `\r`, or none.
pub(super) fn newline(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

pub(super) fn is_label(b: u8) -> bool {
    !b"=\n\r\t;&|^$~(){}!\"[".contains(&b)
}

pub(super) fn is_value(b: u8) -> bool {
    !b"$= \t\n\r;&|^~()!\"'\0".contains(&b)
}

pub(super) fn is_section(b: u8) -> bool {
    !b"$\n\r;\"']\\".contains(&b)
}

pub(super) fn is_fallback(b: u8) -> bool {
    !b"$\n\r;\"'}\\".contains(&b)
}

/// Length of a run of plain characters, `$x` pairs (any x but '{'), and, where a backslash is not
/// plain, of backslash pairs.
pub(super) fn run_of(bytes: &[u8], plain: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b if plain(b) => at += 1,
            b'$' => match bytes.get(at + 1) {
                None | Some(b'{' | 0) => break,
                Some(b'\\') if at + 2 < bytes.len() => at += 3,
                Some(_) => at += 2,
            },
            b'\\' if at + 1 < bytes.len() => at += 2,
            _ => break,
        }
    }
    at
}

/// `true`, `on`, `yes`, … with trailing blanks at the start of `bytes`, and their length.
pub(super) fn keyword(bytes: &[u8]) -> Option<(Kind, usize)> {
    const WORDS: [(&[u8], Kind); 8] = [
        (b"true", Kind::True),
        (b"on", Kind::True),
        (b"yes", Kind::True),
        (b"false", Kind::False),
        (b"off", Kind::False),
        (b"none", Kind::False),
        (b"no", Kind::False),
        (b"null", Kind::Null),
    ];
    WORDS.iter().find_map(|(word, kind)| {
        let head = bytes.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| (*kind, word.len() + blanks(&bytes[word.len()..])))
    })
}

/// Constant, number or string: the longest run decides.
pub(super) fn word(run: &[u8]) -> Kind {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let digits = |bytes: &[u8]| count(bytes, |b| b.is_ascii_digit());
    if letter(run[0]) && run.iter().all(|&b| letter(b) || b.is_ascii_digit()) {
        return Kind::Constant;
    }
    let whole = run.strip_prefix(b"-").unwrap_or(run);
    if !whole.is_empty() && digits(whole) == whole.len() {
        return Kind::Number;
    }
    let before = digits(run);
    if run.get(before) == Some(&b'.') && run.len() > 1 && before + 1 + digits(&run[before + 1..]) == run.len() {
        return Kind::Number;
    }
    Kind::String
}

/// Blanks around a name are not part of it.
pub(super) fn trim_name(name: &[u8]) -> Vec<u8> {
    let start = blanks(name);
    let end = name.len() - count_back(&name[start..]);
    name[start..end].to_vec()
}

pub(super) fn count_back(name: &[u8]) -> usize {
    name.iter().rev().take_while(|&&b| b == b' ' || b == b'\t').count()
}

/// Newlines as the scanner counts them: `\n`, and `\r` that no `\n` follows.
pub(super) fn count_newlines(bytes: &[u8]) -> u32 {
    let mut count = 0;
    for (at, b) in bytes.iter().enumerate() {
        count += u32::from(*b == b'\n' || (*b == b'\r' && bytes.get(at + 1) != Some(&b'\n')));
    }
    count
}

/// Length of what stands before the closing quote, a `${` or the end.
pub(super) fn quoted_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'"' => return at,
            b'$' if rest.get(at + 1) == Some(&b'{') => return at,
            b'\\' if at + 1 < rest.len() => {
                // `"C:\path\"` at the end of a line: the quote closes although it is escaped.
                if rest[at + 1] == b'"' && matches!(rest.get(at + 2), None | Some(b'\n' | b'\r')) {
                    return at + 1;
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    at
}

/// `\"`, `\\` and `\$` lose the backslash; all others keep it.
pub(super) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'$')) {
            at += 1;
        }
        text.push(bytes[at]);
        at += 1;
    }
    text
}

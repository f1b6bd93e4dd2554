//! File name patterns of `glob(7)`: `*`, `?`, `[a-z]`, `[!a]`, `[[:digit:]]`, `\x`. A leading dot
//! must be written. Time is bounded by pattern length times name length.

/// Whether the text has anything that must be compared with names.
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'*' | b'?' => return true,
            b'[' if bracket(&text[at..]).is_some() => return true,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
    }
    false
}

/// The name that a text without patterns stands for.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&b) = bytes.next() {
        match b {
            b'\\' => name.extend(bytes.next()),
            b => name.push(b),
        }
    }
    name
}

/// Whether `name` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on with one more byte for the last '*'. Earlier ones need no second look.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if n < name.len()
            && let Some(length) = one(&pattern[p..], name[n])
        {
            p += length;
            n += 1;
            continue;
        }
        match retry {
            Some((star, from)) if from < name.len() => {
                retry = Some((star, from + 1));
                (p, n) = (star, from + 1);
            }
            _ => return false,
        }
    }
}

/// Length of the pattern's first element, if it takes `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match bracket(pattern) {
            Some(set) => set.takes(byte).then_some(set.length),
            None => (byte == b'[').then_some(1),
        },
        b'\\' => match pattern.get(1) {
            Some(&escaped) => (escaped == byte).then_some(2),
            None => (byte == b'\\').then_some(1),
        },
        plain => (plain == byte).then_some(1),
    }
}

/// `[…]`, its members without the brackets and the `!`.
struct Set<'a> {
    members: &'a [u8],
    negated: bool,
    length: usize,
}

fn bracket(pattern: &[u8]) -> Option<Set<'_>> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = 1 + usize::from(negated);
    // A ']' that comes first is a member.
    let mut end = start + usize::from(pattern.get(start) == Some(&b']'));
    loop {
        match pattern.get(end)? {
            b']' => break,
            b'[' if pattern.get(end + 1) == Some(&b':') => match class_end(&pattern[end..]) {
                Some(length) => end += length,
                None => end += 1,
            },
            _ => end += 1,
        }
    }
    Some(Set { members: &pattern[start..end], negated, length: end + 1 })
}

/// Length of `[:name:]` at the start.
fn class_end(bytes: &[u8]) -> Option<usize> {
    // The longest class is [:xdigit:].
    let head = &bytes[..bytes.len().min(12)];
    head.windows(2).skip(2).position(|pair| pair == b":]").map(|at| at + 4)
}

impl Set<'_> {
    fn takes(&self, byte: u8) -> bool {
        let mut rest = self.members;
        let mut found = false;
        while !found && !rest.is_empty() {
            if rest.starts_with(b"[:")
                && let Some(length) = class_end(rest)
            {
                found = in_class(&rest[2..length - 2], byte);
                rest = &rest[length..];
            } else if rest.len() >= 3 && rest[1] == b'-' {
                found = (rest[0]..=rest[2]).contains(&byte);
                rest = &rest[3..];
            } else {
                found = rest[0] == byte;
                rest = &rest[1..];
            }
        }
        found != self.negated
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_glob_does() {
        for (pattern, name, expected) in [
            ("*.conf", "www.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".conf", true),
            ("*.conf", "www.conf~", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("?", "a", true),
            ("?", "", false),
            ("?", ".", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "ax", false),
            ("[]a]", "]", true),
            ("[[:digit:]][[:digit:]]-*", "10-www", true),
            ("[[:digit:]]", "x", false),
            ("[", "[", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[a-]", "-", true),
            ("**", "ab", true),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn only_texts_with_patterns_are_compared() {
        assert!(is_pattern(b"*.conf") && is_pattern(b"a?") && is_pattern(b"[ab]"));
        assert!(!is_pattern(b"a.conf") && !is_pattern(b"\\*.conf") && !is_pattern(b"[ab"));
        assert_eq!(unescape(b"a\\*b"), b"a*b");
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}

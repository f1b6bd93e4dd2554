//! Text of clients in HTML, XML and JSON, as PHP's own functions escape it.

use super::fields::Style;

/// HTML and XML.
pub const MARKUP: Style = Style { client: markup, text: markup };

/// Inside the quotes of a JSON string.
pub const JSON: Style = Style { client: json_client, text: json_text };

/// As `htmlspecialchars($text, ENT_DISALLOWED | ENT_XML1 | ENT_COMPAT)`: characters that XML 1.0 forbids are replaced, and of
/// text that is no UTF-8 nothing is left.
fn markup(out: &mut Vec<u8>, text: &[u8]) {
    for c in str::from_utf8(text).unwrap_or_default().chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'.. => put(out, c),
            _ => put(out, char::REPLACEMENT_CHARACTER),
        }
    }
}

/// As `json_encode($text, JSON_INVALID_UTF8_IGNORE)` without the quotes.
fn json_client(out: &mut Vec<u8>, text: &[u8]) {
    for c in text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        match c {
            '/' => out.extend_from_slice(b"\\/"),
            ' '..='\u{7F}' => json_char(out, c),
            _ if c < ' ' => json_char(out, c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| put_unit(out, unit)),
        }
    }
}

/// As it is, but for what JSON forbids in a string.
pub fn json_text(out: &mut Vec<u8>, text: &[u8]) {
    text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).for_each(|c| json_char(out, c));
}

fn json_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{C}' => out.extend_from_slice(b"\\f"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if c < ' ' => put_unit(out, c as u16),
        _ => put(out, c),
    }
}

fn put_unit(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
}

fn put(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: fn(&mut Vec<u8>, &[u8]), text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn markup_is_escaped_as_php_does_it() {
        assert_eq!(escaped(markup, b"<a href=\"x\">'&amp;"), "&lt;a href=&quot;x&quot;&gt;'&amp;amp;");
        assert_eq!(escaped(markup, "ä\u{7f}\u{1}\u{fffe}\n😀".as_bytes()), "ä\u{7f}\u{fffd}\u{fffd}\n😀");
        assert_eq!(escaped(markup, b"/status/\xff"), "");
    }

    #[test]
    fn json_is_escaped_as_php_does_it() {
        assert_eq!(escaped(json_client, b"/a?\"b\\\n\x01\x7f<'"), "\\/a?\\\"b\\\\\\n\\u0001\u{7f}<'");
        assert_eq!(escaped(json_client, "ä😀".as_bytes()), "\\u00e4\\ud83d\\ude00");
        assert_eq!(escaped(json_client, b"a\xffb\xe2\x82c"), "abc");
        assert_eq!(escaped(json_text, "/ä\"\\\n\u{1}".as_bytes()), "/ä\\\"\\\\\\n\\u0001");
        assert_eq!(escaped(json_text, b"a\xffb"), "ab");
    }
}

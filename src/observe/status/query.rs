//! What the query string of a status request asks for.

use super::Format;

/// How keys of the query are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Up to PHP 8.3 any beginning of a word will do: `?j` is `?json`, and `?f` is `?full`.
    Beginnings,
    /// From PHP 8.4 on only the whole word.
    Whole,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The format: the first of html, xml, json, openmetrics that has a key, else text.
    pub format: Format,
    /// `full`: with the threads.
    pub full: bool,
}

impl Query {
    /// Reads a query string as PHP makes `$_GET` of it.
    pub fn parse(query: &[u8], keys: Keys) -> Query {
        let given: Vec<Vec<u8>> = query.split(|&b| b == b'&').filter_map(key).collect();
        let has = |word: &str| {
            given.iter().any(|key| match keys {
                Keys::Beginnings => word.as_bytes().starts_with(key),
                Keys::Whole => word.as_bytes() == key,
            })
        };
        let formats = [
            ("html", Format::Html),
            ("xml", Format::Xml),
            ("json", Format::Json),
            ("openmetrics", Format::OpenMetrics),
        ];
        let format = formats.into_iter().find(|(word, _)| has(word)).map_or(Format::Text, |(_, format)| format);
        Query { format, full: has("full") }
    }
}

/// The key of `name=value` in `$_GET`; `None` where PHP makes none of it. It cuts a name at its first `[` and turns blanks
/// and dots into underscores, which no word has.
fn key(pair: &[u8]) -> Option<Vec<u8>> {
    let name = pair.split(|&b| b == b'=').next()?;
    let name = url_decode(name);
    let name = name.split(|&b| b == 0).next()?;
    let blanks = name.iter().take_while(|&&b| b == b' ').count();
    let name = &name[blanks..];
    let end = match name.iter().position(|&b| b == b'[') {
        Some(at) if name[at..].contains(&b']') => at,
        _ => name.len(),
    };
    (end > 0).then(|| name[..end].to_vec())
}

fn url_decode(text: &[u8]) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let (decoded, len) = match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'+', _, _) => (b' ', 1),
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            _ => (byte, 1),
        };
        out.push(decoded);
        at += len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(query: &str) -> (Format, bool) {
        let Query { format, full } = Query::parse(query.as_bytes(), Keys::Beginnings);
        (format, full)
    }

    #[test]
    fn formats_are_tried_in_order_and_full_stands_anywhere() {
        assert_eq!(asks(""), (Format::Text, false));
        assert_eq!(asks("full"), (Format::Text, true));
        assert_eq!(asks("json&html"), (Format::Html, false));
        assert_eq!(asks("openmetrics&json&full=0"), (Format::Json, true));
        assert_eq!(asks("xml&json"), (Format::Xml, false));
        assert_eq!(asks("JSON"), (Format::Text, false));
        assert_eq!(asks("jsonp"), (Format::Text, false));
    }

    #[test]
    fn a_beginning_will_do_up_to_php_8_3() {
        assert_eq!(asks("j&f"), (Format::Json, true));
        assert_eq!(asks("openm"), (Format::OpenMetrics, false));
        let Query { format, full } = Query::parse(b"j&f", Keys::Whole);
        assert_eq!((format, full), (Format::Text, false));
        let Query { format, full } = Query::parse(b"json&full", Keys::Whole);
        assert_eq!((format, full), (Format::Json, true));
    }

    #[test]
    fn names_are_read_as_php_reads_them() {
        assert_eq!(asks("%6Aso%6e=1&f%75ll[]=2"), (Format::Json, true));
        assert_eq!(asks("+json&&=full&[full]&%"), (Format::Json, false));
        assert_eq!(asks("ful["), (Format::Text, false));
        assert_eq!(asks("html%00x"), (Format::Html, false));
        assert_eq!(asks("a=html"), (Format::Text, false));
    }
}

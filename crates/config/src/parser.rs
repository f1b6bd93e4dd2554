//! Statements of one physical line, after the grammar of PHP's ini parser
//! (`Zend/zend_ini_parser.y`), with bison's own words where it does not match.
//!
//! Statements that stand before a syntax error on the same line count, as they do in php-fpm.

use std::ops::Range;

use crate::expression;
use crate::lexer::{Kind, Token, tokenize};

/// Longest value that a line may produce, in bytes. `${VAR}` lets a short line grow.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Operators and parentheses of one expression, and `${A:-${B:-…}}` inside each other.
pub(crate) const MAX_NESTING: usize = 1000;

/// What the ini parser looks up outside the file.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    /// `${NAME}`.
    pub(crate) variable: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// A bare word that may be a PHP constant.
    pub(crate) constant: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
}

/// A piece of text and the bytes of the line it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) span: Range<usize>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// `[name]`
    Section(Text),
    /// `name = value`, or a name without `=`.
    Entry { name: Text, value: Option<Text> },
    /// `name[key] = value`
    Array { name: Text, key: Text, value: Text },
}

/// Why a line could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// As PHP prints it, without `in Unknown on line N`.
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    /// Line that PHP's scanner counts, mostly 1.
    pub(crate) scanner_line: u32,
    pub(crate) help: Option<&'static str>,
}

/// Reads one line, which ends with a newline.
pub(crate) fn parse_line(line: &[u8], lookup: Lookup<'_>) -> (Vec<Statement>, Option<SyntaxError>) {
    let tokens = tokenize(line);
    let mut parser = Parser { line, tokens: &tokens, at: 0, lookup };
    let mut statements = Vec::new();
    let error = parser.statements(&mut statements).err();
    (statements, error)
}

pub(crate) struct Parser<'a> {
    line: &'a [u8],
    tokens: &'a [Token],
    at: usize,
    pub(crate) lookup: Lookup<'a>,
}

impl<'a> Parser<'a> {
    fn statements(&mut self, out: &mut Vec<Statement>) -> Result<(), SyntaxError> {
        loop {
            let token = self.take();
            match token.kind {
                Kind::End => return Ok(()),
                Kind::EndOfLine => {}
                Kind::Section => {
                    let name = self.bracketed(false)?;
                    out.push(Statement::Section(name));
                }
                Kind::Label => {
                    let name = name_of(token, self.line);
                    if self.peek() != Kind::Char(b'=') {
                        out.push(Statement::Entry { name, value: None });
                        continue;
                    }
                    self.take();
                    let value = Some(self.value()?);
                    out.push(Statement::Entry { name, value });
                }
                Kind::Offset => {
                    let name = name_of(token, self.line);
                    let key = self.bracketed(true)?;
                    self.expect(Kind::Char(b'='))?;
                    let value = self.value()?;
                    out.push(Statement::Array { name, key, value });
                }
                _ => return Err(self.unexpected(token, &[])),
            }
        }
    }

    /// The text up to `]`, constants replaced in a key, not in a section's name.
    fn bracketed(&mut self, constants: bool) -> Result<Text, SyntaxError> {
        let at = self.token().span.start;
        let mut text = Text { bytes: Vec::new(), span: at..at };
        if is_string(self.peek()) {
            text = self.strings(constants, 0)?;
        }
        self.expect(Kind::Char(b']'))?;
        Ok(text)
    }

    /// `string_or_value`: what stands behind `=`.
    fn value(&mut self) -> Result<Text, SyntaxError> {
        let mut value = self.untrimmed_value()?;
        value.span = self.trimmed(&value.span);
        Ok(value)
    }

    fn untrimmed_value(&mut self) -> Result<Text, SyntaxError> {
        let token = self.token();
        let bytes: &[u8] = match token.kind {
            Kind::True => b"1",
            Kind::False | Kind::Null | Kind::EndOfLine => b"",
            _ => return expression::parse(self),
        };
        self.take();
        let end = match token.kind {
            Kind::EndOfLine => token.span.start,
            _ => token.span.end,
        };
        Ok(Text { bytes: bytes.to_vec(), span: token.span.start..end })
    }

    /// `var_string_list`: one or more strings, words, numbers and variables side by side.
    pub(crate) fn strings(&mut self, constants: bool, depth: usize) -> Result<Text, SyntaxError> {
        let start = self.token().span.start;
        let mut text = Text { bytes: Vec::new(), span: start..start };
        while is_string(self.peek()) {
            let token = self.token();
            match token.kind {
                Kind::DollarCurly => self.variable(&mut text.bytes, depth)?,
                Kind::Char(b'"') => {
                    self.take();
                    self.quoted(&mut text.bytes, depth)?;
                }
                Kind::Constant if constants => {
                    self.take();
                    match (self.lookup.constant)(&token.text) {
                        Some(value) => text.bytes.extend(value),
                        None => text.bytes.extend(&token.text),
                    }
                }
                _ => {
                    self.take();
                    text.bytes.extend(&token.text);
                }
            }
            self.limit(&text.bytes, token)?;
            text.span.end = self.tokens[self.at.saturating_sub(1)].span.end;
        }
        Ok(text)
    }

    /// `encapsed_list '"'`: what stands between double quotes.
    fn quoted(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), SyntaxError> {
        loop {
            let token = self.token();
            match token.kind {
                Kind::DollarCurly => self.variable(out, depth)?,
                Kind::Quoted => {
                    self.take();
                    out.extend(&token.text);
                }
                Kind::Char(b'"') => {
                    self.take();
                    return Ok(());
                }
                _ => {
                    let expected = &["TC_DOLLAR_CURLY", "TC_QUOTED_STRING", "'\"'"];
                    return Err(self.unexpected(token, expected));
                }
            }
            self.limit(out, token)?;
        }
    }

    /// `${NAME}` or `${NAME:-default}`.
    fn variable(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), SyntaxError> {
        let open = self.take();
        if depth > MAX_NESTING / 10 {
            return Err(self.error("memory exhausted".into(), open));
        }
        let name = self.expect(Kind::VarName)?;
        let mut fallback = None;
        if self.peek() == Kind::Fallback {
            self.take();
            let empty = !is_string(self.peek());
            fallback = Some(match empty {
                true => Vec::new(),
                false => self.strings(true, depth + 1)?.bytes,
            });
        }
        self.expect(Kind::Char(b'}'))?;
        if let Some(value) = (self.lookup.variable)(&name.text).or(fallback) {
            out.extend(value);
        }
        Ok(())
    }

    fn limit(&self, bytes: &[u8], token: &Token) -> Result<(), SyntaxError> {
        if bytes.len() > MAX_VALUE_BYTES {
            let message = format!("value longer than {MAX_VALUE_BYTES} bytes");
            return Err(self.error(message, token));
        }
        Ok(())
    }

    pub(crate) fn token(&self) -> &'a Token {
        // `at` never passes the End token, which is always there.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(crate) fn peek(&self) -> Kind {
        self.token().kind
    }

    pub(crate) fn take(&mut self) -> &'a Token {
        let token = self.token();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn expect(&mut self, kind: Kind) -> Result<&'a Token, SyntaxError> {
        let token = self.token();
        if token.kind != kind {
            return Err(self.unexpected(token, &[&kind.describe()]));
        }
        Ok(self.take())
    }

    /// A place without the blanks at its end, which many tokens take along.
    fn trimmed(&self, span: &Range<usize>) -> Range<usize> {
        let text = &self.line[span.clone()];
        let blanks = text.iter().rev().take_while(|&&b| b == b' ' || b == b'\t').count();
        span.start..span.end - blanks
    }

    pub(crate) fn unexpected(&self, token: &Token, expected: &[&str]) -> SyntaxError {
        if token.kind == Kind::Char(0) {
            return self.error("syntax error, unexpected NUL byte".into(), token);
        }
        let mut message = format!("syntax error, unexpected {}", token.kind.describe());
        if !expected.is_empty() {
            message += &format!(", expecting {}", expected.join(" or "));
        }
        let mut error = self.error(message, token);
        error.help = match (token.kind, expected) {
            (Kind::End, ["']'"]) => Some("the bracket is not closed"),
            (Kind::End, ["'}'"]) => Some("the ${ is not closed"),
            (Kind::End, [_, "TC_QUOTED_STRING", _]) => Some("the double quote is not closed"),
            (Kind::EndOfLine, ["'^'", ..]) => Some("the parenthesis is not closed"),
            (_, ["'='"]) => Some("write name[key] = value"),
            (Kind::End, []) => Some("the single quote is not closed"),
            (Kind::True | Kind::False | Kind::Null, _) => {
                Some("yes, no, on, off, true, false, none and null among other text need quotes")
            }
            _ => Some("text with = ; & | ^ ~ ! ( ) { } or \" in it needs quotes"),
        };
        error
    }

    pub(crate) fn error(&self, message: String, token: &Token) -> SyntaxError {
        SyntaxError { message, span: self.trimmed(&token.span), scanner_line: token.scanner_line, help: None }
    }
}

/// A name's text, its place without the blanks around it.
fn name_of(token: &Token, line: &[u8]) -> Text {
    let blank = |b: &&u8| **b == b' ' || **b == b'\t';
    let start = token.span.start + line[token.span.clone()].iter().take_while(blank).count();
    Text { bytes: token.text.clone(), span: start..start + token.text.len() }
}

/// Whether a token begins or continues a `var_string_list`.
pub(crate) fn is_string(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Constant
            | Kind::Raw
            | Kind::Number
            | Kind::String
            | Kind::Whitespace
            | Kind::DollarCurly
            | Kind::Char(b'"')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> (Vec<Statement>, Option<SyntaxError>) {
        let variable = |name: &[u8]| (name == b"V").then(|| b"value".to_vec());
        let lookup = Lookup { variable: &variable, constant: &|_| None };
        parse_line(format!("{line}\n").as_bytes(), lookup)
    }

    /// The part of the line a text came from, and what it came to.
    fn shown<'a>(line: &'a str, text: &Text) -> (&'a str, String) {
        (&line[text.span.clone()], String::from_utf8_lossy(&text.bytes).into_owned())
    }

    #[test]
    fn values_know_where_they_stand() {
        for (line, place, value) in [
            (r#"a = b c  ; d"#, "b c", "b c"),
            (r#"a = "b \" ${V}" 'c'"#, r#""b \" ${V}" 'c'"#, "b \" valuec"),
            ("a = (1 | 2) ", "(1 | 2)", "3"),
            ("a = !~0", "!~0", "0"),
            ("a =  yes", "yes", "1"),
            ("a =", "", ""),
            ("a = ${V}", "${V}", "value"),
        ] {
            let (statements, error) = parse(line);
            assert_eq!(error, None, "{line}");
            let [Statement::Entry { name, value: Some(found) }] = statements.as_slice() else {
                panic!("{line}: {statements:?}");
            };
            assert_eq!(shown(line, name), ("a", "a".into()), "{line}");
            assert_eq!(shown(line, found), (place, value.into()), "{line}");
        }
    }

    #[test]
    fn names_keys_and_sections_know_where_they_stand() {
        let line = "  env [ A ] = 1";
        let (statements, _) = parse(line);
        let [Statement::Array { name, key, value }] = statements.as_slice() else {
            panic!("{statements:?}");
        };
        assert_eq!(shown(line, name), ("env", "env".into()));
        assert_eq!(shown(line, key), ("A ", "A ".into()));
        assert_eq!(shown(line, value), ("1", "1".into()));
        let line = "[a 'b'] ; c";
        let (statements, _) = parse(line);
        let [Statement::Section(name)] = statements.as_slice() else {
            panic!("{statements:?}");
        };
        assert_eq!(shown(line, name), ("a 'b'", "a b".into()));
    }

    #[test]
    fn what_stands_before_a_syntax_error_counts() {
        let (statements, error) = parse("a = b ) c");
        assert_eq!(statements.len(), 1);
        let error = error.expect("a parenthesis that nothing opened");
        assert_eq!(error.message, "syntax error, unexpected ')'");
        assert_eq!(error.span, 6..7);
    }

    #[test]
    fn a_line_may_hold_several_statements() {
        let (statements, error) = parse("[a]\tb = c\rd[e] = f ; g\rh");
        assert_eq!((statements.len(), error), (4, None));
    }
}

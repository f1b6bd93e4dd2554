//! Tokens of one physical line, after the NORMAL mode of PHP's ini scanner
//! (`Zend/zend_ini_scanner.l`, which php-fpm feeds one line at a time).
//!
//! The scanner is a state machine that takes, in each state, the longest rule that matches and, of
//! equally long ones, the first. Here each state is one function that tries its rules in an order
//! that gives the same result.
//!
//! ```text
//! Initial --'='--> Value --newline, comment--> Initial
//! Initial --'['--> Section --']'--> Initial
//! Initial --'name['--> Offset --']'--> Initial
//! Value, Section, Offset, Quotes, Fallback --'${'--> VarName --'}'--> back
//! VarName --':-'--> Fallback --'}'--> back            (PHP 8.3 and later: ${NAME:-default})
//! Value, Section, Offset, Fallback --'"'--> Quotes --'"'--> back
//! ```

mod rules;

use std::ops::Range;

use rules::{
    blanks, closing_quote, count, count_newlines, is_fallback, is_label, is_section, is_value, keyword, newline,
    quoted_length, run_of, trim_name, unescape, word,
};

/// Kinds of tokens, named as in `zend_ini_parser.y`; the names show in syntax errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    End,
    Section,
    Raw,
    Constant,
    Number,
    String,
    Whitespace,
    Label,
    Offset,
    DollarCurly,
    VarName,
    Fallback,
    Quoted,
    True,
    False,
    Null,
    EndOfLine,
    Char(u8),
}

impl Kind {
    /// The token as bison names it in an error.
    pub(crate) fn describe(self) -> String {
        match self {
            Kind::End => "end of file".into(),
            Kind::Section => "TC_SECTION".into(),
            Kind::Raw => "TC_RAW".into(),
            Kind::Constant => "TC_CONSTANT".into(),
            Kind::Number => "TC_NUMBER".into(),
            Kind::String => "TC_STRING".into(),
            Kind::Whitespace => "TC_WHITESPACE".into(),
            Kind::Label => "TC_LABEL".into(),
            Kind::Offset => "TC_OFFSET".into(),
            Kind::DollarCurly => "TC_DOLLAR_CURLY".into(),
            Kind::VarName => "TC_VARNAME".into(),
            Kind::Fallback => "TC_FALLBACK".into(),
            Kind::Quoted => "TC_QUOTED_STRING".into(),
            Kind::True => "BOOL_TRUE".into(),
            Kind::False => "BOOL_FALSE".into(),
            Kind::Null => "NULL_NULL".into(),
            Kind::EndOfLine => "END_OF_LINE".into(),
            Kind::Char(c) => format!("'{}'", c as char),
        }
    }
}

/// A token: what it is, where it stands in the line, and its text where that differs from the
/// bytes there (unescaped strings).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
    pub(crate) text: Vec<u8>,
    /// The line number PHP's scanner would report, counted from 1 within the physical line.
    pub(crate) scanner_line: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Initial,
    Value,
    Section,
    Offset,
    Quotes,
    VarName,
    Fallback,
}

/// Splits `line` (with its newline) into tokens; the last is [`Kind::End`]. A byte 0 ends the line
/// with [`Kind::Char`]`(0)`: the grammar takes it nowhere.
pub(crate) fn tokenize(line: &[u8]) -> Vec<Token> {
    let mut lexer =
        Lexer { line, at: 0, state: State::Initial, stack: Vec::new(), scanner_line: 1, tokens: Vec::new() };
    if line.starts_with(b"\xef\xbb\xbf") && line.len() > 3 {
        lexer.at = 3;
    }
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    line: &'a [u8],
    at: usize,
    state: State,
    stack: Vec<State>,
    scanner_line: u32,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    /// Reads one token; false after the last.
    fn step(&mut self) -> bool {
        if self.at >= self.line.len() {
            if self.state == State::Value {
                self.state = State::Initial;
                return self.emit(Kind::EndOfLine, 0, Vec::new());
            }
            return self.end();
        }
        match self.state {
            State::Initial => self.initial(),
            State::Value => self.value(),
            State::Section => self.section(),
            State::Offset => self.offset(),
            State::Quotes => self.quotes(),
            State::VarName => self.var_name(),
            State::Fallback => self.fallback(),
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }

    /// Takes `length` bytes as a token. A byte 0 in it ends the line instead.
    fn emit(&mut self, kind: Kind, length: usize, text: Vec<u8>) -> bool {
        let span = self.at..self.at + length;
        if let Some(nul) = self.line[span.clone()].iter().position(|&b| b == 0)
            && kind != Kind::EndOfLine
        {
            let at = self.at + nul;
            self.push(Kind::Char(0), at..at + 1, Vec::new());
            self.at = self.line.len();
            self.state = State::Initial;
            self.stack.clear();
            return self.end();
        }
        self.push(kind, span, text);
        self.at += length;
        true
    }

    fn push(&mut self, kind: Kind, span: Range<usize>, text: Vec<u8>) {
        self.tokens.push(Token { kind, span, text, scanner_line: self.scanner_line });
    }

    /// Takes `length` bytes as a token whose text is those bytes.
    fn emit_text(&mut self, kind: Kind, length: usize) -> bool {
        let text = self.rest()[..length].to_vec();
        self.emit(kind, length, text)
    }

    fn end(&mut self) -> bool {
        let at = self.at.min(self.line.len());
        self.push(Kind::End, at..at, Vec::new());
        false
    }

    fn enter(&mut self, state: State) {
        self.stack.push(self.state);
        self.state = state;
    }

    fn leave(&mut self) {
        self.state = self.stack.pop().unwrap_or(State::Initial);
    }

    fn initial(&mut self) -> bool {
        let blanks = blanks(self.rest());
        let after = &self.rest()[blanks..];
        match after.first() {
            Some(b'=') => {
                let length = blanks + 1 + rules::blanks(&after[1..]);
                self.state = State::Value;
                return self.emit(Kind::Char(b'='), length, Vec::new());
            }
            Some(b'\n' | b'\r') => return self.end_of_line(blanks + newline(after)),
            Some(b';') => return self.comment(blanks),
            _ => {}
        }
        if self.rest()[0] == b'[' {
            self.state = State::Section;
            return self.emit(Kind::Section, 1, Vec::new());
        }
        let label = count(self.rest(), is_label);
        if self.rest()[label..].first() == Some(&b'[') && label > 0 {
            let length = label + 1 + rules::blanks(&self.rest()[label + 1..]);
            let name = trim_name(&self.rest()[..label]);
            self.state = State::Offset;
            return self.emit(Kind::Offset, length, name);
        }
        if label > 0 && label >= blanks {
            if let Some((kind, length)) = keyword(self.rest())
                && length >= label
            {
                return self.emit(kind, length, Vec::new());
            }
            let name = trim_name(&self.rest()[..label]);
            return self.emit(Kind::Label, label, name);
        }
        if blanks > 0 {
            self.at += blanks;
            return true;
        }
        let c = self.rest()[0];
        self.emit(Kind::Char(c), 1, Vec::new())
    }

    fn value(&mut self) -> bool {
        let rest = self.rest();
        let blanks = blanks(rest);
        match rest.get(blanks) {
            Some(b'\n' | b'\r') => {
                let length = blanks + newline(&rest[blanks..]);
                return self.end_of_line(length);
            }
            Some(b';') => return self.comment(blanks),
            Some(b'"') => return self.open_quotes(blanks),
            _ if blanks > 0 => return self.emit_text(Kind::Whitespace, blanks),
            _ => {}
        }
        match rest[0] {
            b'\'' => return self.single_quoted(true),
            b'=' => {
                // A second '=' ends the value, so that the grammar stumbles over it.
                self.state = State::Initial;
                return self.emit(Kind::EndOfLine, 0, Vec::new());
            }
            c @ (b'&' | b'|' | b'^' | b'~' | b'(' | b')' | b'!') => {
                let length = 1 + rules::blanks(&rest[1..]);
                return self.emit(Kind::Char(c), length, Vec::new());
            }
            _ if rest.starts_with(b"${") => return self.open_variable(),
            _ => {}
        }
        let run = run_of(rest, is_value);
        if run == 0 {
            // A stray '$' at the very end, or a byte 0.
            self.state = State::Initial;
            return match rest[0] {
                0 => self.emit(Kind::Char(0), 1, Vec::new()),
                _ => self.emit(Kind::EndOfLine, 1, Vec::new()),
            };
        }
        if let Some((kind, length)) = keyword(rest)
            && length >= run
        {
            return self.emit(kind, length, Vec::new());
        }
        let kind = word(&rest[..run]);
        self.emit_text(kind, run)
    }

    fn section(&mut self) -> bool {
        let rest = self.rest();
        if rest[0] == b']' {
            let blanks = 1 + blanks(&rest[1..]);
            let length = blanks + newline(&rest[blanks..]);
            self.state = State::Initial;
            self.scanner_line += 1;
            return self.emit(Kind::Char(b']'), length, Vec::new());
        }
        self.bracketed()
    }

    fn offset(&mut self) -> bool {
        let blanks = blanks(self.rest());
        if self.rest().get(blanks) == Some(&b']') {
            self.state = State::Initial;
            return self.emit(Kind::Char(b']'), blanks + 1, Vec::new());
        }
        self.bracketed()
    }

    /// What stands between brackets, in a section header or behind a name.
    fn bracketed(&mut self) -> bool {
        let rest = self.rest();
        let blanks = blanks(rest);
        if rest.get(blanks) == Some(&b'"') {
            return self.open_quotes(blanks);
        }
        if rest.starts_with(b"${") {
            return self.open_variable();
        }
        let run = run_of(rest, is_section);
        let quoted = match rest[0] {
            b'\'' => closing_quote(rest),
            _ => None,
        };
        match quoted {
            Some(_) => self.single_quoted(false),
            None if run == 0 => self.foreign(),
            None => {
                let kind = word(&rest[..run]);
                self.emit_text(kind, run)
            }
        }
    }

    fn quotes(&mut self) -> bool {
        let rest = self.rest();
        if rest[0] == b'"' {
            let length = 1 + blanks(&rest[1..]);
            self.leave();
            return self.emit(Kind::Char(b'"'), length, Vec::new());
        }
        if rest.starts_with(b"${") {
            return self.open_variable();
        }
        let length = quoted_length(rest);
        let text = unescape(&rest[..length]);
        self.scanner_line += count_newlines(&rest[..length]);
        self.emit(Kind::Quoted, length, text)
    }

    fn var_name(&mut self) -> bool {
        let rest = self.rest();
        if rest[0] == b'}' {
            self.leave();
            return self.emit(Kind::Char(b'}'), 1, Vec::new());
        }
        if rest.starts_with(b":-") {
            self.state = State::Fallback;
            return self.emit(Kind::Fallback, 2, Vec::new());
        }
        let label = count(rest, is_label);
        if label == 0 {
            return self.foreign();
        }
        let length = rest[..label].windows(2).position(|pair| pair == b":-").unwrap_or(label);
        let name = trim_name(&rest[..length]);
        self.emit(Kind::VarName, length, name)
    }

    fn fallback(&mut self) -> bool {
        let rest = self.rest();
        let blanks = blanks(rest);
        if rest.get(blanks) == Some(&b'"') {
            return self.open_quotes(blanks);
        }
        if rest[0] == b'}' {
            self.leave();
            return self.emit(Kind::Char(b'}'), 1, Vec::new());
        }
        if rest.starts_with(b"${") {
            return self.open_variable();
        }
        match run_of(rest, is_fallback) {
            0 => self.foreign(),
            run => {
                let kind = word(&rest[..run]);
                self.emit_text(kind, run)
            }
        }
    }

    fn end_of_line(&mut self, length: usize) -> bool {
        self.state = State::Initial;
        self.scanner_line += 1;
        self.emit(Kind::EndOfLine, length, Vec::new())
    }

    fn comment(&mut self, blanks: usize) -> bool {
        let text = &self.rest()[blanks..];
        let length = count(text, |b| b != b'\n' && b != b'\r');
        let length = length + newline(&text[length..]);
        self.end_of_line(blanks + length)
    }

    fn open_quotes(&mut self, blanks: usize) -> bool {
        self.enter(State::Quotes);
        self.emit(Kind::Char(b'"'), blanks + 1, Vec::new())
    }

    fn open_variable(&mut self) -> bool {
        self.enter(State::VarName);
        self.emit(Kind::DollarCurly, 2, Vec::new())
    }

    /// `'…'`: taken as it is. `''` is no string to the scanner (the rule asks for one character at
    /// least): in a value the first quote ends the value. An open one ends the input.
    fn single_quoted(&mut self, in_value: bool) -> bool {
        match closing_quote(self.rest()) {
            Some(close) => {
                let text = self.rest()[1..close].to_vec();
                self.emit(Kind::Raw, close + 1, text)
            }
            None if in_value && self.rest().get(1) == Some(&b'\'') => {
                self.state = State::Initial;
                self.emit(Kind::EndOfLine, 1, Vec::new())
            }
            None => self.foreign(),
        }
    }

    /// A byte that no rule of the state takes: the scanner says "end of file".
    fn foreign(&mut self) -> bool {
        if self.rest()[0] == 0 {
            return self.emit(Kind::Char(0), 1, Vec::new());
        }
        self.end()
    }
}

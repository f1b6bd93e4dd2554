//! Bit expressions of the ini dialect: `E_ALL & ~E_NOTICE`, `(1 | 2) ^ 3`, `!1`.
//!
//! `| & ^` have one rank and group from the left, `~ !` bind tighter. Operands are read as C's
//! `atoi` does; results are 32-bit integers in decimal. A value without operators stays text.
//! Stacks instead of recursion: a line of parentheses must not exhaust ours.

use crate::lexer::Kind;
use crate::number::atoi;
use crate::parser::{MAX_NESTING, Parser, SyntaxError, Text, is_string};

enum Pending {
    Paren,
    Unary(u8),
    /// Operator and its left side.
    Binary(u8, Vec<u8>),
}

/// Reads an expression up to the first token that cannot continue it.
pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<Text, SyntaxError> {
    let start = parser.token().span.start;
    let mut pending: Vec<Pending> = Vec::new();
    let mut open = 0;
    loop {
        // Before an operand.
        let token = parser.token();
        if pending.len() > MAX_NESTING {
            return Err(parser.error("memory exhausted".into(), token));
        }
        let (mut value, mut end) = match token.kind {
            Kind::Char(b'(') => {
                parser.take();
                pending.push(Pending::Paren);
                open += 1;
                continue;
            }
            Kind::Char(operator @ (b'~' | b'!')) => {
                parser.take();
                pending.push(Pending::Unary(operator));
                continue;
            }
            kind if is_string(kind) => {
                let text = parser.strings(true, 0)?;
                (text.bytes, text.span.end)
            }
            _ => return Err(parser.unexpected(token, &[])),
        };
        // Behind an operand.
        loop {
            value = reduce(&mut pending, value);
            let token = parser.token();
            match token.kind {
                Kind::Char(operator @ (b'|' | b'&' | b'^')) => {
                    parser.take();
                    pending.push(Pending::Binary(operator, value));
                    break;
                }
                Kind::Char(b')') if open > 0 => {
                    end = parser.take().span.end;
                    open -= 1;
                    pending.pop();
                }
                _ if open > 0 => {
                    return Err(parser.unexpected(token, &["'^'", "'|'", "'&'", "')'"]));
                }
                _ => {
                    return Ok(Text { bytes: value, span: start..end });
                }
            }
        }
    }
}

/// Applies what waits for `value`, down to an open parenthesis. Since everything that waits is
/// applied as soon as its right side is there, at most one binary operator ever waits per
/// parenthesis.
fn reduce(pending: &mut Vec<Pending>, mut value: Vec<u8>) -> Vec<u8> {
    loop {
        value = match pending.pop() {
            Some(Pending::Unary(b'~')) => text(!atoi(&value)),
            Some(Pending::Unary(_)) => text(i32::from(atoi(&value) == 0)),
            Some(Pending::Binary(operator, left)) => {
                let (left, right) = (atoi(&left), atoi(&value));
                text(match operator {
                    b'|' => left | right,
                    b'&' => left & right,
                    _ => left ^ right,
                })
            }
            Some(Pending::Paren) => {
                pending.push(Pending::Paren);
                return value;
            }
            None => return value,
        };
    }
}

fn text(number: i32) -> Vec<u8> {
    number.to_string().into_bytes()
}

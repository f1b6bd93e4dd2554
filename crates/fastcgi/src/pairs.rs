//! Name-value pairs (§3.4) from bytes that arrive in any pieces.

use crate::params::{Pair, Params, Span};

/// The pairs of one PARAMS stream or GET_VALUES record so far. Names and values are written straight into the buffer
/// they will be used in; it grows as bytes arrive, never by what a length announces.
#[derive(Clone, Default)]
pub(crate) struct Pairs {
    params: Params,
    /// Bytes of the stream consumed, the lengths included.
    consumed: usize,
    stage: Stage,
}

/// What the next byte belongs to. A name or value that lacks nothing is ended at once.
#[derive(Clone)]
enum Stage {
    /// The two lengths of a pair; so far there are `have` bytes of them.
    Lengths { bytes: [u8; 8], have: usize },
    /// A name that began at `start` and still lacks `missing` bytes.
    Name { start: u32, missing: u32, value: u32 },
    /// A value that began at `start` and still lacks `missing` bytes.
    Value { name: Span, start: u32, missing: u32 },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Lengths { bytes: [0; 8], have: 0 }
    }
}

/// The stream is longer than its limit, or a pair announces that it will be.
pub(crate) struct TooLarge;

impl Pairs {
    /// Takes the next bytes of the stream, which may have `limit` bytes in all.
    pub(crate) fn feed(&mut self, mut input: &[u8], limit: usize) -> Result<(), TooLarge> {
        self.params.reserve(input.len() + 1);
        loop {
            if let Stage::Lengths { have: 0, .. } = self.stage {
                let taken = self.params.add_whole(input, limit - self.consumed);
                self.consumed += taken;
                input = &input[taken..];
            }
            let Some((&first, rest)) = input.split_first() else { return Ok(()) };
            match &mut self.stage {
                Stage::Lengths { bytes, have } => {
                    bytes[*have] = first;
                    *have += 1;
                    input = rest;
                    self.consumed += 1;
                    if let Some((_, name, value)) = lengths(&bytes[..*have]) {
                        let total = self.consumed as u64 + u64::from(name) + u64::from(value);
                        if total > limit as u64 {
                            return Err(TooLarge);
                        }
                        self.stage = Stage::Name { start: self.params.end(), missing: name, value };
                    }
                }
                Stage::Name { missing, .. } | Stage::Value { missing, .. } => {
                    let (bytes, rest) = input.split_at(input.len().min(*missing as usize));
                    *missing -= bytes.len() as u32;
                    self.params.extend(bytes);
                    input = rest;
                    self.consumed += bytes.len();
                }
            }
            self.advance();
        }
    }

    /// Ends the name and the value that lack nothing.
    fn advance(&mut self) {
        if let Stage::Name { start, missing: 0, value } = self.stage {
            let name = self.params.terminate(start);
            self.stage = Stage::Value { name, start: self.params.end(), missing: value };
        }
        if let Stage::Value { name, start, missing: 0 } = self.stage {
            let value = self.params.terminate(start);
            self.params.commit(Pair { name, value });
            self.stage = Stage::default();
        }
    }

    /// The pairs, now that the stream has ended; `None` if it ended inside one.
    pub(crate) fn finish(self) -> Option<Params> {
        matches!(self.stage, Stage::Lengths { have: 0, .. }).then_some(self.params)
    }
}

/// How many bytes the lengths of name and value take, and these, once all of the bytes are there: each is one byte, or four with
/// the highest bit set.
pub(crate) fn lengths(bytes: &[u8]) -> Option<(usize, u32, u32)> {
    let (name, rest) = length(bytes)?;
    let (value, behind) = length(rest)?;
    Some((bytes.len() - behind.len(), name, value))
}

fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match *bytes {
        [short @ 0..=0x7F, ref rest @ ..] => Some((u32::from(short), rest)),
        [a, b, c, d, ref rest @ ..] => Some((u32::from_be_bytes([a & 0x7F, b, c, d]), rest)),
        _ => None,
    }
}

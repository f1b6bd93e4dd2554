//! What the tests share: bytes written by hand, straight from the specification, and events read back.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod seen;

/// A record (§3.3) with padding bytes that are not zero.
pub fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("the content fits a record");
    let mut bytes = vec![1, kind];
    bytes.extend(id.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes.extend([padding, 0xEE]);
    bytes.extend(content);
    bytes.resize(bytes.len() + usize::from(padding), 0xEE);
    bytes
}

pub fn begin(id: u16, role: u16, flags: u8) -> Vec<u8> {
    let [high, low] = role.to_be_bytes();
    record(1, id, &[high, low, flags, 9, 9, 9, 9, 9], 0)
}

pub fn abort(id: u16) -> Vec<u8> {
    record(2, id, b"", 0)
}

pub fn params(id: u16, content: &[u8]) -> Vec<u8> {
    record(4, id, content, 0)
}

pub fn stdin(id: u16, content: &[u8]) -> Vec<u8> {
    record(5, id, content, 0)
}

/// A name-value pair (§3.4) with the shortest lengths.
pub fn pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [name, value] {
        match u8::try_from(part.len()) {
            Ok(len @ 0..=127) => bytes.push(len),
            _ => bytes.extend(long_len(part.len() as u32)),
        }
    }
    bytes.extend(name);
    bytes.extend(value);
    bytes
}

/// A length in its four-byte form, which short names and values may have as well.
pub fn long_len(len: u32) -> [u8; 4] {
    (len | 1 << 31).to_be_bytes()
}

/// The stream of these pairs.
pub fn pairs(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| pair(name, value)).collect()
}

/// A whole request, each stream in one record.
pub fn request(id: u16, flags: u8, vars: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    let mut bytes = begin(id, 1, flags);
    bytes.extend(params(id, &pairs(vars)));
    bytes.extend(params(id, b""));
    if !body.is_empty() {
        bytes.extend(stdin(id, body));
    }
    bytes.extend(stdin(id, b""));
    bytes
}

/// A small repeatable source of numbers (the LCG of Knuth's MMIX).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % end as u64) as usize
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

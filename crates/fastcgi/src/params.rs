//! The parameters of a request, in one buffer.

use crate::index::Index;
use crate::pairs::lengths;
use std::fmt;

/// Room for as many pairs is made at once; requests of web servers carry 20 to 40.
const USUAL: usize = 32;

/// Up to this many pairs a name is found by its [`tag`].
const FEW: usize = 48;

/// Pairs whose names have the same [`tag`], the last one first. Numbers are positions plus one; 0 is none.
#[derive(Clone)]
struct Chains {
    last: [u8; 64],
    before: [u8; FEW],
}

impl Chains {
    /// Adds one of the first pairs.
    fn put(&mut self, tag: usize, at: usize) {
        self.before[at] = std::mem::replace(&mut self.last[tag], at as u8 + 1);
    }
}

impl Default for Chains {
    fn default() -> Self {
        Self { last: [0; 64], before: [0; FEW] }
    }
}

/// A stretch of [`Params::buffer`], in bytes. The byte after it is a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// Where it begins.
    pub offset: u32,
    /// Its length, without the NUL.
    pub len: u32,
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }
}

/// Where one parameter stands in [`Params::buffer`]. The layout is C's, so [`Params::pairs`] can be passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Pair {
    /// The name.
    pub name: Span,
    /// The value.
    pub value: Span,
}

/// The parameters of a request: byte-exact names and values in the order they arrived, each name once.
///
/// All bytes stand in one contiguous buffer and each name and value is followed by a NUL, so that C can use pointers
/// into it; names and values may contain NULs themselves, the lengths count. A name that comes twice keeps its first
/// position and takes its last value, as in php-fpm's `fcgi_hash`. Names are found in constant time however many there
/// are.
#[derive(Clone, Default)]
pub struct Params {
    buffer: Vec<u8>,
    pairs: Vec<Pair>,
    /// Where the first [`FEW`] pairs are found.
    chains: Chains,
    /// There once more than [`FEW`] pairs have come.
    index: Option<Box<Index>>,
}

impl Params {
    /// No parameters, no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The value of `name`, compared byte by byte.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name).map(|at| self.bytes(self.pairs[at].value))
    }

    /// Gives `name` the value `value`: in its place if it is there, after all others if not.
    ///
    /// The bytes of a former value stay in the buffer, unused, until the parameters are dropped.
    ///
    /// # Panics
    ///
    /// When the buffer would exceed 4 GiB. What is decoded stays below [`crate::MAX_PARAMS_LIMIT`].
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if let Some(at) = self.position(name) {
            self.pairs[at].value = self.append(value);
        } else {
            self.add(name, value);
        }
    }

    /// Removes `name`, keeping the order of the others; whether it was there. Takes time proportional to the number of
    /// parameters.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(at) = self.position(name) else {
            return false;
        };
        self.pairs.remove(at);
        if let Some(index) = &mut self.index {
            index.remove(at);
        } else {
            self.chains = Chains::default();
            for (at, pair) in self.pairs.iter().enumerate() {
                self.chains.put(tag(&self.buffer[pair.name.range()]), at);
            }
        }
        true
    }

    /// Names and values in the order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.pairs.iter().map(|pair| (self.bytes(pair.name), self.bytes(pair.value)))
    }

    /// Where the parameters stand in [`Params::buffer`], in the order of arrival. All offsets and lengths, and the NUL
    /// after each name and value, lie inside the buffer.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The bytes that [`Params::pairs`] refers to. Any change of the parameters may move it.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.buffer[span.range()]
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.tagged(name, tag(name))
    }

    /// Where the pair with this name is, which has this [`tag`].
    #[inline]
    fn tagged(&self, name: &[u8], tag: usize) -> Option<usize> {
        if self.index.is_none() && self.chains.last[tag] == 0 {
            return None; // as a rule, for a name that comes
        }
        self.tagged_alike(name, tag)
    }

    /// The same, of those that have it.
    fn tagged_alike(&self, name: &[u8], tag: usize) -> Option<usize> {
        let is_it = |at: usize| {
            let span = self.pairs[at].name;
            span.len as usize == name.len() && self.bytes(span) == name
        };
        if let Some(index) = &self.index {
            return index.find(index.hash(name), is_it);
        }
        let mut number = self.chains.last[tag];
        while let Some(at) = usize::from(number).checked_sub(1) {
            if is_it(at) {
                return Some(at);
            }
            number = self.chains.before[at];
        }
        None
    }

    /// Adds a pair, or gives its value to the earlier one of the same name.
    fn add(&mut self, name: &[u8], value: &[u8]) {
        let pair = Pair { name: self.append(name), value: self.append(value) };
        self.commit(pair);
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.end();
        self.buffer.extend_from_slice(bytes);
        self.buffer.push(0);
        Span { offset: start, len: u32::try_from(bytes.len()).expect("a parameter is shorter than 4 GiB") }
    }

    /// Adds a pair whose name, which has this [`tag`], is not there yet.
    fn push(&mut self, pair: Pair, tag: usize) {
        if self.pairs.is_empty() {
            self.pairs.reserve(USUAL);
        }
        self.pairs.push(pair);
        if self.index.is_none() && self.pairs.len() <= FEW {
            return self.chains.put(tag, self.pairs.len() - 1);
        }
        let new = match self.index {
            Some(_) => self.pairs.len() - 1,
            None => 0,
        };
        let index = self.index.get_or_insert_with(|| Box::new(Index::with_capacity(FEW * 2)));
        for (at, pair) in self.pairs.iter().enumerate().skip(new) {
            index.insert(index.hash(&self.buffer[pair.name.range()]), at);
        }
    }
}

/// One of 64 numbers that tells most names apart, from the name's length, ends and middle.
fn tag(name: &[u8]) -> usize {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return 0 };
    let middle = name[name.len() / 2];
    (name.len() ^ usize::from(first) << 1 ^ usize::from(middle) << 3 ^ usize::from(last) << 5) % 64
}

/// What the decoder of a PARAMS stream needs to write names and values into the buffer as they arrive.
impl Params {
    /// Makes room for `additional` bytes that are at hand.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.buffer.reserve(additional);
    }

    /// Where the next byte will stand.
    pub(crate) fn end(&self) -> u32 {
        self.offset(self.buffer.len())
    }

    fn offset(&self, at: usize) -> u32 {
        u32::try_from(at).expect("a parameter buffer stays below 4 GiB")
    }

    /// Writes bytes of the name or value in progress.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Ends the name or value that began at `start`.
    pub(crate) fn terminate(&mut self, start: u32) -> Span {
        let len = self.end() - start;
        self.buffer.push(0);
        Span { offset: start, len }
    }

    /// Adds the pairs at the front of `input`, in the stream's form, that are there whole, and take no more than `limit` bytes;
    /// returns how many bytes they take.
    ///
    /// They are copied all at once, as they are: the last byte of the lengths makes room for the NUL between name and value, and
    /// the first byte behind a value is its NUL.
    pub(crate) fn add_whole(&mut self, input: &[u8], limit: usize) -> usize {
        let base = self.buffer.len();
        self.buffer.extend_from_slice(input);
        let mut taken = 0;
        while let Some((lengths, name, value)) = lengths(&input[taken..]) {
            let start = taken + lengths;
            let end = (start as u64 + u64::from(name) + u64::from(value)).try_into().unwrap_or(usize::MAX);
            if end > input.len().min(limit) {
                break;
            }
            let (from, name_len) = (base + start, name as usize);
            self.buffer.copy_within(from..from + name_len, from - 1);
            self.buffer[from + name_len - 1] = 0;
            match self.buffer.get_mut(base + end) {
                Some(behind) => *behind = 0,
                None => self.buffer.push(0),
            }
            let at = self.offset(from);
            let (name, value) = (Span { offset: at - 1, len: name }, Span { offset: at + name, len: value });
            self.commit(Pair { name, value });
            taken = end;
        }
        self.buffer.truncate(if taken == 0 { base } else { base + taken + 1 });
        taken
    }

    /// Adds the pair just written, or gives its value to the earlier pair of the same name.
    pub(crate) fn commit(&mut self, pair: Pair) {
        let name = self.bytes(pair.name);
        let tag = tag(name);
        match self.tagged(name, tag) {
            Some(at) => self.pairs[at].value = pair.value,
            None => self.push(pair, tag),
        }
    }
}

/// Equal names and values in equal order; what else the buffers hold does not count.
impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

/// Shows all names and values, escaped. They hold cookies and passwords: not for logs.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

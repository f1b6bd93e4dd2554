//! The events of a decoder in a form that can be kept and compared, whatever pieces the input came in.

use ftm_fastcgi::{Decoder, Error, Event, Limits, Params, Role};
use std::collections::BTreeSet;

/// An [`Event`] that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Begin(u16, Role, bool),
    Params(u16, Vec<(Vec<u8>, Vec<u8>)>),
    TooLarge(u16),
    /// Neighbouring pieces of one request joined.
    Stdin(u16, Vec<u8>),
    StdinEnd(u16),
    Abort(u16),
    Reply(Vec<u8>, bool),
    Error(Error),
}

/// A decoder and what it has said so far.
pub struct Session {
    pub decoder: Decoder,
    pub seen: Vec<Seen>,
}

impl Session {
    pub fn new(limits: Limits) -> Self {
        Self { decoder: Decoder::new(limits), seen: Vec::new() }
    }

    /// Feeds one piece and checks what holds for every input. `react` is called with each event, as the server would
    /// act on it.
    pub fn feed(&mut self, mut input: &[u8], mut react: impl FnMut(&mut Decoder, &Seen)) {
        let whole = input.as_ptr_range();
        loop {
            let before = input.len();
            let event = self.decoder.decode(&mut input);
            assert!(input.len() <= before);
            let seen = match event {
                Ok(None) => {
                    assert!(input.is_empty(), "more was asked for while bytes were left");
                    return;
                }
                Ok(Some(event)) => {
                    if let Event::Stdin { data, .. } = &event {
                        let data = data.as_ptr_range();
                        assert!(whole.start <= data.start && data.end <= whole.end, "STDIN was copied");
                    }
                    own(event)
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    assert_eq!(self.decoder.decode(&mut &b"\x01"[..]), Err(error), "an error is final");
                    if self.seen.last() != Some(&Seen::Error(error)) {
                        self.seen.push(Seen::Error(error));
                    }
                    return;
                }
            };
            react(&mut self.decoder, &seen);
            match (self.seen.last_mut(), seen) {
                (Some(Seen::Stdin(last, data)), Seen::Stdin(id, more)) if *last == id => data.extend(more),
                (_, seen) => self.seen.push(seen),
            }
        }
    }
}

fn own(event: Event<'_>) -> Seen {
    match event {
        Event::Begin { id, role, keep_conn } => Seen::Begin(id, role, keep_conn),
        Event::Params { id, params } => {
            check(&params);
            Seen::Params(id, params.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
        }
        Event::ParamsTooLarge { id } => Seen::TooLarge(id),
        Event::Stdin { id, data } => {
            assert!(!data.is_empty());
            Seen::Stdin(id, data.to_vec())
        }
        Event::StdinEnd { id } => Seen::StdinEnd(id),
        Event::Abort { id } => Seen::Abort(id),
        Event::Reply { bytes, close } => {
            assert!(bytes.len() % 8 == 0 && (16..=80).contains(&bytes.len()) || bytes.len() == 8, "{bytes:?}");
            Seen::Reply(bytes, close)
        }
    }
}

/// What C relies on: spans inside the buffer, each followed by a NUL; and each name once, found by its name.
pub fn check(params: &Params) {
    let buffer = params.buffer();
    let mut names = BTreeSet::new();
    assert_eq!(params.pairs().len(), params.len());
    for (pair, (name, value)) in params.pairs().iter().zip(params.iter()) {
        for (span, bytes) in [(pair.name, name), (pair.value, value)] {
            let end = span.offset as usize + span.len as usize;
            assert_eq!(&buffer[span.offset as usize..end], bytes);
            assert_eq!(buffer[end], 0);
        }
        assert!(names.insert(name), "{} came twice", name.escape_ascii());
        assert_eq!(params.get(name), Some(value));
    }
}

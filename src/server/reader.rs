//! The read side of a connection while the PHP thread whose script reads the body that comes on it has it: of a large body, no
//! byte passes the main thread.
//!
//! Anything but bytes of that body, from the end of the stream to nonsense, is the main thread's (see [`super::connection`]),
//! which gets the connection back as it was before.

use std::ops::Range;
use std::sync::Arc;

use ftm_fastcgi::{Decoder, Event};

use super::connections::READ_BUFFER;
use super::wire::{Wire, read_more};

/// Reads the body of one request from its connection.
pub struct Reader {
    wire: Arc<Wire>,
    id: u16,
    decoder: Decoder,
    input: Vec<u8>,
    /// How much of `input` is decoded.
    decoded: usize,
    /// The part of `input` that is the body's, and was not taken yet.
    content: Range<usize>,
}

/// What a [`Reader`] has found next.
pub enum Step {
    /// As many bytes of the body.
    Content(usize),
    /// Nothing, for now.
    Nothing,
    /// Something for the main thread.
    Other,
}

impl Reader {
    /// Reads the body of the request `id` from `wire`, of which `decoder` has read what came so far.
    pub fn new(wire: Arc<Wire>, id: u16, decoder: Decoder) -> Reader {
        let input = Vec::with_capacity(READ_BUFFER);
        Reader { wire, id, decoder, input, decoded: 0, content: 0..0 }
    }

    /// The connection.
    pub fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Bytes of the body that were found and not taken.
    pub fn content(&self) -> &[u8] {
        &self.input[self.content.clone()]
    }

    /// As many of them are taken.
    pub fn taken(&mut self, bytes: usize) {
        self.content.start += bytes;
    }

    /// Of the bytes found last, only as many are the body's.
    pub fn cut(&mut self, bytes: usize) {
        self.content.end = self.content.start + bytes;
    }

    /// Looks for further bytes, when those found before are taken. Reads once at most, and never waits.
    pub fn step(&mut self) -> Step {
        let mut has_read = false;
        loop {
            if self.decoded < self.input.len() {
                let before = self.decoder.clone();
                let mut rest = &self.input[self.decoded..];
                match self.decoder.decode(&mut rest) {
                    Ok(None) => self.decoded = self.input.len(),
                    Ok(Some(Event::Stdin { id, data })) if id == self.id => {
                        self.decoded = self.input.len() - rest.len();
                        self.content = self.decoded - data.len()..self.decoded;
                        return Step::Content(data.len());
                    }
                    Ok(Some(_)) | Err(_) => {
                        self.decoder = before;
                        return Step::Other;
                    }
                }
            } else if std::mem::replace(&mut has_read, true) {
                return Step::Nothing; // but what is of no interest
            } else {
                self.input.clear();
                self.decoded = 0;
                self.content = 0..0;
                match read_more(&self.wire, &mut self.input) {
                    Ok(1..) | Err(nix::Error::EINTR) => {}
                    Err(nix::Error::EAGAIN) => return Step::Nothing,
                    Ok(0) | Err(_) => return Step::Other, // the main thread will find the same
                }
            }
        }
    }

    /// The state of the connection, and the bytes that were read and not decoded.
    pub fn into_parts(mut self) -> (Decoder, Vec<u8>) {
        (self.decoder, self.input.split_off(self.decoded))
    }
}

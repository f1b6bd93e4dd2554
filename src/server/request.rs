//! A request from the end of its parameters to END_REQUEST.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use ftm_fastcgi::{Kind, MAX_CONTENT, Params, ProtocolStatus, Role, end_request, padding, record_header};

use super::{Body, BodyEnd, Wire};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Nobody reads the response any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// One request. Who has read its parameters makes it: the main thread, or the PHP thread that runs it. From then on a PHP
/// thread answers it, while the main thread may fill its body and mark it aborted.
pub struct Request {
    id: u16,
    role: Role,
    keep_conn: bool,
    wire: Arc<Wire>,
    content_length: Option<u64>,
    body: Body,
    params: Mutex<Params>,
    begun: Instant,
    aborted: AtomicBool,
    finished: AtomicBool,
    /// Held while records are written: whether the response has begun.
    writing: Mutex<bool>,
    /// See [`Request::want_trace`].
    trace: AtomicU8,
    kill: AtomicU8,
    /// The signal of [`Request::kill_by`]; 0: its time was up.
    signal: AtomicI32,
}

/// Why a request is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// `request_terminate_timeout`.
    TimeUp,
    /// Another script has sent it this signal.
    Signal(i32),
}

/// Something that is wanted of a request once.
mod wish {
    pub const NONE: u8 = 0;
    pub const WANTED: u8 = 1;
    pub const TAKEN: u8 = 2;
}

const PADDING: [u8; 8] = [0; 8];

/// Output goes to the wire in batches of whole records of at most this many bytes: what one call may leave pending, and
/// (with a header and a padding for each record) well below the 1024 slices that one system call takes.
const BATCH: usize = 8 * MAX_CONTENT;

impl Request {
    /// A request whose parameters are complete.
    pub fn new(id: u16, role: Role, keep_conn: bool, wire: Arc<Wire>, params: Params, begun: Instant) -> Request {
        let content_length = content_length(&params);
        Request {
            id,
            role,
            keep_conn,
            wire,
            content_length,
            body: Body::new(Request::length_of_body(&params)),
            params: Mutex::new(params),
            begun,
            aborted: AtomicBool::new(false),
            trace: AtomicU8::new(wish::NONE),
            kill: AtomicU8::new(wish::NONE),
            signal: AtomicI32::new(0),
            finished: AtomicBool::new(false),
            writing: Mutex::new(false),
        }
    }

    /// Its id on its connection.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether its connection is to be kept (FCGI_KEEP_CONN).
    pub fn keep_conn(&self) -> bool {
        self.keep_conn
    }

    /// The role asked for, shown to scripts as FCGI_ROLE.
    pub fn role(&self) -> Role {
        self.role
    }

    /// CONTENT_LENGTH in bytes, where the web server knows it.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The request body, as far as it comes over the connection.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// When BEGIN_REQUEST arrived.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The web server's address; `None`: it came over a unix socket.
    pub fn peer(&self) -> Option<IpAddr> {
        self.wire.peer()
    }

    /// Hands the parameters over to the PHP thread that runs the request; later calls find none.
    pub fn take_params(&self) -> Params {
        std::mem::take(&mut self.params.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the parameters name a method whose requests have no body as a rule. Such a request starts without waiting
    /// for the end of its STDIN, which some clients never send; a body that does come is still read.
    pub fn starts_without_body(&self) -> bool {
        Request::has_no_body(&self.params.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many bytes of a body announced by these parameters come over the connection. The web server may have put it into a
    /// file: none come then.
    pub fn length_of_body(params: &Params) -> Option<u64> {
        let in_file = params.get(b"REQUEST_BODY_FILE").is_some_and(|path| !path.is_empty());
        if in_file { Some(0) } else { content_length(params) }
    }

    /// See [`Request::starts_without_body`].
    pub fn has_no_body(params: &Params) -> bool {
        matches!(params.get(b"REQUEST_METHOD"), None | Some(b"GET" | b"HEAD"))
    }

    /// Whether a request with these parameters, whose STDIN stream has ended after `received` bytes, has all of its body.
    pub fn is_whole(params: &Params, received: usize) -> bool {
        let whole = Request::length_of_body(params).is_none_or(|length| received as u64 >= length);
        whole || (received == 0 && Request::has_no_body(params))
    }

    /// The STDIN stream has ended. A GET may announce a length and send nothing: it has no body then, as under PHP-FPM.
    pub fn end_of_stream(&self) {
        if self.body.received() == 0 && self.starts_without_body() {
            self.body.end(BodyEnd::Complete);
        } else {
            self.body.end_of_stream();
        }
    }

    /// The client has left, or asked for the end with ABORT_REQUEST.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether [`Request::abort`] was called before the response ended.
    pub fn aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire) && !self.finished()
    }

    /// The slowlog wants its backtrace. False: it has been wanted before.
    pub fn want_trace(&self) -> bool {
        self.trace.compare_exchange(wish::NONE, wish::WANTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the backtrace is wanted; true for one caller only, who brings it.
    pub fn take_trace(&self) -> bool {
        self.trace.compare_exchange(wish::WANTED, wish::TAKEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Its time is up. What its thread waits for from the web server is over, too.
    pub fn kill(&self) {
        self.kill_by(0);
    }

    /// The same, but because another script has sent it `signal`.
    pub fn kill_by(&self, signal: i32) {
        self.signal.store(signal, Ordering::Release);
        self.kill.store(wish::WANTED, Ordering::Release);
        self.body.end(BodyEnd::TimedOut);
    }

    /// Whether it is to be ended, and why: once for each [`Request::kill`], for the thread that ends it.
    pub fn take_kill(&self) -> Option<Kill> {
        let taken = self.kill.compare_exchange(wish::WANTED, wish::TAKEN, Ordering::AcqRel, Ordering::Acquire);
        taken.ok().map(|_| match self.signal.load(Ordering::Acquire) {
            0 => Kill::TimeUp,
            signal => Kill::Signal(signal),
        })
    }

    /// Whether it was ever to be ended.
    pub fn killed(&self) -> bool {
        self.kill.load(Ordering::Acquire) != wish::NONE
    }

    /// Whether its time was up.
    pub fn timed_out(&self) -> bool {
        self.killed() && self.signal.load(Ordering::Acquire) == 0
    }

    /// Whether it is still to be ended.
    pub fn kill_pending(&self) -> bool {
        self.kill.load(Ordering::Acquire) == wish::WANTED
    }

    /// The descriptor of its connection.
    pub fn descriptor(&self) -> RawFd {
        self.wire.as_raw_fd()
    }

    /// Whether END_REQUEST is on its way.
    pub fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Sends the pieces as one stretch of the STDOUT stream. May wait for a slow reader: only for PHP threads.
    pub fn send_stdout(&self, pieces: &[&[u8]]) -> Result<(), Gone> {
        self.send_stream(Kind::Stdout, pieces)
    }

    /// Sends a message on the STDERR stream. May wait for a slow reader: only for PHP threads.
    pub fn send_stderr(&self, message: &[u8]) -> Result<(), Gone> {
        self.send_stream(Kind::Stderr, &[message])
    }

    fn send_stream(&self, kind: Kind, pieces: &[&[u8]]) -> Result<(), Gone> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Ok(()); // an empty record would end the stream
        }
        if self.aborted() {
            return Err(Gone);
        }
        let mut batch = Vec::with_capacity(pieces.len());
        let mut room = BATCH;
        for piece in pieces {
            let mut piece = *piece;
            while piece.len() > room {
                let (now, later) = piece.split_at(room);
                batch.push(now);
                self.send_batch(kind, &batch)?;
                batch.clear();
                (piece, room) = (later, BATCH);
            }
            room -= piece.len();
            batch.push(piece);
        }
        self.send_batch(kind, &batch)
    }

    fn send_batch(&self, kind: Kind, batch: &[&[u8]]) -> Result<(), Gone> {
        let framed = Framed::new(kind, self.id, batch);
        let mut begun = self.writing();
        if self.finished() {
            return Ok(()); // nothing follows END_REQUEST
        }
        *begun |= kind == Kind::Stdout;
        let left = self.wire.send(&framed.slices())?;
        drop(begun);
        self.wire.wait_for_reader(left, || self.kill_pending() || self.finished())
    }

    fn writing(&self) -> MutexGuard<'_, bool> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the response with the rest of its output and messages, the end of STDOUT and END_REQUEST; false if it had
    /// ended before. Never waits.
    pub fn finish(&self, rest: &[u8], messages: &[u8], app_status: u32) -> bool {
        let _writing = self.writing();
        self.end(rest, messages, app_status)
    }

    /// As [`Request::finish`], while nobody else writes.
    fn end(&self, rest: &[u8], messages: &[u8], app_status: u32) -> bool {
        let aborted = self.aborted();
        // Before the bytes: the peer may reuse the id as soon as it has read them.
        if self.finished.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (rest, messages): (&[u8], &[u8]) = if aborted { (&[], &[]) } else { (rest, messages) };
        let messages = Framed::new(Kind::Stderr, self.id, &[messages]);
        let rest = Framed::new(Kind::Stdout, self.id, &[rest]);
        let mut slices = messages.slices();
        slices.extend(rest.slices());
        let stream_end = record_header(Kind::Stdout, self.id, 0, 0);
        let end = end_request(self.id, app_status, ProtocolStatus::RequestComplete);
        slices.extend([IoSlice::new(&stream_end), IoSlice::new(&end)]);
        // A client that has gone misses nothing.
        let _ = self.wire.finish(&slices, self.keep_conn);
        self.body.discard();
        true
    }

    /// Answers without PHP: sends the whole response and ends the request. Never waits.
    pub fn reply(&self, response: &[u8]) {
        let mut rest = response;
        while rest.len() > BATCH {
            let (now, later) = rest.split_at(BATCH);
            // A client that has gone misses nothing.
            let _ = self.wire.post(&Framed::new(Kind::Stdout, self.id, &[now]).slices());
            rest = later;
        }
        self.finish(rest, &[], 0);
    }

    /// Answers without PHP and ends the request. `status` is a CGI status such as `408 Request Timeout`.
    pub fn refuse(&self, status: &str) {
        self.finish(&refusal(status), &[], 0);
    }

    /// Ends the response of a thread that does not: with `status`, such as `504 Gateway Timeout`, if nothing of it was sent
    /// yet. Never waits; what the thread writes from now on goes nowhere.
    pub fn give_up(&self, status: &str) {
        let begun = self.writing();
        let answer = if *begun { Vec::new() } else { refusal(status) };
        self.end(&answer, &[], 1);
    }
}

fn refusal(status: &str) -> Vec<u8> {
    let (_, reason) = status.split_once(' ').unwrap_or(("", status));
    format!("Status: {status}\r\nContent-type: text/plain; charset=UTF-8\r\n\r\n{reason}.\n").into_bytes()
}

/// Whatever happened to the thread that ran it, the client gets an end and the connection its place back.
impl Drop for Request {
    fn drop(&mut self) {
        self.finish(&[], &[], 1);
    }
}

/// Pieces of one stream cut into records: headers and padding beside the pieces, nothing copied.
struct Framed<'a> {
    parts: Vec<Part<'a>>,
}

enum Part<'a> {
    Header([u8; 8]),
    Content(&'a [u8]),
    Padding(usize),
}

impl<'a> Framed<'a> {
    fn new(kind: Kind, id: u16, pieces: &[&'a [u8]]) -> Framed<'a> {
        let mut parts = Vec::with_capacity(pieces.len() + 2);
        let mut left: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut pieces = pieces.iter().copied();
        let mut piece: &[u8] = &[];
        while left > 0 {
            let content = left.min(MAX_CONTENT);
            // MAX_CONTENT fits in 16 bits.
            let len = content as u16;
            parts.push(Part::Header(record_header(kind, id, len, padding(len))));
            let mut room = content;
            while room > 0 {
                if piece.is_empty() {
                    piece = pieces.next().unwrap_or_default();
                    continue;
                }
                let (now, later) = piece.split_at(piece.len().min(room));
                parts.push(Part::Content(now));
                room -= now.len();
                piece = later;
            }
            parts.push(Part::Padding(usize::from(padding(len))));
            left -= content;
        }
        Framed { parts }
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(self.parts.len() + 2);
        slices.extend(self.parts.iter().map(|part| {
            IoSlice::new(match part {
                Part::Header(header) => header,
                Part::Content(content) => content,
                Part::Padding(len) => &PADDING[..*len],
            })
        }));
        slices
    }
}

/// CONTENT_LENGTH as C's `atol` reads it, which PHP-FPM uses; `None` where it is missing or empty, as for a chunked body.
fn content_length(params: &Params) -> Option<u64> {
    let text = params.get(b"CONTENT_LENGTH").filter(|text| !text.is_empty())?;
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    let value = digits.fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')));
    Some(value.min(i64::MAX as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(length: &[u8]) -> Params {
        let mut params = Params::new();
        params.set(b"CONTENT_LENGTH", length);
        params
    }

    #[test]
    fn content_length_is_read_like_atol() {
        assert_eq!(content_length(&Params::new()), None);
        assert_eq!(content_length(&params(b"")), None);
        assert_eq!(content_length(&params(b"17")), Some(17));
        assert_eq!(content_length(&params(b" +17abc")), Some(17));
        assert_eq!(content_length(&params(b"-3")), Some(0));
        assert_eq!(content_length(&params(b"abc")), Some(0));
        assert_eq!(content_length(&params(b"99999999999999999999999")), Some(i64::MAX as u64));
    }

    #[test]
    fn long_output_is_cut_into_padded_records() {
        let (a, b) = (vec![1u8; 70_000], vec![2u8; 5]);
        let framed = Framed::new(Kind::Stdout, 1, &[&a, &b]);
        let bytes: Vec<u8> = framed.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        let mut at = 0;
        let mut content = Vec::new();
        while at < bytes.len() {
            let len = usize::from(u16::from_be_bytes([bytes[at + 4], bytes[at + 5]]));
            content.extend_from_slice(&bytes[at + 8..at + 8 + len]);
            at += 8 + len + usize::from(bytes[at + 6]);
            assert_eq!(at % 8, 0);
        }
        assert_eq!(content, [a, b].concat());
    }
}

//! A request body on its way to a PHP thread.
//!
//! ```text
//!  main thread: push ──> buffer (bounded: wait_space) ──> read: PHP thread, waits with a deadline
//!               lend ──> reader ── the socket ──────────> read
//!                          └─ given back: what comes is not the body's, or the request is over
//!               end  ──> Complete | Short | TimedOut | Gone
//! ```

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::reader::{Reader, Step};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Without a byte for this long a body that streams into a script is given up, whatever `max_input_time` says: nothing
/// waits for ever on a PHP thread.
const STALLED: Duration = Duration::from_secs(300);

/// How long one wait lasts before the state is looked at again.
const WAIT_SLICE: Duration = Duration::from_secs(1);

/// The same for the socket, which nobody else can wake it from.
const POLL_SLICE: Duration = Duration::from_millis(100);

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// With its announced length, or with its stream where none was announced.
    Complete,
    /// The stream ended before the announced length.
    Short,
    /// It did not arrive in time.
    TimedOut,
    /// The client left.
    Gone,
}

/// The body of one request.
pub struct Body {
    length: Option<u64>,
    state: Mutex<State>,
    arrived: Condvar,
    /// There is space in the buffer, or the reader was given back.
    space: Notify,
}

/// Who reads from the connection.
#[derive(Default)]
enum Loan {
    #[default]
    None,
    /// The PHP thread does, when it has read what is buffered.
    Lent(Reader),
    /// The main thread is to do so again.
    GivenBack(Reader),
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// How much of `buffer` has been read.
    taken: usize,
    received: u64,
    end: Option<BodyEnd>,
    /// Its reader waits: waking nobody would be a system call for nothing.
    awaited: bool,
    /// It waits for the socket, which was lent to it.
    polls: bool,
    /// Somebody waits until so few bytes are buffered.
    resume_at: Option<usize>,
    /// Nobody reads it any more.
    discarded: bool,
    loan: Loan,
}

impl State {
    fn buffered(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// Moves what has arrived to the front of `out`: the number of bytes.
    fn take(&mut self, out: &mut [u8]) -> usize {
        let copy = |out: &mut [u8], from: &[u8]| {
            let n = from.len().min(out.len());
            out[..n].copy_from_slice(&from[..n]);
            n
        };
        match &mut self.loan {
            Loan::Lent(reader) if self.buffer.len() == self.taken => {
                let n = copy(out, reader.content());
                reader.taken(n);
                n
            }
            _ => {
                let n = copy(out, &self.buffer[self.taken..]);
                self.taken += n;
                n
            }
        }
    }

    /// Counts bytes that have come, of a body of `length`: how many of them are the body's.
    fn receive(&mut self, bytes: usize, length: Option<u64>) -> usize {
        let room = length.map_or(u64::MAX, |length| length - self.received);
        let bytes = usize::try_from(room).unwrap_or(usize::MAX).min(bytes);
        self.received += bytes as u64;
        if length == Some(self.received) {
            self.end = Some(BodyEnd::Complete);
        }
        bytes
    }
}

impl Body {
    /// A body of `length` bytes, or of unknown length.
    pub fn new(length: Option<u64>) -> Body {
        let state = State { end: (length == Some(0)).then_some(BodyEnd::Complete), ..State::default() };
        Body { length, state: Mutex::new(state), arrived: Condvar::new(), space: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The announced length in bytes (CONTENT_LENGTH).
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that have arrived so far.
    pub fn received(&self) -> u64 {
        self.lock().received
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let state = self.lock();
        state.received == 0 && state.end == Some(BodyEnd::Complete)
    }

    /// How the body ended, if it has.
    pub fn ended(&self) -> Option<BodyEnd> {
        self.lock().end
    }

    /// Bytes that have arrived and are not read.
    pub fn buffered(&self) -> usize {
        self.lock().buffered()
    }

    /// Adds bytes; those beyond the announced length, or that nobody will read, are dropped.
    pub fn push(&self, data: &[u8]) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let data = &data[..state.receive(data.len(), self.length)];
        if !state.discarded {
            if state.taken > 0 && state.taken >= state.buffered() {
                let taken = std::mem::take(&mut state.taken);
                state.buffer.drain(..taken);
            }
            state.buffer.extend_from_slice(data);
        }
        self.wake_reader(state);
    }

    /// Adds the bytes of a body of which nothing has arrived yet.
    pub fn fill(&self, data: Vec<u8>) {
        let mut state = self.lock();
        let whole =
            state.end.is_none() && state.received == 0 && self.length.is_none_or(|length| length >= data.len() as u64);
        if !whole {
            drop(state);
            return self.push(&data);
        }
        state.receive(data.len(), self.length);
        state.buffer = data;
        self.wake_reader(state);
    }

    fn wake_reader(&self, state: MutexGuard<'_, State>) {
        let awaited = state.awaited;
        drop(state);
        if awaited {
            self.arrived.notify_one();
        }
    }

    /// The STDIN stream has ended.
    pub fn end_of_stream(&self) {
        self.end(match self.length {
            None => BodyEnd::Complete,
            Some(_) => BodyEnd::Short,
        });
    }

    /// Ends the body, unless it has ended before.
    pub fn end(&self, end: BodyEnd) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        self.give_back(&mut state);
        self.wake_reader(state);
    }

    /// The request is over: what is buffered goes, and what still comes is dropped.
    pub fn discard(&self) {
        let mut state = self.lock();
        state.discarded = true;
        state.buffer = Vec::new();
        state.taken = 0;
        self.give_back(&mut state);
        drop(state);
        self.space.notify_one();
    }

    /// From now on the PHP thread reads from the connection, until the reader is [given back](Body::given_back).
    pub fn lend(&self, reader: Reader) {
        let mut state = self.lock();
        state.loan = Loan::Lent(reader);
        if state.discarded || state.end.is_some() {
            self.give_back(&mut state);
        }
        self.wake_reader(state);
    }

    /// Whether a script waits for bytes that the main thread is to bring.
    pub fn awaited(&self) -> bool {
        self.lock().awaited
    }

    /// Takes the reader back where the script does something else than to read: what stands behind the bytes that it has not
    /// asked for is to be seen.
    pub fn recall(&self) {
        let mut state = self.lock();
        if !state.polls {
            self.give_back(&mut state);
        }
    }

    /// Waits until the reader is given back.
    pub async fn given_back(&self) -> Reader {
        loop {
            if let Some(reader) = self.take_back() {
                return reader;
            }
            self.space.notified().await;
        }
    }

    fn take_back(&self) -> Option<Reader> {
        let mut state = self.lock();
        match std::mem::take(&mut state.loan) {
            Loan::GivenBack(reader) => Some(reader),
            other => {
                state.loan = other;
                None
            }
        }
    }

    /// What the reader has found of the body stays here.
    fn give_back(&self, state: &mut State) {
        state.loan = match std::mem::take(&mut state.loan) {
            Loan::Lent(reader) => {
                if !state.discarded {
                    state.buffer.drain(..std::mem::take(&mut state.taken));
                    state.buffer.extend_from_slice(reader.content());
                }
                self.space.notify_one();
                Loan::GivenBack(reader)
            }
            other => other,
        };
    }

    /// Waits until less than `limit` bytes are buffered; once it waits, until it is half of that, so that not each of a
    /// script's small reads wakes the main thread.
    pub async fn wait_space(&self, limit: usize) {
        while self.lacks_space(limit) {
            self.space.notified().await;
        }
    }

    fn lacks_space(&self, limit: usize) -> bool {
        let mut state = self.lock();
        let full = state.buffered() >= limit;
        state.resume_at = full.then_some(limit / 2);
        full
    }

    /// Fills `out` as far as the body goes, waiting for what has not arrived. Returns the number of bytes and, where
    /// they are fewer than asked for, how the body ended. Only for PHP threads.
    pub fn read(&self, out: &mut [u8]) -> (usize, Option<BodyEnd>) {
        let mut filled = 0;
        let mut since = Instant::now();
        let mut state = self.lock();
        while filled < out.len() {
            let n = state.take(&mut out[filled..]);
            if n > 0 {
                filled += n;
                since = Instant::now();
                let left = state.buffered();
                if state.resume_at.take_if(|at| left <= *at).is_some() {
                    self.space.notify_one();
                }
            } else if let Some(end) = state.end {
                return (filled, Some(end));
            } else if state.discarded {
                return (filled, Some(BodyEnd::Complete)); // the response has ended: PHP-FPM's connection is closed then
            } else if since.elapsed() >= STALLED {
                return (filled, Some(BodyEnd::TimedOut));
            } else {
                state = self.more(state);
            }
        }
        (filled, None)
    }

    /// Reads on, or waits a while for what comes.
    fn more<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Loan::Lent(reader) = &mut state.loan else {
            state.awaited = true;
            let woken = self.arrived.wait_timeout(state, WAIT_SLICE);
            let mut state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.awaited = false;
            return state;
        };
        match reader.step() {
            Step::Content(bytes) => {
                let bytes = state.receive(bytes, self.length);
                if let Loan::Lent(reader) = &mut state.loan {
                    reader.cut(bytes);
                }
                if state.end.is_some() {
                    self.give_back(&mut state);
                }
            }
            Step::Nothing => {
                let wire = reader.wire().clone();
                state.polls = true;
                drop(state);
                wire.wait_readable(POLL_SLICE);
                state = self.lock();
                state.polls = false;
            }
            Step::Other => self.give_back(&mut state),
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_at_its_announced_length() {
        let body = Body::new(Some(4));
        body.push(b"abcdef");
        assert_eq!(body.ended(), Some(BodyEnd::Complete));
        let mut out = [0; 8];
        assert_eq!(body.read(&mut out), (4, Some(BodyEnd::Complete)));
        assert_eq!(&out[..4], b"abcd");
    }

    #[test]
    fn the_end_of_the_stream_tells_short_from_complete() {
        let announced = Body::new(Some(4));
        announced.push(b"ab");
        announced.end_of_stream();
        assert_eq!(announced.read(&mut [0; 4]), (2, Some(BodyEnd::Short)));

        let unknown = Body::new(None);
        unknown.push(b"ab");
        unknown.end_of_stream();
        assert_eq!(unknown.read(&mut [0; 4]), (2, Some(BodyEnd::Complete)));
    }

    #[test]
    fn a_reader_waits_for_bytes_from_another_thread() {
        let body = Body::new(Some(100_000));
        let sent: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| sent.chunks(777).for_each(|chunk| body.push(chunk)));
            let mut out = vec![0; 100_000];
            assert_eq!(body.read(&mut out).0, out.len());
            assert_eq!(out, sent);
        });
    }

    #[test]
    fn a_discarded_body_takes_no_memory() {
        let body = Body::new(None);
        body.push(b"abc");
        body.discard();
        body.push(&[0; 1000]);
        assert_eq!((body.buffered(), body.received()), (0, 1003));
    }
}

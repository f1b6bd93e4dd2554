//! A connection that waits for whoever has time for it: a PHP thread that reads the next request and runs it, or the main
//! thread.
//!
//! What a PHP thread reads is one whole request, as web servers send them. Whatever else it finds, from half a request to
//! nonsense, is the main thread's (see [`super::connection`]): the bytes read so far, on a connection as it was before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ftm_fastcgi::{Decoder, Event, Params, Role};

use super::connections::{ConnectionSettings, READ_BUFFER};
use super::open::OpenConnection;
use super::request::Request;
use super::wire::{Wire, read_more};
use crate::pool::PageNames;

/// What a thread keeps for reading, in bytes.
const LARGE: usize = 2 * READ_BUFFER;

/// How long a PHP thread waits for the rest of a request before it is the main thread's. A web server that reads a body from a
/// file writes it in pieces.
const BRIEFLY: Duration = Duration::from_millis(2);

/// A connection without a request under way.
pub struct Direct {
    /// Its socket.
    pub wire: Arc<Wire>,
    /// What it has said so far.
    pub decoder: Decoder,
    /// When it was accepted.
    pub accepted: Instant,
    /// Something has been read.
    pub spoken: bool,
    /// How long it has waited before something was; of a kept connection, nobody knows.
    pub waited: Duration,
    /// Its place in the lobby, if it has one.
    pub(super) place: Option<u64>,
    _open: OpenConnection,
}

/// What a PHP thread has found on a connection.
pub enum Found {
    /// A request, all of it.
    Request(Arc<Request>),
    /// Not a byte.
    Nothing,
    /// Its client has left.
    End,
    /// What is the main thread's.
    Other,
}

/// A request that is arriving.
struct Arriving {
    id: u16,
    role: Role,
    keep_conn: bool,
    begun: Instant,
    params: Option<Params>,
    body: Vec<u8>,
    ended: bool,
}

impl Direct {
    /// A connection that was just accepted.
    pub fn new(wire: Wire, settings: &ConnectionSettings, open: OpenConnection) -> Direct {
        Direct {
            wire: Arc::new(wire),
            decoder: Decoder::new(settings.limits),
            accepted: Instant::now(),
            spoken: false,
            waited: Duration::ZERO,
            place: None,
            _open: open,
        }
    }

    /// Reads what has come, into `input`. Waits for the rest of a request only [`BRIEFLY`].
    pub fn read(&mut self, input: &mut Vec<u8>, settings: &ConnectionSettings, names: &PageNames) -> Found {
        self.waited = if self.spoken { Duration::ZERO } else { self.accepted.elapsed() };
        let before = self.decoder.clone();
        let found = self.read_request(input, settings, names);
        if matches!(found, Found::Other) {
            self.decoder = before;
        }
        self.spoken |= !input.is_empty();
        found
    }

    fn read_request(&mut self, input: &mut Vec<u8>, settings: &ConnectionSettings, names: &PageNames) -> Found {
        input.clear();
        input.shrink_to(LARGE); // after a large one
        let mut arriving: Option<Arriving> = None;
        let mut deadline = None;
        loop {
            if input.len() > settings.body_buffer {
                return Found::Other;
            }
            input.reserve(READ_BUFFER);
            let start = input.len();
            match read_more(&self.wire, input) {
                Ok(0) if start > 0 => return Found::Other,
                Ok(0) => return Found::End,
                Ok(_) => {}
                Err(nix::Error::EINTR) => continue,
                Err(nix::Error::EAGAIN) if start == 0 => return Found::Nothing,
                Err(nix::Error::EAGAIN) if arriving.as_ref().is_some_and(|arriving| arriving.ended) => break,
                Err(nix::Error::EAGAIN) => {
                    let now = Instant::now();
                    let left = deadline.get_or_insert(now + BRIEFLY).saturating_duration_since(now);
                    if left.is_zero() || arriving.as_ref().is_some_and(|arriving| !arriving.is_worth_waiting(settings))
                    {
                        return Found::Other;
                    }
                    self.wire.wait_readable(left);
                    continue;
                }
                Err(_) => return Found::End,
            }
            let mut rest = &input[start..];
            loop {
                match self.decoder.decode(&mut rest) {
                    Ok(None) => break,
                    Ok(Some(event)) => {
                        if !Arriving::take(&mut arriving, event) {
                            return Found::Other;
                        }
                    }
                    Err(_) => return Found::Other,
                }
            }
            // With a full buffer, there may be more that no further event tells of.
            if input.len() < input.capacity() && arriving.as_ref().is_some_and(|arriving| arriving.ended) {
                break;
            }
        }
        arriving.and_then(|whole| whole.request(&self.wire, names)).map_or(Found::Other, Found::Request)
    }
}

impl Arriving {
    /// False: this is none of the events that one request consists of.
    fn take(arriving: &mut Option<Arriving>, event: Event<'_>) -> bool {
        match (event, arriving) {
            (Event::Begin { id, role, keep_conn }, arriving @ None) => {
                let (begun, body) = (Instant::now(), Vec::new());
                *arriving = Some(Arriving { id, role, keep_conn, begun, params: None, body, ended: false });
            }
            // The decoder sees to it that these are of the one request that has begun.
            (Event::Params { params, .. }, Some(arriving)) => arriving.params = Some(params),
            (Event::Stdin { data, .. }, Some(arriving)) => arriving.body.extend_from_slice(data),
            (Event::StdinEnd { .. }, Some(arriving)) => arriving.ended = true,
            _ => return false,
        }
        true
    }

    /// Whether a script may begin when what is missing has come, and not before.
    fn is_worth_waiting(&self, settings: &ConnectionSettings) -> bool {
        let Some(params) = &self.params else { return true };
        match Request::length_of_body(params) {
            Some(length) => length <= settings.body_buffer as u64,
            None => !Request::has_no_body(params),
        }
    }

    /// `None`: it is not for a PHP thread.
    fn request(self, wire: &Arc<Wire>, names: &PageNames) -> Option<Arc<Request>> {
        let params = self.params.filter(|params| Request::is_whole(params, self.body.len()) && !names.any(params))?;
        wire.begin();
        let request = Request::new(self.id, self.role, self.keep_conn, wire.clone(), params, self.begun);
        request.body().fill(self.body);
        request.end_of_stream();
        Some(Arc::new(request))
    }
}

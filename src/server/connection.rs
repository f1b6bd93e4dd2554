//! The read side of a connection: bytes to requests, requests to the dispatcher.
//!
//! ```text
//!  Begin ──> Params ──> buffering the body ──> dispatched ──> finished by a PHP thread
//!    │          │              │                   │
//!    └──────────┴──────────────┴───────────────────┴─ Abort, end of file, deadline: answered or dropped
//! ```
//!
//! A connection comes here when it has something to say that is no whole request (see [`super::direct`]), when its request takes
//! long, or its client reads slowly, and leaves when it is idle. The read buffer is shared by all of them.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ftm_fastcgi::{Event, ProtocolStatus, end_request};
use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;

use super::connections::{Connections, READ_BUFFER};
use super::direct::Direct;
use super::drain::drain;
use super::entry::{Entry, PARAMS_DEADLINE, Stage, refuse};
use super::lobby::Handed;
use super::reader::Reader;
use super::request::Request;
use super::watch::watch;
use super::wire::{Wire, read_now};
use super::{BodyEnd, Gone};
use crate::observe::log;

/// How long after it was accepted a connection may wait with its first byte while the pool stops. PHP-FPM gives as long.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// How long a client may take to close a connection whose last response has ended.
const LINGER: Duration = Duration::from_secs(5);

/// Body bytes of one request that may wait while another request of the same connection has none.
const STARVED_LIMIT: usize = 16 << 20;

/// How often a connection is looked at whose state may change without an event.
const CHECK: Duration = Duration::from_secs(1);

/// The wire, for tokio to register.
struct WireFd(Arc<Wire>);

impl AsFd for WireFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for WireFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// How a connection's time here ended.
pub enum Leave {
    /// The client has left, or is to.
    Closed,
    /// The successor serves it.
    HandedOver,
    /// PHP threads read what it has to say.
    ForThreads,
}

/// A connection of a web server.
pub struct Connection {
    direct: Direct,
    /// The same as that of `direct`.
    wire: Arc<Wire>,
    entries: Vec<Entry>,
    /// What PHP threads have read and left to this one.
    unread: Vec<u8>,
    /// A PHP thread has read here before.
    lent: bool,
    /// It has found what only this one reads.
    returned: bool,
    /// The client has ended its sending, and reads on.
    read_closed: bool,
    /// The client has ended its sending.
    ended: bool,
    shared: Rc<Connections>,
}

impl Connection {
    /// Takes over a connection.
    pub fn new(handed: Handed, shared: Rc<Connections>) -> Connection {
        let Handed { direct, bytes, request } = handed;
        let entries = request.map(|request| Entry::running(&request, Stage::Dispatched(request.clone())));
        direct.wire.watch();
        Connection {
            wire: direct.wire.clone(),
            direct,
            entries: entries.into_iter().collect(),
            unread: bytes,
            lent: false,
            returned: false,
            read_closed: false,
            ended: false,
            shared,
        }
    }

    /// Back to what it was, with nothing under way.
    pub fn into_direct(self) -> Direct {
        self.wire.unwatch();
        self.direct
    }

    /// Serves it until it ends.
    ///
    /// # Errors
    ///
    /// What came is no FastCGI, or the socket cannot be watched.
    pub async fn run(&mut self) -> Result<Leave, Box<dyn std::error::Error>> {
        let mut socket = watch(WireFd(self.wire.clone()), Interest::READABLE)?;
        let mut stop = self.shared.stop();
        let mut stopping = *stop.borrow_and_update();
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            self.take(&unread)?;
        }
        loop {
            self.forget_finished();
            if stopping && self.handed_over() {
                return Ok(Leave::HandedOver);
            }
            if stopping && !self.has_successor() && !self.may_still_speak() {
                self.wire.close_after_requests();
                if self.is_idle() {
                    return Ok(Leave::Closed);
                }
            }
            if self.wire.shut_for().is_some_and(|since| since >= LINGER) {
                return Ok(Leave::Closed);
            }
            if let Some(request) = self.streaming() {
                drop(socket); // each piece that comes would wake this thread
                if !self.lend(request).await? {
                    return Ok(Leave::Closed);
                }
                socket = watch(WireFd(self.wire.clone()), Interest::READABLE)?;
                continue;
            }
            let held = self.held();
            let deadline = self.next_deadline(held.is_some() || stopping || self.read_closed);
            tokio::select! {
                guard = socket.readable(), if held.is_none() && !self.read_closed => {
                    self.forget_finished();
                    // The next request is the successor's, if the former ones have just ended.
                    if stopping && self.handed_over() {
                        return Ok(Leave::HandedOver);
                    }
                    if !stopping && self.is_idle() && self.wire.stays_open() && self.shared.any_thread_ready() {
                        return Ok(Leave::ForThreads);
                    }
                    if !self.read(&mut guard?)? {
                        return Ok(Leave::Closed);
                    }
                }
                () = released(held.as_ref(), self.body_limit()), if held.is_some() => {}
                () = self.wire.drain_wanted() => drop(tokio::task::spawn_local(drain(self.wire.clone()))),
                () = sleep_until(deadline) => {
                    if (self.read_closed || held.is_some()) && self.client_left() {
                        return Ok(Leave::Closed);
                    }
                    self.check_deadlines();
                }
                _ = stop.changed() => stopping = true,
            }
        }
    }

    /// The request whose script is to read the rest of its body itself: a large one, of the only request here. Once more, if
    /// the script waits for it.
    fn streaming(&self) -> Option<Arc<Request>> {
        let [Entry { stage: Stage::Dispatched(request), .. }] = &self.entries[..] else { return None };
        let body = request.body();
        let streams = body.received() >= self.body_limit() as u64 && body.ended().is_none() && !request.finished();
        (streams && (!self.lent || body.awaited()) && !self.returned && !self.read_closed).then(|| request.clone())
    }

    /// Has the PHP thread of the request read from the connection, until there is something that is not the request's body.
    /// False when the client has left.
    async fn lend(&mut self, request: Arc<Request>) -> Result<bool, ftm_fastcgi::Error> {
        self.lent = true;
        request.body().lend(Reader::new(self.wire.clone(), request.id(), self.direct.decoder.clone()));
        loop {
            tokio::select! {
                reader = request.body().given_back() => {
                    let (decoder, unread) = reader.into_parts();
                    self.direct.decoder = decoder;
                    self.returned = true;
                    self.forget_finished();
                    self.take(&unread)?;
                    return Ok(true);
                }
                () = self.wire.drain_wanted() => drop(tokio::task::spawn_local(drain(self.wire.clone()))),
                () = sleep_until(self.next_deadline(true)) => {
                    if self.client_left() {
                        return Ok(false);
                    }
                    self.check_deadlines();
                    request.body().recall();
                }
            }
        }
    }

    /// Whether the client has left, as far as that can be told without reading. On a unix socket it may have ended its sending
    /// only.
    fn client_left(&self) -> bool {
        self.wire.hung_up(!self.wire.is_unix())
    }

    fn has_successor(&self) -> bool {
        self.shared.successor().is_some()
    }

    /// Gives the connection to the successor, if there is one and nothing is under way here. Bytes that the client has
    /// sent meanwhile wait in the socket.
    fn handed_over(&self) -> bool {
        let successor = self.shared.successor();
        let Some(successor) = successor.as_ref().filter(|_| self.is_idle() && self.wire.stays_open()) else {
            return false;
        };
        let socket = self.wire.as_fd().try_clone_to_owned();
        socket.is_ok_and(|socket| successor.send(socket).is_ok())
    }

    /// Whether nothing is under way: no request, no part of one, no byte that the client has not taken.
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.direct.decoder.is_idle() && self.wire.quiet()
    }

    /// At a graceful stop: whether a request is about to be read. Its client connected in good faith, and has a while for
    /// its first byte; what lies in the socket already is served too.
    fn may_still_speak(&self) -> bool {
        let fresh = !self.direct.spoken && self.direct.accepted.elapsed() < FIRST_BYTE;
        fresh || (self.entries.is_empty() && self.wire.readable())
    }

    fn body_limit(&self) -> usize {
        self.shared.settings().body_buffer.max(READ_BUFFER)
    }

    /// Why nothing is read from the client for now, which holds it back: a script has as much of its body waiting as it
    /// may, or the client does not read what it asked for.
    fn held(&self) -> Option<Held> {
        let dispatched = || {
            self.entries.iter().filter_map(|entry| match &entry.stage {
                Stage::Dispatched(request) if !request.finished() => Some(request),
                _ => None,
            })
        };
        // While another script of this connection waits for bytes, reading goes on: they may stand behind the full body's,
        // whose script may itself wait for the other to end. Up to a limit, or this would be unbounded.
        let starved = dispatched().any(|request| request.body().buffered() == 0 && request.body().ended().is_none());
        let limit = if starved { self.body_limit().max(STARVED_LIMIT) } else { self.body_limit() };
        match dispatched().find(|request| request.body().buffered() >= limit) {
            Some(request) => Some(Held::Body(request.clone())),
            None => self.wire.congested().then_some(Held::Replies),
        }
    }

    /// Reads once and handles what came. False when the client has left.
    fn read(&mut self, guard: &mut AsyncFdReadyGuard<'_, WireFd>) -> Result<bool, ftm_fastcgi::Error> {
        let shared = self.shared.clone();
        let mut buffer = shared.buffer();
        self.returned = false;
        let n = match read_now(&self.wire, &mut buffer) {
            Ok(0) => {
                self.ended = true;
                return Ok(self.end_of_input());
            }
            Ok(n) => n,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {
                guard.clear_ready();
                return Ok(true);
            }
            Err(_) => return Ok(false),
        };
        if n < buffer.len() {
            // The socket is drained: what comes later is told by a new event.
            guard.clear_ready();
        }
        self.forget_finished();
        self.take(&buffer[..n])?;
        Ok(true)
    }

    /// Handles bytes of the client.
    fn take(&mut self, mut input: &[u8]) -> Result<(), ftm_fastcgi::Error> {
        self.direct.spoken = true;
        while let Some(event) = self.direct.decoder.decode(&mut input)? {
            self.handle(event);
        }
        Ok(())
    }

    /// The client sends no more. Who only ended his sending still reads: on a unix socket that can be told apart from one
    /// who has closed. False when nothing is left to do for this one.
    fn end_of_input(&mut self) -> bool {
        if self.is_idle() || !self.wire.is_unix() || self.wire.hung_up(false) {
            return false;
        }
        self.read_closed = true;
        let ids: Vec<u16> = self.entries.iter().map(|entry| entry.id).collect();
        for id in ids {
            self.with_body(id, |request| {
                // Bytes of a stream that never ended are no whole body; but some clients send no end for none at all.
                let none = request.body().length().is_none() && request.body().received() == 0;
                request.body().end(if none { BodyEnd::Complete } else { BodyEnd::Short });
            });
        }
        self.entries.retain(|entry| {
            if entry.request().is_none() {
                self.wire.forget(); // its parameters will never be complete
            }
            entry.request().is_some()
        });
        self.wire.close_after_requests();
        self.forget_finished();
        !self.is_idle()
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Begin { id, role, keep_conn } => {
                self.wire.begin();
                self.shared.pages().count_request();
                self.entries.push(Entry { id, role, keep_conn, begun: Instant::now(), stage: Stage::Params });
            }
            Event::Params { id, params } => self.params_complete(id, params),
            Event::ParamsTooLarge { id } => self.refuse_params(id),
            Event::Stdin { id, data } => self.with_body(id, |request| request.body().push(data)),
            Event::StdinEnd { id } => self.with_body(id, Request::end_of_stream),
            Event::Abort { id } => self.abort(id),
            Event::Reply { bytes, close } => {
                // A peer that has gone does not need the reply.
                let _ = self.wire.post(&[IoSlice::new(&bytes)]);
                if close {
                    self.wire.close_after_requests();
                }
            }
        }
    }

    fn entry(&mut self, id: u16) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    fn params_complete(&mut self, id: u16, params: ftm_fastcgi::Params) {
        let (wire, shared) = (self.wire.clone(), self.shared.clone());
        let Some(entry) = self.entry(id) else { return };
        let page = shared.pages().find(&params);
        let request = Arc::new(Request::new(id, entry.role, entry.keep_conn, wire.clone(), params, entry.begun));
        if let Some(page) = page {
            // Whatever body it has is dropped as it comes. A client that leaves answers unread gets no more of them.
            if wire.congested() {
                refuse(shared.pages(), &request, "503 Service Unavailable");
            } else {
                let response = shared.pages().render(&page);
                shared.pages().log(&request, &request.take_params(), "200 OK", &response);
                request.reply(&response);
            }
            entry.stage = Stage::Dispatched(request);
            return self.forget_finished();
        }
        let no_body = request.body().length().is_none() && request.starts_without_body();
        entry.stage = Stage::Buffering(request);
        self.dispatch_if_ready(id, no_body);
    }

    fn refuse_params(&mut self, id: u16) {
        let limit = self.shared.settings().limits.params;
        log::warning!("a request's parameters exceed request_params_limit ({limit} bytes): refused with 431");
        let wire = self.wire.clone();
        if let Some(entry) = self.entry(id) {
            let request = Request::new(id, entry.role, entry.keep_conn, wire, ftm_fastcgi::Params::new(), entry.begun);
            request.refuse("431 Request Header Fields Too Large");
            entry.stage = Stage::Dispatched(Arc::new(request));
        }
        self.forget_finished();
    }

    fn with_body(&mut self, id: u16, act: impl FnOnce(&Request)) {
        if let Some(request) = self.entry(id).and_then(|entry| entry.request().cloned()) {
            act(&request);
            self.dispatch_if_ready(id, false);
        }
    }

    /// Hands a buffering request over once its body is complete, or too large to be buffered whole.
    fn dispatch_if_ready(&mut self, id: u16, now: bool) {
        let limit = self.shared.settings().body_buffer;
        let shared = self.shared.clone();
        let Some(entry) = self.entry(id) else { return };
        let Stage::Buffering(request) = &entry.stage else { return };
        let request = request.clone();
        match request.body().ended() {
            Some(BodyEnd::Short) => {
                let announced = request.body().length().map_or(String::new(), |length| format!(" of {length}"));
                log::warning!(
                    "a request body broke off after {}{announced} bytes: refused with 400",
                    request.body().received()
                );
                refuse(shared.pages(), &request, "400 Bad Request");
            }
            Some(_) => shared.dispatcher().submit(request.clone()),
            None if now || request.body().buffered() >= limit => shared.dispatcher().submit(request.clone()),
            None => return,
        }
        entry.stage = Stage::Dispatched(request);
    }

    fn abort(&mut self, id: u16) {
        let Some(at) = self.entries.iter().position(|entry| entry.id == id) else { return };
        match &self.entries[at].stage {
            Stage::Params => {
                let end = end_request(id, 0, ProtocolStatus::RequestComplete);
                // A peer that has gone does not need the reply.
                let _: Result<(), Gone> = self.wire.finish(&[IoSlice::new(&end)], self.entries[at].keep_conn);
                self.direct.decoder.finish(id);
                self.entries.remove(at);
            }
            Stage::Buffering(request) => drop(request.finish(&[], &[], 0)),
            Stage::Dispatched(request) => self.shared.abort(request),
        }
    }

    /// Requests that PHP threads have ended: their ids may be used again.
    fn forget_finished(&mut self) {
        let decoder = &mut self.direct.decoder;
        self.entries.retain(|entry| {
            let finished = entry.request().is_some_and(|request| request.finished());
            if finished {
                decoder.finish(entry.id);
            }
            !finished
        });
    }

    /// `check`: the connection is to be looked at now and then.
    fn next_deadline(&self, check: bool) -> Option<Instant> {
        let linger = self.wire.shut_for().map(|since| Instant::now() + LINGER.saturating_sub(since));
        // PHP threads do not wake this one: neither when they have shut a connection without FCGI_KEEP_CONN, nor for a
        // client that leaves while nothing is read from it.
        let check = check || self.entries.iter().any(|entry| !entry.keep_conn);
        let check = check.then(|| Instant::now() + CHECK);
        let entries = self.entries.iter().filter_map(|entry| entry.deadline(self.shared.settings()));
        entries.chain(linger).chain(check).min()
    }

    fn check_deadlines(&mut self) {
        let now = Instant::now();
        let due = |entry: &Entry| entry.deadline(self.shared.settings()).is_some_and(|deadline| deadline <= now);
        let late: Vec<u16> = self.entries.iter().filter(|entry| due(entry)).map(|entry| entry.id).collect();
        for id in late {
            let (wire, shared) = (self.wire.clone(), self.shared.clone());
            let Some(entry) = self.entry(id) else { continue };
            match &entry.stage {
                Stage::Params => {
                    log::warning!("a request's parameters did not arrive within {PARAMS_DEADLINE:?}");
                    let params = ftm_fastcgi::Params::new();
                    let request = Request::new(id, entry.role, entry.keep_conn, wire, params, entry.begun);
                    request.refuse("408 Request Timeout");
                    entry.stage = Stage::Dispatched(Arc::new(request));
                }
                Stage::Buffering(request) => {
                    log::warning!(
                        "a request body did not arrive within max_input_time ({} bytes did): refused with 408",
                        request.body().received()
                    );
                    refuse(shared.pages(), request, "408 Request Timeout");
                }
                Stage::Dispatched(request) => request.body().end(BodyEnd::TimedOut),
            }
        }
    }

    /// The connection is over: whatever is under way has lost its client.
    pub fn hang_up(&mut self) {
        // Where both sides have ended, there is nothing left to end.
        if !self.ended || self.wire.shut_for().is_none() {
            self.wire.hang_up();
        }
        for entry in self.entries.drain(..) {
            if let Some(request) = entry.request() {
                self.shared.abort(request);
            }
        }
    }
}

/// See [`Connection::held`].
enum Held {
    Body(Arc<Request>),
    Replies,
}

/// Waits until the reason is gone, as far as an event tells.
async fn released(held: Option<&Held>, body_limit: usize) {
    match held {
        Some(Held::Body(request)) => request.body().wait_space(body_limit).await,
        Some(Held::Replies) | None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

//! The state of one connection.
//!
//! ```text
//!  records     Header ──► Begin | Params | ParamsEnd | Stdin | StdinEnd | Values | Skip ──► Skip (padding) ──► Header
//!
//!  a request   BEGIN ──► Params ──────► Stdin ──────► Answering ──┐
//!                          │ ABORT,       │ ABORT        │ ABORT  ├─ finish() ──► unknown, its records are skipped
//!                          │ too large    ▼              ▼        │
//!                          └───────────► Over ◄──────────┘ ───────┘       (finish() is possible in every state)
//! ```

use crate::error::Error;
use crate::event::Event;
use crate::pairs::{Pairs, TooLarge};
use crate::record::{self, HEADER_LEN, Kind, ProtocolStatus, Role, VERSION};
use std::collections::BTreeMap;

/// [`Limits::params`] unless told otherwise: 1 MiB. (php-fpm has no limit but that of a record for each pair.)
pub const DEFAULT_PARAMS_LIMIT: usize = 1 << 20;

/// The largest [`Limits::params`] that is respected: 1 GiB.
pub const MAX_PARAMS_LIMIT: usize = 1 << 30;

/// [`Limits::requests`] unless told otherwise.
pub const DEFAULT_REQUESTS_LIMIT: usize = 128;

/// Bytes of content of a BEGIN_REQUEST (§5.1).
const BEGIN_LEN: usize = 8;

/// FCGI_KEEP_CONN in the flags of a BEGIN_REQUEST.
const KEEP_CONN: u8 = 1;

/// What one connection may ask for, and what GET_VALUES is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the PARAMS stream of one request, the lengths of names and values included. What exceeds it ends in
    /// [`Event::ParamsTooLarge`]. At most [`MAX_PARAMS_LIMIT`]. The memory used is up to twelve times as much, if
    /// the pairs are of the smallest, and only for what has really arrived.
    pub params: usize,
    /// Requests active at once on the connection; one more is refused with OVERLOADED. Each of them may hold parameters,
    /// so a connection holds at most `requests` times what [`Limits::params`] allows.
    pub requests: usize,
    /// The answer to FCGI_MAX_CONNS: how many connections the server takes at once.
    pub max_conns: u32,
    /// The answer to FCGI_MAX_REQS: how many requests the server takes at once.
    pub max_reqs: u32,
}

impl Limits {
    /// The default limits, with these answers to FCGI_MAX_CONNS and FCGI_MAX_REQS.
    pub const fn new(max_conns: u32, max_reqs: u32) -> Self {
        Self { params: DEFAULT_PARAMS_LIMIT, requests: DEFAULT_REQUESTS_LIMIT, max_conns, max_reqs }
    }
}

/// Turns the bytes of one connection into [`Event`]s. See the [crate] for what it promises.
///
/// Records the specification tells applications to ignore are skipped silently: those of requests that are not active
/// (§3.3; refused, finished or never begun), of types unknown for a request, and what follows the end of a stream.
/// FCGI_DATA, the second body of the Filter role, is skipped as well: php-fpm has no way to show it to a script.
#[derive(Clone)]
pub struct Decoder {
    limits: Limits,
    requests: BTreeMap<u16, Request>,
    /// The header of the record in progress or, in [`Task::Begin`], its content.
    bytes: [u8; HEADER_LEN],
    /// How many of `bytes` are there.
    have: u8,
    /// The padding of the record in progress.
    padding: u8,
    /// The request id of the record in progress.
    id: u16,
    /// The content of the record in progress that is still to come.
    left: u16,
    task: Task,
    /// Bytes consumed since the start of the connection.
    consumed: u64,
    /// Where the record in progress began, counted like `consumed`.
    record: u64,
}

/// How far a request has come.
#[derive(Clone)]
enum Request {
    /// Its PARAMS stream is open.
    Params(Box<Pairs>),
    /// Its STDIN stream is open.
    Stdin,
    /// Both have ended; only an ABORT is of interest.
    Answering,
    /// Aborted or too large: nothing is of interest.
    Over,
}

/// What is done with the next bytes.
#[derive(Clone)]
enum Task {
    /// They are a record's header.
    Header,
    /// They are the content of a BEGIN_REQUEST.
    Begin,
    /// They are part of a PARAMS stream.
    Params,
    /// No bytes are needed: a PARAMS stream has ended.
    ParamsEnd,
    /// They are part of a STDIN stream.
    Stdin,
    /// No bytes are needed: a STDIN stream has ended.
    StdinEnd,
    /// They are the content of a GET_VALUES.
    Values(Box<Pairs>),
    /// They are of no interest: ignored content, or padding.
    Skip,
    /// None will be taken.
    Failed(Error),
}

impl Decoder {
    /// The state of a connection on which nothing has arrived. Allocates nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits { params: limits.params.min(MAX_PARAMS_LIMIT), ..limits },
            requests: BTreeMap::new(),
            bytes: [0; HEADER_LEN],
            have: 0,
            padding: 0,
            id: 0,
            left: 0,
            task: Task::Header,
            consumed: 0,
            record: 0,
        }
    }

    /// Takes bytes from the front of `input` up to the next event. `None` says that all of `input` was taken and more
    /// is needed; until then there may be events even if `input` is empty.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol: the connection is to be closed. The error is repeated from then on.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Error> {
        let result = self.step(input);
        if let Err(error) = result {
            self.task = Task::Failed(error);
        }
        result
    }

    /// The server has ended the request `id` (its END_REQUEST is sent): it is active no more, what the peer still sends
    /// for it is skipped, and a new BEGIN_REQUEST may use the id. Nothing happens if it is not active.
    ///
    /// The peer may reuse the id as soon as it has read the END_REQUEST. Therefore `finish` must be called before any
    /// byte is decoded that was read from the connection after the END_REQUEST was written to it.
    pub fn finish(&mut self, id: u16) {
        self.requests.remove(&id);
    }

    /// The number of requests that have begun and not finished.
    pub fn active(&self) -> usize {
        self.requests.len()
    }

    /// Whether the connection can be closed without loss: no request is active and no record in progress.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && matches!(self.task, Task::Header) && self.have == 0
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Error> {
        loop {
            match &mut self.task {
                Task::Header => {
                    if self.have == 0 {
                        let Some(&version) = input.first() else {
                            return Ok(None);
                        };
                        self.record = self.consumed;
                        if version != VERSION {
                            return Err(Error::Version { version, offset: self.record });
                        }
                    }
                    if !self.fill(input) {
                        return Ok(None);
                    }
                    if let Some(event) = self.start_record()? {
                        return Ok(Some(event));
                    }
                }
                Task::Begin => {
                    if !self.fill(input) {
                        return Ok(None);
                    }
                    self.end_record();
                    return Ok(Some(self.begin()));
                }
                Task::Params => {
                    let Some(bytes) = self.content(input) else {
                        return Ok(None);
                    };
                    let Some(request) = self.requests.get_mut(&self.id) else {
                        continue;
                    };
                    let Request::Params(pairs) = request else {
                        continue;
                    };
                    if let Err(TooLarge) = pairs.feed(bytes, self.limits.params) {
                        *request = Request::Over;
                        return Ok(Some(Event::ParamsTooLarge { id: self.id }));
                    }
                }
                Task::ParamsEnd => {
                    self.end_record();
                    if let Some(event) = self.end_params()? {
                        return Ok(Some(event));
                    }
                }
                Task::Stdin => {
                    if let Some(event) = self.end_params()? {
                        return Ok(Some(event));
                    }
                    let Some(data) = self.content(input) else {
                        return Ok(None);
                    };
                    if let Some(Request::Stdin) = self.requests.get(&self.id) {
                        return Ok(Some(Event::Stdin { id: self.id, data }));
                    }
                }
                Task::StdinEnd => {
                    if let Some(event) = self.end_params()? {
                        return Ok(Some(event));
                    }
                    self.end_record();
                    if let Some(request @ Request::Stdin) = self.requests.get_mut(&self.id) {
                        *request = Request::Answering;
                        return Ok(Some(Event::StdinEnd { id: self.id }));
                    }
                }
                Task::Values(pairs) => {
                    let bytes = take(input, self.left.into());
                    self.consumed += bytes.len() as u64;
                    self.left -= bytes.len() as u16;
                    let cut = Error::PairCut { id: 0, offset: self.record };
                    // A pair beyond the longest record ends outside this one as well.
                    pairs.feed(bytes, u16::MAX.into()).map_err(|TooLarge| cut)?;
                    if self.left > 0 {
                        return Ok(None);
                    }
                    let asked = std::mem::take(&mut **pairs).finish().ok_or(cut)?;
                    self.end_record();
                    let bytes = record::values_result(&asked, self.limits.max_conns, self.limits.max_reqs);
                    return Ok(Some(Event::Reply { bytes, close: false }));
                }
                Task::Skip => {
                    if self.content(input).is_none() {
                        return Ok(None);
                    }
                }
                Task::Failed(error) => return Err(*error),
            }
        }
    }

    /// Decides by its header what is done with a record.
    fn start_record<'a>(&mut self) -> Result<Option<Event<'a>>, Error> {
        let [_, kind, id_high, id_low, len_high, len_low, padding, _] = self.bytes;
        let id = u16::from_be_bytes([id_high, id_low]);
        let len = u16::from_be_bytes([len_high, len_low]);
        (self.id, self.left, self.padding) = (id, len, padding);
        match (Kind::from_u8(kind), id) {
            // php-fpm answers it under any id, always with id 0.
            (Some(Kind::GetValues), _) => self.task = Task::Values(Box::default()),
            (_, 0) => {
                self.skip();
                return Ok(Some(Event::Reply { bytes: record::unknown_type(kind).into(), close: false }));
            }
            (Some(Kind::BeginRequest), _) => {
                if usize::from(len) != BEGIN_LEN {
                    return Err(Error::BeginLength { id, len, offset: self.record });
                }
                if self.requests.contains_key(&id) {
                    return Err(Error::BeginActive { id, offset: self.record });
                }
                self.have = 0;
                self.task = Task::Begin;
            }
            _ if self.record == 0 => return Err(Error::First { kind, id }),
            (Some(Kind::Params), _) => self.task = if len == 0 { Task::ParamsEnd } else { Task::Params },
            (Some(Kind::Stdin), _) => self.task = if len == 0 { Task::StdinEnd } else { Task::Stdin },
            (Some(Kind::AbortRequest), _) => {
                self.skip();
                if let Some(request @ (Request::Params(_) | Request::Stdin | Request::Answering)) =
                    self.requests.get_mut(&id)
                {
                    *request = Request::Over;
                    return Ok(Some(Event::Abort { id }));
                }
            }
            _ => self.skip(),
        }
        Ok(None)
    }

    /// Acts on the complete content of a BEGIN_REQUEST.
    fn begin<'a>(&mut self) -> Event<'a> {
        let id = self.id;
        let [role_high, role_low, flags, ..] = self.bytes;
        let keep_conn = flags & KEEP_CONN != 0;
        let refuse = |status| Event::Reply { bytes: record::end_request(id, 0, status).into(), close: !keep_conn };
        let Some(role) = Role::from_u16(u16::from_be_bytes([role_high, role_low])) else {
            return refuse(ProtocolStatus::UnknownRole);
        };
        if self.requests.len() >= self.limits.requests {
            return refuse(ProtocolStatus::Overloaded);
        }
        self.requests.insert(id, Request::Params(Box::default()));
        Event::Begin { id, role, keep_conn }
    }

    /// Ends the PARAMS stream of the request at hand, if it is open.
    fn end_params<'a>(&mut self) -> Result<Option<Event<'a>>, Error> {
        let id = self.id;
        let Some(request @ Request::Params(_)) = self.requests.get_mut(&id) else {
            return Ok(None);
        };
        let Request::Params(pairs) = std::mem::replace(request, Request::Stdin) else {
            return Ok(None);
        };
        let params = pairs.finish().ok_or(Error::PairCut { id, offset: self.record })?;
        Ok(Some(Event::Params { id, params }))
    }

    /// Completes `bytes`; whether it is complete.
    fn fill(&mut self, input: &mut &[u8]) -> bool {
        let have = usize::from(self.have);
        let new = take(input, HEADER_LEN - have);
        self.bytes[have..][..new.len()].copy_from_slice(new);
        self.have += new.len() as u8;
        self.consumed += new.len() as u64;
        usize::from(self.have) == HEADER_LEN
    }

    /// Takes what is there of the rest of the content, which is not empty; `None` if nothing is there.
    fn content<'a>(&mut self, input: &mut &'a [u8]) -> Option<&'a [u8]> {
        let bytes = take(input, self.left.into());
        if bytes.is_empty() {
            return None;
        }
        self.consumed += bytes.len() as u64;
        self.left -= bytes.len() as u16;
        if self.left == 0 {
            self.end_record();
        }
        Some(bytes)
    }

    /// Skips the content of the record at hand.
    fn skip(&mut self) {
        if self.left == 0 {
            self.end_record();
        } else {
            self.task = Task::Skip;
        }
    }

    /// Goes from the end of a record's content to its padding, and from there to the next record.
    fn end_record(&mut self) {
        self.left = std::mem::take(&mut self.padding).into();
        self.have = 0;
        self.task = if self.left == 0 { Task::Header } else { Task::Skip };
    }
}

/// Takes up to `most` bytes from the front of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(input.len().min(most));
    *input = rest;
    taken
}

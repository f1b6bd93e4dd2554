//! A FastCGI client with control of every byte, written from the specification and independent of `ftm-fastcgi`,
//! so that a mistake there cannot hide itself here.
//!
//! ```no_run
//! use ftm_tests::{Site, Server, ServerConfig, fcgi::{Call, Conn}};
//! # let site = Site::new(); let server = Server::start(&site, ServerConfig::default());
//! let mut conn = Conn::open(server.address());
//! let answer = conn.call(1, &Call::get(&site, "/hello.php?n=1").param("HTTP_X_ODD", "").keep());
//! assert_eq!(answer.web().status, 200);
//! ```

use std::io::{self, ErrorKind, Read, Write};

use crate::http::Answer as Web;
use crate::net::{Address, Stream};
use crate::site::Site;

/// Record types (FastCGI 1.0, section 8).
pub mod kind {
    /// FCGI_BEGIN_REQUEST
    pub const BEGIN_REQUEST: u8 = 1;
    /// FCGI_ABORT_REQUEST
    pub const ABORT_REQUEST: u8 = 2;
    /// FCGI_END_REQUEST
    pub const END_REQUEST: u8 = 3;
    /// FCGI_PARAMS
    pub const PARAMS: u8 = 4;
    /// FCGI_STDIN
    pub const STDIN: u8 = 5;
    /// FCGI_STDOUT
    pub const STDOUT: u8 = 6;
    /// FCGI_STDERR
    pub const STDERR: u8 = 7;
    /// FCGI_DATA
    pub const DATA: u8 = 8;
    /// FCGI_GET_VALUES
    pub const GET_VALUES: u8 = 9;
    /// FCGI_GET_VALUES_RESULT
    pub const GET_VALUES_RESULT: u8 = 10;
    /// FCGI_UNKNOWN_TYPE
    pub const UNKNOWN_TYPE: u8 = 11;
}

/// FCGI_RESPONDER
pub const RESPONDER: u16 = 1;
/// FCGI_AUTHORIZER
pub const AUTHORIZER: u16 = 2;
/// FCGI_FILTER
pub const FILTER: u16 = 3;

/// protocolStatus FCGI_REQUEST_COMPLETE
pub const REQUEST_COMPLETE: u8 = 0;
/// protocolStatus FCGI_UNKNOWN_ROLE
pub const UNKNOWN_ROLE: u8 = 3;

/// The most content that one record holds, bytes.
pub const MAX_CONTENT: usize = 0xFFFF;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The type, see [`kind`].
    pub kind: u8,
    /// The request id; 0 for management records.
    pub id: u16,
    /// At most [`MAX_CONTENT`] bytes.
    pub content: Vec<u8>,
    /// Bytes of padding behind the content.
    pub padding: u8,
}

impl Record {
    /// A record without padding.
    pub fn new(kind: u8, id: u16, content: impl Into<Vec<u8>>) -> Self {
        Self { kind, id, content: content.into(), padding: 0 }
    }

    /// FCGI_BEGIN_REQUEST.
    pub fn begin(id: u16, role: u16, keep: bool) -> Self {
        let [high, low] = role.to_be_bytes();
        Self::new(kind::BEGIN_REQUEST, id, [high, low, u8::from(keep), 0, 0, 0, 0, 0])
    }

    /// The same record with `padding` bytes of padding.
    pub fn padded(mut self, padding: u8) -> Self {
        self.padding = padding;
        self
    }

    /// Its bytes on the wire. The padding is filled with 0xAA, which nobody may read.
    pub fn encode(&self) -> Vec<u8> {
        let [id_high, id_low] = self.id.to_be_bytes();
        let length = u16::try_from(self.content.len()).expect("content of at most 65535 bytes");
        let [len_high, len_low] = length.to_be_bytes();
        let mut bytes = vec![1, self.kind, id_high, id_low, len_high, len_low, self.padding, 0];
        bytes.extend_from_slice(&self.content);
        bytes.extend(std::iter::repeat_n(0xAA, self.padding.into()));
        bytes
    }
}

/// `data` as records of `kind` with at most `chunk` bytes each, without the empty record that ends a stream.
pub fn records(kind: u8, id: u16, data: &[u8], chunk: usize) -> Vec<u8> {
    data.chunks(chunk.min(MAX_CONTENT)).flat_map(|part| Record::new(kind, id, part).encode()).collect()
}

/// The empty record that ends a stream.
pub fn end_of(kind: u8, id: u16) -> Vec<u8> {
    Record::new(kind, id, []).encode()
}

/// Appends one name-value pair, lengths in one byte where they fit, else in four.
pub fn push_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        match u8::try_from(part.len()) {
            Ok(short) if short < 128 => out.push(short),
            _ => {
                let long = u32::try_from(part.len()).expect("a length below 2^31") | 1 << 31;
                out.extend_from_slice(&long.to_be_bytes());
            }
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// All pairs of a stream; panics if they are malformed.
pub fn parse_pairs(mut data: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fn length(data: &mut &[u8]) -> usize {
        if data[0] < 128 {
            let n = usize::from(data[0]);
            *data = &data[1..];
            n
        } else {
            let (head, rest) = data.split_at(4);
            *data = rest;
            (u32::from_be_bytes(head.try_into().expect("four bytes")) & 0x7FFF_FFFF) as usize
        }
    }
    let mut pairs = Vec::new();
    while !data.is_empty() {
        let (name_len, value_len) = (length(&mut data), length(&mut data));
        let (name, rest) = data.split_at(name_len);
        let (value, rest) = rest.split_at(value_len);
        pairs.push((name.to_vec(), value.to_vec()));
        data = rest;
    }
    pairs
}

/// One request, as a web server would send it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The params, in the order in which they are sent.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is sent on STDIN.
    pub body: Vec<u8>,
    /// FCGI_RESPONDER unless said otherwise.
    pub role: u16,
    /// FCGI_KEEP_CONN.
    pub keep_conn: bool,
}

impl Call {
    /// A GET of `uri` (path and query) on the site's docroot.
    pub fn get(site: &Site, uri: &str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let docroot = site.docroot().display().to_string();
        let call = Self { params: Vec::new(), body: Vec::new(), role: RESPONDER, keep_conn: false };
        call.param("SCRIPT_FILENAME", format!("{docroot}{path}"))
            .param("QUERY_STRING", query)
            .param("REQUEST_METHOD", "GET")
            .param("SCRIPT_NAME", path)
            .param("REQUEST_URI", uri)
            .param("DOCUMENT_ROOT", docroot)
            .param("SERVER_PROTOCOL", "HTTP/1.1")
            .param("GATEWAY_INTERFACE", "CGI/1.1")
            .param("REMOTE_ADDR", "192.0.2.1")
            .param("SERVER_NAME", "test.example")
    }

    /// A POST of `body`, with its length announced.
    pub fn post(site: &Site, uri: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut call = Self::get(site, uri).param("REQUEST_METHOD", "POST").param("CONTENT_TYPE", content_type);
        call.body = body.into();
        let length = call.body.len().to_string();
        call.param("CONTENT_LENGTH", length)
    }

    /// Sets a param: replaces one of the same name, or appends it.
    pub fn param(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.params.iter_mut().find(|(n, _)| *n == name) {
            Some(found) => found.1 = value,
            None => self.params.push((name, value)),
        }
        self
    }

    /// Leaves a param out.
    pub fn without(mut self, name: &str) -> Self {
        self.params.retain(|(n, _)| n != name.as_bytes());
        self
    }

    /// Asks the server to leave the connection open.
    pub fn keep(mut self) -> Self {
        self.keep_conn = true;
        self
    }

    /// The content of the PARAMS stream.
    pub fn param_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.params.iter().for_each(|(name, value)| push_pair(&mut out, name, value));
        out
    }

    /// The whole request on the wire.
    pub fn encode(&self, id: u16) -> Vec<u8> {
        let mut out = self.encode_head(id);
        out.extend(records(kind::STDIN, id, &self.body, MAX_CONTENT));
        out.extend(end_of(kind::STDIN, id));
        out
    }

    /// BEGIN_REQUEST and all of PARAMS, nothing of STDIN.
    pub fn encode_head(&self, id: u16) -> Vec<u8> {
        let mut out = Record::begin(id, self.role, self.keep_conn).encode();
        out.extend(records(kind::PARAMS, id, &self.param_bytes(), MAX_CONTENT));
        out.extend(end_of(kind::PARAMS, id));
        out
    }
}

/// All that came back for one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The STDOUT stream: CGI headers and body.
    pub stdout: Vec<u8>,
    /// The STDERR stream.
    pub stderr: Vec<u8>,
    /// appStatus of END_REQUEST.
    pub app_status: u32,
    /// protocolStatus of END_REQUEST.
    pub protocol_status: u8,
}

impl Answer {
    /// STDOUT read as a CGI response; panics if it is none.
    pub fn web(&self) -> Web {
        Web::from_cgi(&self.stdout)
    }

    /// The response's body as text.
    pub fn text(&self) -> String {
        self.web().text()
    }

    /// The STDERR stream as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A blocking connection; each read and write gives up at [`crate::DEADLINE`].
#[derive(Debug)]
pub struct Conn {
    /// The stream itself, for what the methods do not offer.
    pub stream: Stream,
}

impl Conn {
    /// Connects; panics if nobody listens.
    #[track_caller]
    pub fn open(address: &Address) -> Self {
        Self { stream: address.connect().unwrap_or_else(|e| panic!("connect {address}: {e}")) }
    }

    /// Sends bytes as they are; panics if the server does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send to the server");
    }

    /// The next record, with its padding removed; `None` if the server has closed the connection between records.
    pub fn read_record(&mut self) -> io::Result<Option<Record>> {
        let mut head = [0; 8];
        match self.stream.read(&mut head[..1])? {
            0 => return Ok(None),
            _ => self.stream.read_exact(&mut head[1..])?,
        }
        if head[0] != 1 {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("record of version {}", head[0])));
        }
        let mut content = vec![0; u16::from_be_bytes([head[4], head[5]]).into()];
        self.stream.read_exact(&mut content)?;
        self.stream.read_exact(&mut vec![0; head[6].into()])?;
        Ok(Some(Record { kind: head[1], id: u16::from_be_bytes([head[2], head[3]]), content, padding: head[6] }))
    }

    /// The next record; panics if there is none.
    #[track_caller]
    pub fn record(&mut self) -> Record {
        self.read_record().expect("a record").expect("a record, not the end of the connection")
    }

    /// Reads up to the END_REQUEST of request `id`; records of other requests are not allowed between.
    pub fn read_answer(&mut self, id: u16) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let record = self.read_record()?.ok_or(ErrorKind::UnexpectedEof)?;
            if record.id != id {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("record for request {}", record.id)));
            }
            if answer.take(&record) {
                return Ok(answer);
            }
        }
    }

    /// [`Conn::read_answer`]; panics if it fails.
    #[track_caller]
    pub fn answer(&mut self, id: u16) -> Answer {
        self.read_answer(id).expect("an answer")
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn call(&mut self, id: u16, call: &Call) -> Answer {
        self.send(call.encode(id));
        self.answer(id)
    }

    /// Whether the server closes the connection without a further byte.
    pub fn closed_by_server(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(e) => e.kind() == ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    /// Adds a record of this answer; true if it was the last one.
    pub fn take(&mut self, record: &Record) -> bool {
        match record.kind {
            kind::STDOUT => self.stdout.extend_from_slice(&record.content),
            kind::STDERR => self.stderr.extend_from_slice(&record.content),
            kind::END_REQUEST => {
                let body: [u8; 8] = record.content[..].try_into().expect("END_REQUEST holds 8 bytes");
                self.app_status = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
                self.protocol_status = body[4];
            }
            other => panic!("record of type {other} in an answer"),
        }
        record.kind == kind::END_REQUEST
    }
}

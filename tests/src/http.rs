//! A small HTTP/1.1 client over a blocking stream, with control of headers, chunks and the moment of reading.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use crate::net::{Address, Stream};

/// A request that is about to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with the headers `Host: test.example` and, unless it is kept alive later, `Connection: close`.
    pub fn new(method: &str, target: &str) -> Self {
        let headers = vec![("Host".to_owned(), "test.example".to_owned())];
        Self { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of `body` with its length announced.
    pub fn post(target: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).header("Content-Type", content_type).body(body)
    }

    /// Adds a header; several of one name stay several.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and announces its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// The request line and headers, with the empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            out.push_str("Connection: close\r\n");
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    /// Sends it on a connection of its own and reads the whole answer.
    #[track_caller]
    pub fn send(&self, to: &Address) -> Answer {
        self.open(to).answer().unwrap_or_else(|e| panic!("{} {}: {e}", self.method, self.target))
    }

    /// Sends it, head and body, and hands back the connection before anything is read.
    #[track_caller]
    pub fn open(&self, to: &Address) -> Exchange {
        let stream = to.connect().unwrap_or_else(|e| panic!("connect {to}: {e}"));
        let mut exchange = Exchange { reader: BufReader::new(stream), head_only: self.method == "HEAD" };
        exchange.write(&self.head()).expect("send the request's head");
        exchange.write(&self.body).expect("send the request's body");
        exchange
    }
}

/// A connection on which a request has been sent.
#[derive(Debug)]
pub struct Exchange {
    reader: BufReader<Stream>,
    head_only: bool,
}

impl Exchange {
    /// Sends further bytes of the body.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends `data` as one chunk of a chunked body; an empty one ends the body.
    pub fn write_chunk(&mut self, data: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk)
    }

    /// Reads status line and headers.
    pub fn answer_head(&mut self) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, status_line.clone()))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Answer { status, status_line, headers, body: Vec::new() })
    }

    /// Reads the body that `head` announces, handing it out piece by piece as it arrives.
    pub fn read_body(&mut self, head: &Answer, mut piece: impl FnMut(&[u8])) -> io::Result<()> {
        if self.head_only || head.status == 204 || head.status == 304 {
            return Ok(());
        }
        if head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = self.line()?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
                self.copy(size, &mut piece)?;
                self.line()?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match head.header("content-length") {
            Some(length) => self.copy(length.parse().map_err(|_| ErrorKind::InvalidData)?, &mut piece),
            None => loop {
                let part = self.reader.fill_buf()?;
                if part.is_empty() {
                    return Ok(());
                }
                piece(part);
                let n = part.len();
                self.reader.consume(n);
            },
        }
    }

    /// Reads the whole answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.answer_head()?;
        let mut body = Vec::new();
        self.read_body(&answer, |piece| body.extend_from_slice(piece))?;
        answer.body = body;
        Ok(answer)
    }

    /// The stream, to shut it down or to leave rudely.
    pub fn into_stream(self) -> Stream {
        self.reader.into_inner()
    }

    fn copy(&mut self, mut left: u64, piece: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            let part = self.reader.fill_buf()?;
            if part.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let n = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            piece(&part[..n]);
            self.reader.consume(n);
            left -= n as u64;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.by_ref().take(1 << 20).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole status line; of a CGI response the `Status:` header's value.
    pub status_line: String,
    /// The headers in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// The body, with the transfer encoding removed.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads the output of a CGI program (RFC 3875, section 6); panics if headers and body are not told apart.
    #[track_caller]
    pub fn from_cgi(output: &[u8]) -> Self {
        let end = output.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no end of headers in {:?}", String::from_utf8_lossy(output)));
        let head = String::from_utf8_lossy(&output[..end]);
        let mut answer = Self { status: 200, status_line: String::new(), headers: Vec::new(), body: Vec::new() };
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            let value = value.trim().to_owned();
            if name.eq_ignore_ascii_case("status") {
                answer.status = value.get(..3).and_then(|code| code.parse().ok()).expect("a status code");
                answer.status_line = value;
            } else {
                answer.headers.push((name.to_owned(), value));
            }
        }
        answer.body = output[end + 4..].to_vec();
        answer
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All headers of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

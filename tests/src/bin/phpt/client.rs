//! Runs scripts of the tree: one request each, with a bound for time and size.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use ftm_tests::Address;
use ftm_tests::fcgi::{Answer, Call, Conn};

/// How long a test may take: the server's `request_terminate_timeout`, seconds.
pub const TERMINATE: u64 = 60;
/// How long an answer may take. The server has ended the script long before.
const DEADLINE: Duration = Duration::from_secs(TERMINATE * 2);
/// How much a script may print, bytes.
const LIMIT: usize = 64 << 20;

/// What came back for a request.
#[derive(Debug)]
pub struct Response {
    /// The headers that the script sent; `Status:` is one of them.
    pub headers: Vec<(String, String)>,
    /// What it printed.
    pub body: Vec<u8>,
    /// What kept the response from being whole; the verdict of a test that meets it is "failed".
    pub broken: Option<String>,
}

/// Sends `call` on a connection of its own.
pub fn ask(address: &Address, call: &Call) -> Response {
    let mut answer = Answer::default();
    let broken = exchange(address, call, &mut answer).err().map(|e| format!("no whole response: {e}"));
    let (headers, body) = split(&answer.stdout);
    Response { headers, body, broken }
}

fn exchange(address: &Address, call: &Call, answer: &mut Answer) -> io::Result<()> {
    let end = Instant::now() + DEADLINE;
    let mut conn = Conn { stream: address.connect()? };
    conn.stream.set_timeouts(Some(DEADLINE))?;
    conn.stream.write_all(&call.encode(1))?;
    while let Some(record) = conn.read_record()? {
        if answer.take(&record) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if answer.stdout.len() + answer.stderr.len() > LIMIT {
            return Err(io::Error::other(format!("more than {LIMIT} bytes")));
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed the connection"))
}

/// Headers and body of a CGI response, which tests may have spoiled.
fn split(stdout: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
    let Some(end) = stdout.windows(4).position(|w| w == b"\r\n\r\n") else {
        return (Vec::new(), stdout.to_vec());
    };
    let head = String::from_utf8_lossy(&stdout[..end]);
    let pairs = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    (headers, stdout[end + 4..].to_vec())
}

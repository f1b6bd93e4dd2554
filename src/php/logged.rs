//! What the access log tells of a request whose script has ended. The line is written before the response ends, as under
//! PHP-FPM: who has the response finds the line.

use nix::unistd::getppid;

use super::request::Running;
use crate::observe::access::{AccessLog, Entry, header_value};
use crate::observe::log;
use crate::pool::Row;

/// A request whose script has ended.
pub struct Logged {
    status: i32,
    /// Names and values of the headers that the log shows, as far as the response has them.
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Logged {
    /// `status` is that of the response.
    pub fn new(status: i32) -> Logged {
        Logged { status, headers: Vec::new() }
    }

    /// Keeps a header of the response, `Name: value`, if the log shows it. The first of a name counts.
    pub fn note_header(&mut self, access: &AccessLog, header: &[u8]) {
        for name in access.headers() {
            if let Some(value) = header_value(header, name).filter(|_| self.header(name).is_none()) {
                self.headers.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Writes the line.
    pub fn write(&self, access: &AccessLog, row: &Row, running: &Running) {
        let request = running.request();
        let now = log::now();
        // Written after the row is free again: others look at it, and a file may be slow.
        let line = row.look(|view| {
            access.line(&Entry {
                shown: &view.shown,
                status: self.status,
                duration: view.duration,
                cpu: view.cpu,
                memory: view.memory,
                began: now - i64::try_from(request.begun().elapsed().as_secs()).unwrap_or(0),
                now,
                peer: request.peer(),
                pid: view.thread_id,
                parent: getppid().as_raw().into(),
                param: &|name| running.param(name),
                header: &|name| self.header(name),
            })
        });
        line.iter().for_each(|line| access.write(line));
    }
}

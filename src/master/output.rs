//! What a pool process writes to its stdout and stderr, on its way to the error log (`catch_workers_output`).
//!
//! The master reads it, so that the last words of a process that crashes are not lost. Text is gathered to lines; where a
//! request ends its process writes a mark, and what it left without a newline is a line, too.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use ftm_config::Pool;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::observe::log::{self, Said, Stream};
use crate::pool::END_OF_REQUEST;

/// Bytes that are read from one pipe at a turn: nobody may keep the master from its other work.
const TURN: usize = 64 * 1024;

/// The pool's ends of the pipes.
pub struct WorkerEnds {
    /// For descriptor 1.
    pub stdout: OwnedFd,
    /// For descriptor 2.
    pub stderr: OwnedFd,
}

/// The master's ends.
pub struct Output {
    decorate: bool,
    stdout: Pipe,
    stderr: Pipe,
}

struct Pipe {
    stream: Stream,
    /// `None`: its other end is closed.
    file: Option<File>,
    /// What is not a whole line yet.
    text: Vec<u8>,
}

impl Output {
    /// Makes the pipes of a pool.
    ///
    /// # Errors
    ///
    /// The system is out of descriptors.
    pub fn pipes(pool: &Pool) -> io::Result<(Output, WorkerEnds)> {
        let (stdout, stdout_end) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, stderr_end) = pipe2(OFlag::O_CLOEXEC)?;
        for fd in [&stdout, &stderr] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let output = Output::new(pool.decorate_workers_output, Some(stdout), Some(stderr));
        Ok((output, WorkerEnds { stdout: stdout_end, stderr: stderr_end }))
    }

    fn new(decorate: bool, stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> Output {
        let pipe = |stream, fd: Option<OwnedFd>| Pipe { stream, file: fd.map(File::from), text: Vec::new() };
        Output { decorate, stdout: pipe(Stream::Stdout, stdout), stderr: pipe(Stream::Stderr, stderr) }
    }

    /// What is to be watched for [`Output::read`].
    pub fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.stdout, &self.stderr].into_iter().filter_map(|pipe| Some(pipe.file.as_ref()?.as_fd()))
    }

    /// Logs what has come, within a turn's bounds.
    pub fn read(&mut self, pool: &str, pid: i64) {
        self.stdout.fill(TURN);
        self.stderr.fill(TURN);
        let decorate = self.decorate;
        let who = |stream| Said { pool, pid, stream, decorate };
        self.stdout.say_lines(&who(Stream::Stdout));
        if self.stderr.say_lines(&who(Stream::Stderr)) {
            // The mark comes over one pipe, and holds for both.
            self.stdout.say_rest(&who(Stream::Stdout));
        }
    }

    /// Logs all that is left: the process has ended, or another master takes over.
    pub fn finish(&mut self, pool: &str, pid: i64) {
        while self.stdout.fill(TURN) | self.stderr.fill(TURN) {
            self.read(pool, pid);
        }
        self.read(pool, pid);
        let decorate = self.decorate;
        for pipe in [&mut self.stdout, &mut self.stderr] {
            let who = Said { pool, pid, stream: pipe.stream, decorate };
            pipe.say_rest(&who);
        }
    }

    /// Describes the pipes to the master that takes over.
    pub fn hand_over(&self) -> String {
        let fd = |pipe: &Pipe| pipe.file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        format!("{}:{}:{}", u8::from(self.decorate), fd(&self.stdout), fd(&self.stderr))
    }

    /// The pipes that the former master described.
    pub fn take_over(text: &str) -> Option<Output> {
        let mut fields = text.split(':');
        let decorate = fields.next()? == "1";
        let mut fd = || {
            let fd: RawFd = fields.next()?.parse().ok()?;
            // SAFETY: the former master, which this process was, left the descriptor open for this, and nobody else uses it.
            Some((fd > libc::STDERR_FILENO).then(|| unsafe { OwnedFd::from_raw_fd(fd) }))
        };
        Some(Output::new(decorate, fd()?, fd()?))
    }
}

impl Pipe {
    /// Takes up to `most` bytes. False: there are none for now.
    fn fill(&mut self, most: usize) -> bool {
        let Some(file) = &mut self.file else { return false };
        let before = self.text.len();
        let result = file.take(most as u64).read_to_end(&mut self.text);
        // The end of the file, or an error that will not pass, unless it is just that nothing is there.
        let over = match &result {
            Ok(n) => *n < most,
            Err(e) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        };
        if over {
            self.file = None;
        }
        self.text.len() > before
    }

    /// Logs whole lines, and parts of one that fill a line of the log. True: the end of a request was among them, and with
    /// it what it left without a newline.
    fn say_lines(&mut self, who: &Said<'_>) -> bool {
        let text = std::mem::take(&mut self.text);
        let (mut rest, mut ended) = (text.as_slice(), false);
        while let Some(at) = rest.iter().position(|&b| b == b'\n' || b == END_OF_REQUEST[0]) {
            let after = &rest[at..];
            if after[0] == b'\n' {
                log::said(who, &rest[..at]);
                rest = &after[1..];
            } else if let Some(after) = after.strip_prefix(END_OF_REQUEST) {
                log::said(who, &rest[..at]);
                (rest, ended) = (after, true);
            } else if END_OF_REQUEST.starts_with(after) {
                break; // the beginning of the mark, perhaps
            } else {
                // A NUL of the script's own.
                let end = after.iter().skip(1).position(|&b| b == b'\n' || b == 0).map_or(rest.len(), |n| at + 1 + n);
                if end == rest.len() {
                    break;
                }
                log::said(who, &rest[..end]);
                rest = &rest[end + usize::from(rest[end] == b'\n')..];
            }
        }
        let room = who.room();
        while rest.len() > room {
            log::said(who, &rest[..room]);
            rest = &rest[room..];
        }
        self.text = rest.to_vec();
        ended
    }

    fn say_rest(&mut self, who: &Said<'_>) {
        log::said(who, &std::mem::take(&mut self.text));
    }
}

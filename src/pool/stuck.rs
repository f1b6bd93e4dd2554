//! Getting a thread out of a system call that it is blocked in, so that it comes to its next opcode.
//!
//! A signal is enough for `sleep`, `flock` and the like. PHP's streams and curl wait on when a signal breaks their wait off,
//! so what they wait for has to end: a socket is shut down, a program that the thread has started is killed.

use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Shutdown, SockType, getsockopt, shutdown, sockopt};
use nix::unistd::{Pid, getpid};

use crate::observe::log;
use crate::observe::status::own::Counted;
use crate::php;

/// Descriptors of one poll() that are looked at.
const POLLED_MAX: usize = 64;

/// The longest line of the kernel about a system call, in bytes.
const LINE_MAX: usize = 256;

/// Breaks off the system call of `thread`.
pub fn wake(thread: i32) {
    // SAFETY: sends a signal whose handler does nothing to a thread of this process, if it still exists; if it has ended and
    // its number belongs to another one, that one's system call is broken off, which each caller must bear with.
    unsafe { libc::syscall(libc::SYS_tgkill, getpid().as_raw(), thread, php::ffi::ftm_wake_signal()) };
}

/// What a thread is blocked in, as the kernel tells: see proc_pid_syscall(5).
pub struct CallFile(File);

/// A system call: its number and arguments, and where it was called from.
#[derive(PartialEq, Eq)]
struct Call([u64; 9]);

impl CallFile {
    /// Reads from `file`.
    pub fn new(file: File) -> CallFile {
        CallFile(file)
    }

    /// `None`: it is not blocked.
    fn read(&self) -> Option<Call> {
        let mut line = [0; LINE_MAX];
        let len = self.0.read_at(&mut line, 0).ok()?;
        let mut fields = std::str::from_utf8(&line[..len]).ok()?.split_whitespace();
        let mut call = [0; 9];
        call[0] = fields.next()?.parse().ok()?; // "running", where it is on a processor
        for field in &mut call[1..] {
            *field = u64::from_str_radix(fields.next()?.trim_start_matches("0x"), 16).ok()?;
        }
        Some(Call(call))
    }
}

impl Call {
    /// The descriptors that it waits for.
    fn descriptors(&self) -> Vec<RawFd> {
        let [number, first, second, ..] = self.0;
        match i64::try_from(number).unwrap_or(-1) {
            libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_connect
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_accept
            | libc::SYS_accept4 => RawFd::try_from(first).into_iter().collect(),
            libc::SYS_poll | libc::SYS_ppoll => polled(first, usize::try_from(second).unwrap_or(0).min(POLLED_MAX)),
            _ => Vec::new(),
        }
    }

    /// Whether it waits for a child of this process.
    fn waits_for_child(&self) -> bool {
        self.0[0] == libc::SYS_wait4 as u64
    }
}

/// Ends what `thread` waits for, if it is blocked, and tells what that was. `own` is the connection to the web server, which
/// stays. The thread must have been found to run the request that is to be ended, and `still` tells whether it still does: a
/// request does not come back, so all that was found between the two is of that request, and of no later one of the thread.
pub fn end_wait(thread: i32, file: &CallFile, own: RawFd, still: impl FnOnce() -> bool) -> Option<Counted> {
    let call = file.read()?;
    // Once it is still in the same call with these copies made, they are what it waits for, whatever it does next.
    let copies: Vec<_> = call.descriptors().into_iter().filter(|&fd| fd != own).filter_map(copy).collect();
    let for_programs = call.waits_for_child() || copies.iter().any(|&(_, kind)| kind == Kind::Pipe);
    let programs = if for_programs { children(getpid().as_raw(), thread) } else { Vec::new() };
    if file.read().as_ref() != Some(&call) || !still() {
        return None;
    }
    let mut step = None;
    for (fd, kind) in copies {
        if let Kind::Socket(kind) = kind
            && end_socket(&fd, kind)
        {
            log::notice!("thread {thread} waits for a socket: shut down, to end its request");
            step = Some(Counted::KillBySocket);
        }
    }
    for program in programs {
        end_tree(program);
        log::notice!("thread {thread} waits for the program {program}: killed, to end its request");
        step = Some(Counted::KillByProgram);
    }
    step
}

/// False: it was not connected.
fn end_socket(socket: &OwnedFd, kind: SockType) -> bool {
    // First, because nothing can be sent once it is shut down.
    let refused = kind == SockType::Datagram && refuse(socket).is_ok();
    shutdown(socket.as_raw_fd(), Shutdown::Both).is_ok() || refused
}

/// Lets the next call on a connected socket for datagrams fail, as if nobody listened at its other end. The C library's resolver
/// does not wait on its sockets, and takes one that was shut down for one on which nothing has arrived.
fn refuse(socket: &OwnedFd) -> io::Result<()> {
    let socket = UdpSocket::from(socket.try_clone()?);
    socket.peer_addr()?;
    let nobody = UdpSocket::bind((socket.local_addr()?.ip(), 0))?.local_addr()?;
    socket.connect(nobody)?;
    socket.send(&[]).map(drop)
}

/// What can be ended that a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Socket(SockType),
    Pipe,
}

/// Only asks what the kernel knows by itself: the main thread must not wait for a file server that is gone.
fn kind(fd: BorrowedFd<'_>) -> Option<Kind> {
    match getsockopt(&fd, sockopt::SockType) {
        Ok(kind) => Some(Kind::Socket(kind)),
        Err(_) => fcntl(fd, FcntlArg::F_GETPIPE_SZ).ok().map(|_| Kind::Pipe),
    }
}

/// A copy of a socket or pipe. Of nothing else: to close it might take long.
fn copy(fd: RawFd) -> Option<(OwnedFd, Kind)> {
    // SAFETY: only asks what the number names, and makes a copy of it; the kernel says so if that is nothing.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    kind(fd)?;
    let copy = fd.try_clone_to_owned().ok()?;
    let kind = kind(copy.as_fd())?;
    Some((copy, kind))
}

/// The descriptors of a pollfd array in this process's memory, read through the kernel: it may be gone by now.
fn polled(address: u64, count: usize) -> Vec<RawFd> {
    let mut fds = vec![libc::pollfd { fd: -1, events: 0, revents: 0 }; count];
    let len = std::mem::size_of_val(fds.as_slice());
    let local = libc::iovec { iov_base: fds.as_mut_ptr().cast(), iov_len: len };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: len };
    // SAFETY: the local buffer is as large as is said; the remote one is checked by the kernel.
    let n = unsafe { libc::process_vm_readv(getpid().as_raw(), &local, 1, &remote, 1, 0) };
    if n == len as isize { fds.into_iter().map(|entry| entry.fd).filter(|&fd| fd >= 0).collect() } else { Vec::new() }
}

/// The programs that a thread has started; see proc_tid_children(5).
fn children(process: i32, thread: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Kills a program, and those that it has started.
fn end_tree(pid: i32) {
    // Stopped first, so that it starts none behind our back.
    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    children(pid, pid).into_iter().for_each(end_tree);
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    use nix::unistd::gettid;

    use super::*;

    /// A thread that waits for what it has begun: its id, its call, and what it returns.
    fn blocked<W: 'static, T: Send + 'static>(
        begin: impl FnOnce() -> W + Send + 'static,
        wait: impl FnOnce(W) -> T + Send + 'static,
    ) -> (i32, CallFile, JoinHandle<T>) {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let begun = begin();
            tell.send(gettid().as_raw()).expect("somebody listens");
            wait(begun)
        });
        let id = told.recv().expect("its id");
        let file = CallFile::new(File::open(format!("/proc/self/task/{id}/syscall")).expect("its call"));
        let start = Instant::now();
        while !file.read().is_some_and(|call| call.waits_for_child() || !call.descriptors().is_empty()) {
            assert!(start.elapsed() < Duration::from_secs(30), "it does not wait");
            thread::yield_now();
        }
        (id, file, thread)
    }

    #[test]
    fn a_socket_is_shut_down_only_if_the_request_still_runs() {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        let read = |mut socket: UnixStream| socket.read(&mut [0]).expect("its end, or a byte");
        let (id, file, thread) = blocked(|| ours, read);
        assert!(end_wait(id, &file, -1, || false).is_none());
        theirs.write_all(b"x").expect("it is as it was");
        assert_eq!(thread.join().expect("the thread"), 1);

        let (ours, _theirs) = UnixStream::pair().expect("sockets");
        let (id, file, thread) = blocked(|| ours, read);
        assert!(end_wait(id, &file, -1, || true).is_some());
        assert_eq!(thread.join().expect("the thread"), 0);
    }

    #[test]
    fn programs_are_killed_only_if_the_request_still_runs() {
        let begin = || Command::new("sleep").arg("600").spawn().expect("a program");
        let wait = |mut program: Child| program.wait().expect("its end");
        let (id, file, thread) = blocked(begin, wait);
        assert!(end_wait(id, &file, -1, || false).is_none());
        let program = children(getpid().as_raw(), id)[0];
        kill(Pid::from_raw(program), Signal::SIGTERM).expect("it is there");
        let end = thread.join().expect("the thread");
        assert_eq!(end.signal(), Some(libc::SIGTERM));

        let (id, file, thread) = blocked(begin, wait);
        assert!(end_wait(id, &file, -1, || true).is_some());
        let end = thread.join().expect("the thread");
        assert_eq!(end.signal(), Some(libc::SIGKILL));
    }
}

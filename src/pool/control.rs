//! The channel between the master and a pool process: a pair of connected sockets that keep messages apart.
//!
//! ```text
//!  pool ── "ready" ──────────────────────> master
//!  pool ── "call", with a thread's id ───> master      (what is that thread blocked in?)
//!  pool <── "call", with a descriptor ──── master
//!  pool ── "successor" ──────────────────> master      (replace me)
//!  pool ── "crashed" ────────────────────> master      (replace me at once)
//!  pool ── "closed" ─────────────────────> master      (who connects from now on is not mine)
//!  pool <── "logs", with descriptors ───── master      (SIGUSR1: log files were opened again)
//!  pool <── "hand over", with a channel ── master      (a reload: finish, and give idle connections to the successor)
//!  pool <── "take over", with a channel ── master      (to the successor: the connections come from here)
//!  pool <── end of file ────────────────── master      (it is gone: finish)
//! ```

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::PoolFiles;
use crate::server::passing::{self, send};
use crate::server::watch;

/// First byte of a message: the pool serves.
const READY: u8 = b'R';
/// First byte of a message: the pool is to have a new process.
const SUCCESSOR: u8 = b'N';
/// First byte of a message: a thread of the pool has crashed.
const CRASHED: u8 = b'X';
/// First byte of a message: the pool process accepts nobody any more.
const CLOSED: u8 = b'Z';
/// First byte of a message: log files, of which the following bytes say which they are.
const LOGS: u8 = b'L';
const ERROR_LOG: u8 = b'e';
const ACCESS_LOG: u8 = b'a';
const SLOW_LOG: u8 = b's';
/// First byte of a message: finish, and give connections to the channel that comes with it.
const HAND_OVER: u8 = b'H';
/// First byte of a message: take connections from the channel that comes with it.
const TAKE_OVER: u8 = b'T';
/// First byte of a message: the following bytes are the id of a thread of the pool, in the order of this machine.
const CALL: u8 = b'C';
/// The most bytes of a message.
const LONGEST: usize = 1 + size_of::<i32>();

/// The master's end. The pool notices when it is closed.
pub struct MasterEnd(OwnedFd);

/// The pool's end.
pub struct PoolEnd(OwnedFd);

/// What the master hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The pool serves.
    Ready,
    /// It wants to read what this thread of it is blocked in; see [`MasterEnd::send_call`].
    AsksCall(i32),
    /// It is to be replaced by a new process.
    WantsSuccessor,
    /// A thread of it has crashed: it accepts no connection any more, and finishes what it has begun.
    Crashed,
    /// It finishes, and accepts no connection any more.
    AcceptsNoMore,
    /// Nothing for now.
    Nothing,
    /// The pool process has closed its end: it is about to leave.
    Closed,
}

/// What the pool hears.
pub enum Order {
    /// Write to these files from now on.
    Reopen {
        /// The error log; `None`: it is no file.
        error_log: Option<File>,
        /// The pool's own logs.
        files: PoolFiles,
    },
    /// Finish, and give idle connections to this channel.
    HandOver(OwnedFd),
    /// Serve the connections that come from this channel.
    TakeOver(OwnedFd),
    /// What `thread` is blocked in can be read here: see proc_pid_syscall(5).
    Call {
        /// The thread's id.
        thread: i32,
        /// Its `/proc/PID/task/TID/syscall`.
        file: File,
    },
    /// The master is gone.
    Finish,
}

/// Makes a channel.
///
/// # Errors
///
/// The system is out of descriptors.
pub fn pair() -> io::Result<(MasterEnd, PoolEnd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (master, pool) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((MasterEnd(master), PoolEnd(pool)))
}

impl MasterEnd {
    /// Takes over an end that a former master left in this process.
    pub fn from_fd(fd: OwnedFd) -> MasterEnd {
        MasterEnd(fd)
    }

    /// Listens without waiting.
    pub fn listen(&self) -> Said {
        let mut message = [0; LONGEST];
        match nix::sys::socket::recv(self.0.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Said::Closed,
            Ok(len) => match message[..len].split_first() {
                Some((&READY, _)) => Said::Ready,
                Some((&SUCCESSOR, _)) => Said::WantsSuccessor,
                Some((&CRASHED, _)) => Said::Crashed,
                Some((&CLOSED, _)) => Said::AcceptsNoMore,
                Some((&CALL, thread)) => thread_id(thread).map_or(Said::Nothing, Said::AsksCall),
                _ => Said::Nothing,
            },
            Err(Errno::EAGAIN | Errno::EINTR) => Said::Nothing,
            Err(_) => Said::Closed,
        }
    }

    /// Hands over the file that says what `thread` is blocked in. The kernel lets a thread of the same process read it,
    /// but the file belongs to root, and a pool process that has changed its user cannot open it. Never waits.
    ///
    /// # Errors
    ///
    /// There is no such thread in process `pool` any more.
    pub fn send_call(&self, pool: Pid, thread: i32) -> io::Result<()> {
        let file = File::open(format!("/proc/{pool}/task/{thread}/syscall"))?;
        send(self.0.as_fd(), &call_message(thread), &[file.as_fd()])?;
        Ok(())
    }

    /// Hands over log files. Never waits.
    ///
    /// # Errors
    ///
    /// The pool process is gone, or has not fetched many earlier ones.
    pub fn send_logs(&self, error_log: Option<BorrowedFd<'_>>, files: &PoolFiles) -> io::Result<()> {
        let all = [
            (ERROR_LOG, error_log),
            (ACCESS_LOG, files.access.as_ref().map(File::as_fd)),
            (SLOW_LOG, files.slow.as_ref().map(File::as_fd)),
        ];
        let given = || all.iter().filter_map(|(kind, fd)| Some((*kind, (*fd)?)));
        let message: Vec<u8> = std::iter::once(LOGS).chain(given().map(|(kind, _)| kind)).collect();
        send(self.0.as_fd(), &message, &given().map(|(_, fd)| fd).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Lets the connections of the pool's former process come to this one. Never waits.
    ///
    /// # Errors
    ///
    /// One of the processes is gone: then the former one is not told anything.
    pub fn relieve(&self, former: &MasterEnd) -> io::Result<()> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (give, take) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        send(self.0.as_fd(), &[TAKE_OVER], &[take.as_fd()])?;
        send(former.0.as_fd(), &[HAND_OVER], &[give.as_fd()])?;
        Ok(())
    }
}

impl AsFd for MasterEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PoolEnd {
    /// Registers the channel with the event loop.
    ///
    /// # Errors
    ///
    /// It cannot be watched.
    pub fn watched(self) -> io::Result<Orders> {
        Ok(Orders(watch(self.0, Interest::READABLE)?))
    }
}

/// What the master orders, as it comes.
pub struct Orders(AsyncFd<OwnedFd>);

impl Orders {
    /// Tells the master that the pool serves. Whether it still listens shows at [`Orders::next`].
    pub fn say_ready(&self) {
        let _ = send(self.0.get_ref().as_fd(), &[READY], &[]);
    }

    /// Tells the master that nobody is accepted any more.
    pub fn say_closed(&self) {
        let _ = send(self.0.get_ref().as_fd(), &[CLOSED], &[]);
    }

    /// Asks the master for a new process in this one's place. False: it is to be asked again.
    pub fn ask_successor(&self) -> bool {
        send(self.0.get_ref().as_fd(), &[SUCCESSOR], &[]).is_ok()
    }

    /// What tells the master that a thread has crashed, for a signal handler: the socket, and the message.
    pub fn crashed(&self) -> (RawFd, u8) {
        (self.0.get_ref().as_raw_fd(), CRASHED)
    }

    /// Asks the master what `thread` is blocked in. The answer is an order.
    pub fn ask_call(&self, thread: i32) {
        // It is asked again where the channel is full.
        let _ = send(self.0.get_ref().as_fd(), &call_message(thread), &[]);
    }

    /// Waits for the next order.
    pub async fn next(&self) -> Order {
        loop {
            let Ok(mut guard) = self.0.readable().await else { return Order::Finish };
            match receive(self.0.get_ref().as_fd()) {
                Ok(Some(order)) => return order,
                Ok(None) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => guard.clear_ready(),
                Err(_) => return Order::Finish,
            }
        }
    }
}

fn call_message(thread: i32) -> Vec<u8> {
    std::iter::once(CALL).chain(thread.to_ne_bytes()).collect()
}

fn thread_id(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

/// One message; `None`: one that is not understood.
fn receive(fd: BorrowedFd<'_>) -> nix::Result<Option<Order>> {
    let mut message = [0; LONGEST];
    let (len, mut fds) = passing::receive(fd, &mut message)?;
    Ok(match message[..len].split_first() {
        None => Some(Order::Finish),
        Some((&LOGS, kinds)) => Some(reopen(kinds, fds)),
        Some((&HAND_OVER, _)) => fds.pop().map(Order::HandOver),
        Some((&TAKE_OVER, _)) => fds.pop().map(Order::TakeOver),
        Some((&CALL, thread)) => {
            thread_id(thread).zip(fds.pop()).map(|(thread, fd)| Order::Call { thread, file: File::from(fd) })
        }
        Some(_) => None,
    })
}

fn reopen(kinds: &[u8], fds: Vec<OwnedFd>) -> Order {
    let (mut error_log, mut files) = (None, PoolFiles::default());
    for (kind, fd) in kinds.iter().zip(fds) {
        match *kind {
            ERROR_LOG => error_log = Some(File::from(fd)),
            ACCESS_LOG => files.access = Some(File::from(fd)),
            SLOW_LOG => files.slow = Some(File::from(fd)),
            _ => {}
        }
    }
    Order::Reopen { error_log, files }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    fn file(text: &str) -> File {
        let name = format!("ftm-control-{}-{text}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        let mut file = options.read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        std::fs::remove_file(path).expect("remove");
        file.write_all(text.as_bytes()).expect("write");
        file
    }

    fn text(file: Option<File>) -> Option<String> {
        let mut text = String::new();
        let mut file = file?;
        file.rewind().expect("rewind");
        file.read_to_string(&mut text).expect("read");
        Some(text)
    }

    #[test]
    fn files_arrive_as_what_they_were_sent() {
        let (master, pool) = pair().expect("a pair");
        let files = PoolFiles { access: None, slow: Some(file("slow")) };
        master.send_logs(Some(file("error").as_fd()), &files).expect("sent");
        master.send_logs(None, &PoolFiles::default()).expect("sent");
        let Ok(Some(Order::Reopen { error_log, files })) = receive(pool.0.as_fd()) else { panic!("no order") };
        assert_eq!(text(error_log).as_deref(), Some("error"));
        assert_eq!((files.access.is_none(), text(files.slow).as_deref()), (true, Some("slow")));
        let Ok(Some(Order::Reopen { error_log: None, files })) = receive(pool.0.as_fd()) else { panic!("no order") };
        assert!(files.access.is_none() && files.slow.is_none());
        drop(master);
        assert!(matches!(receive(pool.0.as_fd()), Ok(Some(Order::Finish))));
    }

    #[test]
    fn the_pool_learns_what_its_threads_are_blocked_in() {
        let (master, pool) = pair().expect("a pair");
        let (pid, thread) = (Pid::this(), nix::unistd::gettid().as_raw());
        send(pool.0.as_fd(), &call_message(thread), &[]).expect("sent");
        assert_eq!(master.listen(), Said::AsksCall(thread));
        master.send_call(pid, thread).expect("sent");
        let Ok(Some(Order::Call { thread: named, mut file })) = receive(pool.0.as_fd()) else { panic!("no order") };
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!((named, text.ends_with('\n')), (thread, true), "{text:?}");
        assert!(master.send_call(pid, 1).is_err(), "not a thread of this process");
    }

    #[test]
    fn the_master_hears_ready_once_and_then_the_end() {
        let (master, pool) = pair().expect("a pair");
        assert_eq!(master.listen(), Said::Nothing);
        send(pool.0.as_fd(), &[READY], &[]).expect("sent");
        drop(pool);
        assert_eq!(master.listen(), Said::Ready);
        assert_eq!(master.listen(), Said::Closed);
        assert!(master.send_logs(None, &PoolFiles::default()).is_err());
    }
}

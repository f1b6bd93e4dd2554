//! The kernel's side of the queue: connections of a listening socket that nobody has accepted yet.
//!
//! * TCP: `TCP_INFO`, as PHP-FPM does.
//! * Unix sockets: `sock_diag(7)` with `UDIAG_SHOW_RQLEN`, one socket asked for by its inode. PHP-FPM shows 0 for them.

use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Weak;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, getsockname, recv, send,
    socket,
};
use nix::sys::stat::fstat;

/// A listening socket whose backlog can be looked at. It does not keep the socket open.
pub struct Backlog(Weak<OwnedFd>);

/// A backlog at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// The most that may.
    pub limit: u32,
}

impl Backlog {
    /// The backlog of `listener`.
    pub fn new(listener: Weak<OwnedFd>) -> Backlog {
        Backlog(listener)
    }

    /// The state of the backlog; `None` where the kernel does not tell, or the socket was closed.
    pub fn pending(&self) -> Option<Pending> {
        let listener = self.0.upgrade()?;
        let address = getsockname::<SockaddrStorage>(listener.as_raw_fd()).ok()?;
        match address.family()? {
            AddressFamily::Unix => unix(u32::try_from(fstat(listener.as_fd()).ok()?.st_ino).ok()?),
            _ => tcp(&listener),
        }
    }
}

fn tcp(listener: &OwnedFd) -> Option<Pending> {
    // SAFETY: all fields of tcp_info are integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` is `len` writable bytes, and the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut len)
    };
    // For a listening socket these two fields hold its backlog.
    (result == 0 && info.tcpi_sacked > 0).then_some(Pending { waiting: info.tcpi_unacked, limit: info.tcpi_sacked })
}

/// `linux/sock_diag.h` and `linux/unix_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;
const ALL_STATES: u32 = u32::MAX;
const NO_COOKIE: u32 = u32::MAX;

/// Length of a `nlmsghdr`, of a `unix_diag_msg` and of an attribute's header, in bytes.
const MESSAGE_HEADER: usize = 16;
const DIAG_MESSAGE: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

fn unix(inode: u32) -> Option<Pending> {
    let diag =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag).ok()?;
    send(diag.as_raw_fd(), &request(inode), MsgFlags::empty()).ok()?;
    let mut reply = [0; 512];
    // The kernel answers within send().
    let n = recv(diag.as_raw_fd(), &mut reply, MsgFlags::MSG_DONTWAIT).ok()?;
    parse(&reply[..n])
}

/// `nlmsghdr` and `unix_diag_req`, in the machine's byte order.
fn request(inode: u32) -> Vec<u8> {
    const LEN: u32 = 16 + 24;
    let mut bytes = Vec::with_capacity(LEN as usize);
    bytes.extend_from_slice(&LEN.to_ne_bytes());
    bytes.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]); // sequence, port: any
    bytes.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [ALL_STATES, inode, UDIAG_SHOW_RQLEN, NO_COOKIE, NO_COOKIE] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Finds the attribute in the reply: an error message, or a `unix_diag_msg` and its attributes.
fn parse(reply: &[u8]) -> Option<Pending> {
    let half = |at: usize| Some(u16::from_ne_bytes(reply.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(reply.get(at..at + 4)?.try_into().ok()?));
    if half(4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut at = MESSAGE_HEADER + DIAG_MESSAGE;
    loop {
        let len = usize::from(half(at)?);
        if half(at + 2)? == UNIX_DIAG_RQLEN {
            let content = at + ATTRIBUTE_HEADER;
            return Some(Pending { waiting: word(content)?, limit: word(content + 4)? });
        }
        if len < ATTRIBUTE_HEADER {
            return None;
        }
        at += len.next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn replies_that_are_cut_or_foreign_are_none() {
        let mut reply = request(1)[..16].to_vec();
        reply.extend_from_slice(&[0; DIAG_MESSAGE]);
        reply.extend_from_slice(&[8, 0, 7, 0, 1, 2, 3, 4]); // another attribute
        let wanted: Vec<u8> = [12u16.to_ne_bytes(), UNIX_DIAG_RQLEN.to_ne_bytes()].concat();
        let wanted = [wanted, 3u32.to_ne_bytes().to_vec(), 128u32.to_ne_bytes().to_vec()].concat();
        reply.extend_from_slice(&wanted);
        assert_eq!(parse(&reply), Some(Pending { waiting: 3, limit: 128 }));
        for cut in 0..reply.len() {
            assert_eq!(parse(&reply[..cut]), None, "cut to {cut} bytes");
        }
        reply[32..34].copy_from_slice(&[0, 0]); // an attribute without a length
        assert_eq!(parse(&reply), None);
        reply[4] = 2; // NLMSG_ERROR
        assert_eq!(parse(&reply), None);
    }

    #[test]
    fn tcp_connections_that_wait_are_counted_until_the_listener_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let listener = Arc::new(OwnedFd::from(listener));
        let backlog = Backlog::new(Arc::downgrade(&listener));
        assert_eq!(backlog.pending().expect("told").waiting, 0);
        let _waiting = [(); 3].map(|()| TcpStream::connect(address).expect("connect"));
        assert_eq!(backlog.pending().expect("told").waiting, 3);
        drop(listener);
        assert_eq!(backlog.pending(), None);
    }

    #[test]
    fn unix_connections_that_wait_are_counted_where_the_kernel_tells() {
        let dir = std::env::temp_dir().join(format!("ftm-backlog-{}", std::process::id()));
        let listener = UnixListener::bind(&dir).expect("bind");
        let _waiting = [(); 3].map(|()| UnixStream::connect(&dir).expect("connect"));
        std::fs::remove_file(&dir).expect("remove");
        let listener = Arc::new(OwnedFd::from(listener));
        // A kernel without CONFIG_UNIX_DIAG does not.
        if let Some(pending) = Backlog::new(Arc::downgrade(&listener)).pending() {
            assert_eq!(pending.waiting, 3);
            assert!(pending.limit >= 3, "{pending:?}");
        }
    }
}

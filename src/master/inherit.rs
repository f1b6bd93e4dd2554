//! What a master leaves to the one that takes its place by exec (reload, upgrade), and what systemd leaves to the first.
//!
//! * `FPM_SOCKETS`, `FPM_SOCKETS_1` …: listening sockets as `key=descriptor,…`, as PHP-FPM writes them. Its reload can thus
//!   bring php-ftm into its place, and the other way round.
//! * `FTM_PROCESSES`: pool processes that go on meanwhile.
//! * `FTM_ACTIVATED`: descriptors of those sockets that systemd made, whose files are not ours to remove.
//! * `FTM_LOG`: the descriptor of the error log.
//! * `LISTEN_FDS`: systemd's socket activation.
//!
//! All of them are taken out of the environment, so that scripts do not see them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::getpid;
use socket2::SockRef;

use super::process::Process;
use crate::observe::log;

const SOCKETS: &str = "FPM_SOCKETS";
const PROCESSES: &str = "FTM_PROCESSES";
const ACTIVATED: &str = "FTM_ACTIVATED";
const LOG: &str = "FTM_LOG";
const CHECK: &str = "FTM_CHECK";

/// Sockets in one variable; PHP-FPM reads no more from one.
const SOCKETS_PER_VARIABLE: usize = 128;

/// The first descriptor that systemd passes.
const LISTEN_FDS_START: RawFd = 3;

/// A listening socket under the name of its address.
pub struct InheritedSocket {
    /// The path of a unix socket, or `ip:port`, as PHP-FPM has it.
    pub key: OsString,
    /// The socket.
    pub socket: OwnedFd,
    /// Whether systemd made it.
    pub activated: bool,
}

/// What was left to this process.
#[derive(Default)]
pub struct Inherited {
    /// Listening sockets.
    pub sockets: Vec<InheritedSocket>,
    /// Pool processes of the former master, which was this process.
    pub processes: Vec<Process>,
    /// The error log, if it is a file.
    pub log: Option<File>,
    /// Whether this process was a master before.
    pub reloaded: bool,
    /// Whether this process only checks what a master is about to load.
    pub check: bool,
}

impl Inherited {
    /// Takes everything out of the environment.
    pub fn take() -> Inherited {
        let activated: Vec<RawFd> = take_text(ACTIVATED).split(',').filter_map(|fd| fd.parse().ok()).collect();
        let mut sockets: Vec<InheritedSocket> = Vec::new();
        for index in 0.. {
            let name = if index == 0 { SOCKETS.to_owned() } else { format!("{SOCKETS}_{index}") };
            let Some(value) = take(&name) else { break };
            for (key, fd) in value.as_bytes().split(|&b| b == b',').filter_map(parse_socket) {
                if sockets.iter().any(|other| other.socket.as_raw_fd() == fd) {
                    continue;
                }
                sockets.extend(adopt(fd).map(|socket| InheritedSocket {
                    key: OsStr::from_bytes(key).to_owned(),
                    socket,
                    activated: activated.contains(&fd),
                }));
            }
        }
        sockets.extend(activation());
        let processes = take(PROCESSES);
        let log = take_text(LOG).parse().ok().filter(|&fd: &RawFd| fd > libc::STDERR_FILENO);
        Inherited {
            sockets,
            reloaded: processes.is_some(),
            processes: processes
                .and_then(|text| text.into_string().ok())
                .map(|text| text.split(';').filter_map(Process::take_over).collect())
                .unwrap_or_default(),
            // SAFETY: the former master left this descriptor open for us, and nobody else knows it.
            log: log.map(|fd| File::from(unsafe { OwnedFd::from_raw_fd(fd) })),
            check: take(CHECK).is_some(),
        }
    }
}

/// What a master is about to leave.
#[derive(Default)]
pub struct Legacy<'a> {
    /// Listening sockets.
    pub sockets: Vec<&'a InheritedSocket>,
    /// Pool processes, their channels and output.
    pub processes: Vec<(String, Vec<BorrowedFd<'a>>)>,
    /// The error log.
    pub log: Option<BorrowedFd<'a>>,
}

impl Legacy<'_> {
    /// The variables for a master that takes over.
    pub fn variables(&self) -> Vec<(String, OsString)> {
        let mut variables = self.socket_variables();
        let processes: Vec<&str> = self.processes.iter().map(|(text, _)| text.as_str()).collect();
        variables.push((PROCESSES.to_owned(), processes.join(";").into()));
        variables.extend(self.log.map(|log| (LOG.to_owned(), log.as_raw_fd().to_string().into())));
        variables
    }

    /// The variables for a process that checks what is to be loaded.
    pub fn check_variables(&self) -> Vec<(String, OsString)> {
        let mut variables = self.socket_variables();
        variables.push((CHECK.to_owned(), "1".into()));
        variables
    }

    fn socket_variables(&self) -> Vec<(String, OsString)> {
        let mut variables = Vec::new();
        for (index, sockets) in self.sockets.chunks(SOCKETS_PER_VARIABLE).enumerate() {
            let name = if index == 0 { SOCKETS.to_owned() } else { format!("{SOCKETS}_{index}") };
            let pair = |InheritedSocket { key, socket, .. }: &&InheritedSocket| {
                [key.as_bytes(), b"=", socket.as_raw_fd().to_string().as_bytes()].concat()
            };
            let value = sockets.iter().map(pair).collect::<Vec<_>>().join(&b',');
            variables.push((name, OsString::from_vec(value)));
        }
        let activated = self.sockets.iter().filter(|socket| socket.activated);
        let activated: Vec<String> = activated.map(|socket| socket.socket.as_raw_fd().to_string()).collect();
        if !activated.is_empty() {
            variables.push((ACTIVATED.to_owned(), activated.join(",").into()));
        }
        variables
    }

    /// All descriptors that are to be inherited.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = self.sockets.iter().map(|socket| socket.socket.as_fd());
        sockets.chain(self.processes.iter().flat_map(|(_, fds)| fds).copied()).chain(self.log).collect()
    }
}

/// Sets whether a descriptor outlives exec.
///
/// # Errors
///
/// It is not open.
pub fn set_inherited(fd: BorrowedFd<'_>, inherited: bool) -> io::Result<()> {
    let flags = if inherited { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

fn take(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: the master has one thread, so nobody else looks at the environment.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

fn take_text(name: &str) -> String {
    take(name).and_then(|value| value.into_string().ok()).unwrap_or_default()
}

/// `key=descriptor`; the key may hold equals signs.
fn parse_socket(pair: &[u8]) -> Option<(&[u8], RawFd)> {
    let at = pair.iter().rposition(|&b| b == b'=')?;
    let fd = std::str::from_utf8(&pair[at + 1..]).ok()?.parse().ok()?;
    (fd > libc::STDERR_FILENO).then_some((&pair[..at], fd))
}

/// Takes a descriptor over, if it is a listening stream socket.
fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: only asks whether the number names an open descriptor.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        log::warning!("inherited socket fd={fd} is not open: it is bound anew");
        return None;
    }
    // SAFETY: it is open, was named to us as ours by whoever started us, and each is named once.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if !getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false) {
        log::warning!("inherited descriptor {fd} is no listening socket: it is not used");
        return None;
    }
    set_inherited(socket.as_fd(), false).ok()?;
    let flags = OFlag::from_bits_truncate(fcntl(&socket, FcntlArg::F_GETFL).ok()?);
    fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).ok()?;
    Some(socket)
}

/// The sockets that systemd passes, under the names of their addresses.
fn activation() -> Vec<InheritedSocket> {
    let (pid, count, _) = (take_text("LISTEN_PID"), take_text("LISTEN_FDS"), take("LISTEN_FDNAMES"));
    if pid.parse() != Ok(getpid().as_raw()) {
        return Vec::new();
    }
    let count: RawFd = count.parse().unwrap_or(0);
    let sockets = (LISTEN_FDS_START..LISTEN_FDS_START.saturating_add(count)).filter_map(adopt);
    sockets
        .filter_map(|socket| {
            let Some(key) = key_of(&socket) else {
                log::warning!("a socket from systemd has an address that is no IP address and no file: it is not used");
                return None;
            };
            Some(InheritedSocket { key, socket, activated: true })
        })
        .collect()
}

/// The key of a bound socket.
fn key_of(socket: &OwnedFd) -> Option<OsString> {
    let address = SockRef::from(socket).local_addr().ok()?;
    match address.as_socket() {
        Some(address) => Some(key_of_tcp(address)),
        None => Some(address.as_pathname()?.as_os_str().to_owned()),
    }
}

/// The key of a TCP address: PHP-FPM writes no brackets around IPv6.
pub fn key_of_tcp(address: std::net::SocketAddr) -> OsString {
    format!("{}:{}", address.ip(), address.port()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_php_fpms() {
        let tcp = |text: &str| key_of_tcp(text.parse().expect("an address"));
        assert_eq!(tcp("127.0.0.1:9000"), "127.0.0.1:9000");
        assert_eq!(tcp("[::]:9000"), ":::9000");
        assert_eq!(parse_socket(b"/run/a=b.sock=17"), Some((b"/run/a=b.sock".as_slice(), 17)));
        assert_eq!(parse_socket(b":::9000=9"), Some((b":::9000".as_slice(), 9)));
        for wrong in [b"".as_slice(), b"x", b"x=", b"x=y", b"x=-1", b"x=2"] {
            assert_eq!(parse_socket(wrong), None);
        }
    }

    #[test]
    fn sockets_are_split_over_variables() {
        let bound = |n: usize| InheritedSocket {
            key: format!("/s{n}").into(),
            socket: std::net::TcpListener::bind("127.0.0.1:0").expect("bind").into(),
            activated: n == 128,
        };
        let sockets: Vec<InheritedSocket> = (0..129).map(bound).collect();
        let last = sockets[128].socket.as_raw_fd();
        let variables = Legacy { sockets: sockets.iter().collect(), ..Legacy::default() }.variables();
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["FPM_SOCKETS", "FPM_SOCKETS_1", "FTM_ACTIVATED", "FTM_PROCESSES"]);
        assert_eq!(variables[1].1, format!("/s128={last}").as_str());
        assert_eq!(variables[2].1, last.to_string().as_str());
        assert_eq!(variables[0].1.as_bytes().split(|&b| b == b',').count(), 128);
    }
}

//! Addresses and blocking streams, unix or TCP.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use crate::wait::DEADLINE;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl Address {
    /// Connects, with [`DEADLINE`] for each read and write.
    pub fn connect(&self) -> io::Result<Stream> {
        let stream = match self {
            Self::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            Self::Tcp(addr) => Stream::Tcp(TcpStream::connect(addr)?),
        };
        if let Stream::Tcp(tcp) = &stream {
            tcp.set_nodelay(true)?;
        }
        stream.set_timeouts(Some(DEADLINE))?;
        Ok(stream)
    }

    /// As `fastcgi_pass` wants it: `unix:/path` or `127.0.0.1:9000`.
    pub fn nginx(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Tcp(addr) => addr.to_string(),
        }
    }
}

impl fmt::Display for Address {
    /// As `listen` wants it: `/path` or `127.0.0.1:9000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(addr) => addr.fmt(f),
        }
    }
}

/// A port of 127.0.0.1 that was free a moment ago. Whoever uses it must be ready to lose it and to ask again.
pub fn probe_port() -> SocketAddr {
    let probe = TcpListener::bind(("127.0.0.1", 0)).expect("bind a free port");
    probe.local_addr().expect("local address")
}

/// A connected, blocking stream.
#[derive(Debug)]
pub enum Stream {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

impl Stream {
    /// Bounds each read and each write; `None` waits for ever.
    pub fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(s) => s.set_read_timeout(timeout).and_then(|()| s.set_write_timeout(timeout)),
            Self::Tcp(s) => s.set_read_timeout(timeout).and_then(|()| s.set_write_timeout(timeout)),
        }
    }

    /// Closes the sending half: the peer reads an end of file.
    pub fn end_sending(&self) -> io::Result<()> {
        match self {
            Self::Unix(s) => s.shutdown(Shutdown::Write),
            Self::Tcp(s) => s.shutdown(Shutdown::Write),
        }
    }

    /// Closes at once, over TCP with a reset instead of an orderly end.
    pub fn reset(self) {
        if let Self::Tcp(s) = &self {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(s, sockopt::Linger, &linger).expect("SO_LINGER");
        }
    }

    /// A second handle to the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(s) => Self::Unix(s.try_clone()?),
            Self::Tcp(s) => Self::Tcp(s.try_clone()?),
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(s) => s.read(buf),
            Self::Tcp(s) => s.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(s) => s.write(buf),
            Self::Tcp(s) => s.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

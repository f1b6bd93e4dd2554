//! The listening sockets: bound once, inherited by every process of their pool and by the master that takes over.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use ftm_config::{Config, Listen, ListenAddress, Pool};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Uid;
use socket2::{Domain, SockAddr, Socket, Type};

use super::PoolSocket;
use super::access::Access;
use super::inherit::{InheritedSocket, key_of_tcp};
use crate::observe::{log, reason};
use crate::pool::{Identity, find_group, find_user};

/// A listening socket.
pub struct Bound {
    /// The socket, non-blocking, and its name for a master that takes over.
    pub socket: InheritedSocket,
    /// Whether a former master or systemd left it to this one.
    inherited: bool,
}

/// The sockets of a pool.
pub struct PoolBound {
    /// `listen`.
    pub listen: Bound,
    /// `pm.status_listen`.
    pub status: Option<Bound>,
}

impl PoolBound {
    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = &InheritedSocket> {
        std::iter::once(&self.listen).chain(&self.status).map(|bound| &bound.socket)
    }

    fn into_sockets(self) -> impl Iterator<Item = Bound> {
        std::iter::once(self.listen).chain(self.status)
    }
}

/// Binds the sockets of each pool, or takes it from what was inherited. Sockets that nobody wants any more stay in
/// `inherited`.
///
/// # Errors
///
/// PHP-FPM's message for the first that cannot be bound. `inherited` is as it was then, and nothing else is bound.
pub fn bind_all(config: &Config, inherited: &mut Vec<InheritedSocket>) -> Result<Vec<PoolBound>, String> {
    if Uid::effective().is_root() {
        check_names(config)?;
    }
    let mut bound = Vec::new();
    for pool in &config.pools {
        let listens = std::iter::once(pool.listen.clone()).chain(status_listen(pool));
        for listen in listens {
            match bind(pool, &listen, inherited) {
                Ok(socket) => bound.push(socket),
                Err(message) => {
                    give_back(bound, inherited);
                    return Err(message);
                }
            }
        }
    }
    let mut bound = bound.into_iter();
    let of_pool = |pool: &Pool| {
        Some(PoolBound { listen: bound.next()?, status: pool.status_listen.as_ref().and_then(|_| bound.next()) })
    };
    Ok(config.pools.iter().filter_map(of_pool).collect())
}

/// `pm.status_listen`, with all else as the pool's own socket has it.
fn status_listen(pool: &Pool) -> Option<Listen> {
    let address = pool.status_listen.clone()?;
    let name = address.to_string().into();
    Some(Listen { address, name, ..pool.listen.clone() })
}

/// Binds, just to see whether it works, what was not inherited.
///
/// # Errors
///
/// PHP-FPM's message for the first that cannot be bound.
pub fn try_bind(config: &Config, mut inherited: Vec<InheritedSocket>) -> Result<(), String> {
    let bound = bind_all(config, &mut inherited)?;
    give_back(bound.into_iter().flat_map(PoolBound::into_sockets), &mut inherited);
    Ok(())
}

fn give_back(bound: impl IntoIterator<Item = Bound>, inherited: &mut Vec<InheritedSocket>) {
    for Bound { socket, inherited: was_inherited } in bound {
        match was_inherited {
            true => inherited.push(socket),
            false => remove_file(&socket.key),
        }
    }
}

/// Closes sockets that no pool wants any more, and removes their files.
pub fn discard(sockets: Vec<InheritedSocket>) {
    for socket in sockets.into_iter().filter(|socket| !socket.activated) {
        remove_file(&socket.key);
    }
}

/// Whether all users and groups that the pools name exist.
///
/// # Errors
///
/// PHP-FPM's message for the first that does not.
pub fn check_names(config: &Config) -> Result<(), String> {
    for pool in &config.pools {
        let in_pool = |e: String| format!("[pool {}] {e}", pool.name);
        pool.user.as_deref().map_or(Ok(()), |name| find_user(name).map(drop)).map_err(in_pool)?;
        pool.group.as_deref().map_or(Ok(()), |name| find_group(name).map(drop)).map_err(in_pool)?;
        // PHP-FPM adds errno, which tells nothing.
        let of_listen = |e: String| in_pool(format!("{e}: Success (0)"));
        pool.listen.owner.as_deref().map_or(Ok(()), |name| find_user(name).map(drop)).map_err(of_listen)?;
        pool.listen.group.as_deref().map_or(Ok(()), |name| find_group(name).map(drop)).map_err(of_listen)?;
    }
    Ok(())
}

/// As root, pools must become somebody else, unless `allowed` (`-R`).
///
/// # Errors
///
/// PHP-FPM's message for the first that would not.
pub fn check_root(config: &Config, allowed: bool) -> Result<(), String> {
    if allowed || !Uid::effective().is_root() {
        return Ok(());
    }
    match config.pools.iter().find(|pool| Identity::of(pool).is_ok_and(|identity| identity.is_root())) {
        Some(pool) => Err(format!("[pool {}] please specify user and group other than root", pool.name)),
        None => Ok(()),
    }
}

fn bind(pool: &Pool, listen: &Listen, inherited: &mut Vec<InheritedSocket>) -> Result<Bound, String> {
    let failed = |e: std::io::Error| cannot_bind(listen, &e);
    let addresses = match &listen.address {
        ListenAddress::Unix(path) => return bind_unix(path, pool, listen, inherited),
        ListenAddress::Tcp { host: None, port } => {
            vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()]
        }
        ListenAddress::Tcp { host: Some(host), port } => (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|e| format!("getaddrinfo: cannot resolve '{host}' of listen = {}: {e}", listen.name.display()))?
            .collect::<Vec<SocketAddr>>(),
    };
    if let Some(bound) = addresses.iter().find_map(|address| adopt(&key_of_tcp(*address), inherited)) {
        return Ok(bound);
    }
    let implicit = matches!(&listen.address, ListenAddress::Tcp { host: None, .. });
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.into_iter().enumerate() {
        if implicit && index > 0 {
            log::notice!("Failed implicitly binding to ::, retrying with 0.0.0.0");
        }
        match bind_tcp(address) {
            Ok(socket) => {
                start_listening(&socket, listen)?;
                return Ok(new(key_of_tcp(address), socket));
            }
            Err(e) => last = e,
        }
    }
    Err(failed(last))
}

/// Logs what was inherited, in PHP-FPM's words.
pub fn announce(inherited: &[InheritedSocket]) {
    for socket in inherited {
        log::notice!("using inherited socket fd={}, \"{}\"", socket.socket.as_raw_fd(), socket.key.display());
    }
}

/// The inherited socket of this key.
fn adopt(key: &OsStr, inherited: &mut Vec<InheritedSocket>) -> Option<Bound> {
    let at = inherited.iter().position(|socket| socket.key == key)?;
    let socket = inherited.swap_remove(at);
    Some(Bound { socket, inherited: true })
}

fn new(key: OsString, socket: Socket) -> Bound {
    Bound { socket: InheritedSocket { key, socket: socket.into(), activated: false }, inherited: false }
}

fn start_listening(socket: &Socket, listen: &Listen) -> Result<(), String> {
    let backlog = if listen.backlog < 0 { i32::MAX } else { listen.backlog };
    socket.listen(backlog).and_then(|()| socket.set_nonblocking(true)).map_err(|e| cannot_bind(listen, &e))
}

/// PHP-FPM's words.
fn cannot_bind(listen: &Listen, e: &std::io::Error) -> String {
    format!("unable to bind listening socket for address '{}': {}", listen.name.display(), reason(e))
}

fn bind_tcp(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // [::] takes IPv4 too, as under PHP-FPM.
        socket.set_only_v6(false)?;
    }
    // Inherited by accepted connections: a response leaves in one write, so waiting for more only costs time.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, pool: &Pool, listen: &Listen, inherited: &mut Vec<InheritedSocket>) -> Result<Bound, String> {
    let in_pool = |e: String| format!("[pool {}] {e}", pool.name);
    let access = Access::of(pool).map_err(in_pool)?;
    if let Some(bound) = adopt(path.as_os_str(), inherited) {
        return Ok(bound);
    }
    if UnixStream::connect(path).is_ok() {
        return Err(format!("Another FPM instance seems to already listen on {}", path.display()));
    }
    // A socket that a former server left behind.
    let _ = fs::remove_file(path);
    let failed = |e: std::io::Error| cannot_bind(listen, &e);
    let address = SockAddr::unix(path).map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    let mode = Mode::from_bits_truncate(listen.mode & 0o777);
    let before = umask(Mode::from_bits_truncate(0o777) & !mode);
    let bound = socket.bind(&address);
    umask(before);
    bound.map_err(failed)?;
    access.apply(path).map_err(in_pool)?;
    start_listening(&socket, listen)?;
    Ok(new(path.as_os_str().to_owned(), socket))
}

/// Removes the socket files at the end.
pub fn remove_files(pools: &[PoolSocket]) {
    let ours = pools.iter().flat_map(|pool| pool.bound.sockets()).filter(|socket| !socket.activated);
    ours.for_each(|socket| remove_file(&socket.key));
}

/// The key of a unix socket is its path.
fn remove_file(key: &OsStr) {
    if Path::new(key).is_absolute() {
        // Somebody may have been faster.
        let _ = fs::remove_file(key);
    }
}

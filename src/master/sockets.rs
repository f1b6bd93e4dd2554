//! The listening sockets: bound once by the master, inherited by every process of their pool.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use ftm_config::{Config, Listen, ListenAddress, Pool};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Uid;
use socket2::{Domain, SockAddr, Socket, Type};

use super::PoolSocket;
use super::access::Access;
use crate::observe::{log, reason};
use crate::pool::{Identity, find_group, find_user};

/// Binds the socket of each pool.
///
/// # Errors
///
/// PHP-FPM's message for the first that cannot be bound.
pub fn bind_all(config: &Config) -> Result<Vec<PoolSocket>, String> {
    check_names(config)?;
    config.pools.iter().map(|pool| Ok(PoolSocket { pool: pool.clone(), socket: bind(pool)? })).collect()
}

/// Whether all users and groups that the pools name exist.
///
/// # Errors
///
/// PHP-FPM's message for the first that does not.
pub fn check_names(config: &Config) -> Result<(), String> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    for pool in &config.pools {
        let in_pool = |e: String| format!("[pool {}] {e}", pool.name);
        pool.user.as_deref().map_or(Ok(()), |name| find_user(name).map(drop)).map_err(in_pool)?;
        pool.group.as_deref().map_or(Ok(()), |name| find_group(name).map(drop)).map_err(in_pool)?;
        pool.listen.owner.as_deref().map_or(Ok(()), |name| find_user(name).map(drop)).map_err(in_pool)?;
        pool.listen.group.as_deref().map_or(Ok(()), |name| find_group(name).map(drop)).map_err(in_pool)?;
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

fn bind(pool: &Pool) -> Result<OwnedFd, String> {
    let listen = &pool.listen;
    let failed = |e: std::io::Error| cannot_bind(listen, &e);
    let socket = match &listen.address {
        ListenAddress::Unix(path) => bind_unix(path, pool)?,
        ListenAddress::Tcp { host: None, port } => match bind_tcp((Ipv6Addr::UNSPECIFIED, *port).into()) {
            Ok(socket) => socket,
            Err(_) => {
                log::notice!("Failed implicitly binding to ::, retrying with 0.0.0.0");
                bind_tcp((Ipv4Addr::UNSPECIFIED, *port).into()).map_err(failed)?
            }
        },
        ListenAddress::Tcp { host: Some(host), port } => {
            let addresses = (host.as_str(), *port).to_socket_addrs().map_err(|e| {
                format!("getaddrinfo: cannot resolve '{host}' of listen = {}: {e}", listen.name.display())
            })?;
            first_bound(addresses).map_err(failed)?
        }
    };
    let backlog = if listen.backlog < 0 { i32::MAX } else { listen.backlog };
    socket.listen(backlog).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket.into())
}

/// PHP-FPM's words.
fn cannot_bind(listen: &Listen, e: &std::io::Error) -> String {
    format!("unable to bind listening socket for address '{}': {}", listen.name.display(), reason(e))
}

fn first_bound(addresses: impl Iterator<Item = SocketAddr>) -> std::io::Result<Socket> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind_tcp(address) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = e,
        }
    }
    Err(last)
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

fn bind_unix(path: &Path, pool: &Pool) -> Result<Socket, String> {
    let listen = &pool.listen;
    let in_pool = |e: String| format!("[pool {}] {e}", pool.name);
    let access = Access::of(pool).map_err(in_pool)?;
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
    Ok(socket)
}

/// Removes the socket files at the end.
pub fn remove_files(pools: &[PoolSocket]) {
    for PoolSocket { pool, .. } in pools {
        if let ListenAddress::Unix(path) = &pool.listen.address {
            // Somebody may have been faster.
            let _ = fs::remove_file(path);
        }
    }
}

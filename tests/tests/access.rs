//! Who may connect: listen.allowed_clients for TCP, owner, group, mode and access control lists for socket files.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;
use nix::unistd::{Gid, Group, Uid, User, setfsgid, setfsuid};

fn site() -> Site {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    site
}

/// A server on a port of all addresses, IPv6 and IPv4, where only `clients` may connect; and that port.
fn on_all_addresses(site: &Site, clients: &str) -> (Server, u16) {
    loop {
        let port = net::probe_port().port();
        let pool = PoolConfig::new("www").set("listen", &format!("[::]:{port}")).set("listen.allowed_clients", clients);
        let mut server = Server::spawn(Kind::under_test(), site, &ServerConfig::pool(pool));
        eventually("it has started, or failed", || {
            server.log().contains("ready to handle connections") || server.ended().is_some()
        });
        if server.ended().is_none() {
            return (server, port);
        }
        assert!(server.log().contains("Address already in use"), "{}", server.log());
    }
}

/// What a request from that address gets: the answer, or `None` if the connection is closed without one.
fn ask(site: &Site, from: SocketAddr) -> Option<String> {
    let mut conn = Conn::open(&Address::Tcp(from));
    // The server may have closed it already.
    let _ = io::Write::write_all(&mut conn.stream, &Call::get(site, "/hello.php").encode(1));
    conn.read_answer(1).ok().map(|answer| answer.text())
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

fn no_ipv6() -> bool {
    let none = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err();
    if none {
        wait::skipped("there is no IPv6");
    }
    none
}

#[test]
fn only_allowed_clients_are_served() {
    if no_ipv6() {
        return;
    }
    let site = site();
    let hello = Some("hello".to_owned());
    // An IPv4 client comes to a listener at [::] as ::ffff:127.0.0.1.
    let (server, port) = on_all_addresses(&site, "192.0.2.7,127.0.0.1");
    assert_eq!(ask(&site, v4(port)), hello);
    assert_eq!(ask(&site, v6(port)), None);
    server.wait_log("ERROR: Connection disallowed: IP address '::1' has been dropped.");
    assert_eq!(ask(&site, v4(port)), hello, "the others are served on");
    server.stop();

    let (server, port) = on_all_addresses(&site, "::1");
    assert_eq!(ask(&site, v6(port)), hello);
    assert_eq!(ask(&site, v4(port)), None);
    server.wait_log("ERROR: Connection disallowed: IP address '127.0.0.1' has been dropped.");
}

#[test]
fn ipv6_addresses_are_compared_to_their_last_bit() {
    only_php_ftm!("php-fpm compares the first twelve bytes");
    if no_ipv6() {
        return;
    }
    let site = site();
    let (server, port) = on_all_addresses(&site, "::2,::3");
    assert_eq!(ask(&site, v6(port)), None);
    server.wait_log("Connection disallowed: IP address '::1' has been dropped.");
    server.stop();
}

#[test]
fn clients_that_are_no_addresses_allow_nobody() {
    if no_ipv6() {
        return;
    }
    let site = site();
    for (clients, wrong) in [("nobody,127.0.0.0/8", vec!["nobody", "127.0.0.0/8"]), ("\"\"", vec![""])] {
        let (server, port) = on_all_addresses(&site, clients);
        assert_eq!(ask(&site, v4(port)), None, "{clients}");
        assert_eq!(ask(&site, v6(port)), None, "{clients}");
        for name in wrong {
            server.wait_log(&format!("ERROR: Wrong IP address '{name}' in listen.allowed_clients"));
        }
        server.wait_log("ERROR: There are no allowed addresses");
        server.wait_log("ERROR: Connection disallowed: IP address '127.0.0.1' has been dropped.");
    }
}

#[test]
fn socket_files_take_no_notice_of_allowed_clients() {
    let site = site();
    let pool = PoolConfig::new("www").set("listen.allowed_clients", "192.0.2.7,nobody");
    let server = Server::start(&site, ServerConfig::pool(pool));
    assert_eq!(server.get("/hello.php").text(), "hello");
    assert!(!server.log().contains("Wrong IP address"), "{}", server.log());
}

/// Whether a user with no other group than this one can connect to the socket.
fn can_connect(path: &Path, user: &str, group: &str) -> bool {
    let uid = User::from_name(user).expect("users").unwrap_or_else(|| panic!("a user {user}")).uid;
    let gid = Group::from_name(group).expect("groups").unwrap_or_else(|| panic!("a group {group}")).gid;
    let path = PathBuf::from(path);
    // What the kernel checks access to files by is each thread's own; leaving uid 0 takes root's powers over files along.
    let connect = move || {
        setfsgid(gid);
        setfsuid(uid);
        let impossible = Uid::from_raw(u32::MAX);
        assert_eq!((setfsuid(impossible), setfsgid(Gid::from_raw(u32::MAX))), (uid, gid), "became that user");
        match UnixStream::connect(&path) {
            Ok(_) => true,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => false,
            Err(e) => panic!("connect to {}: {e}", path.display()),
        }
    };
    thread::spawn(connect).join().expect("connect as another user")
}

#[test]
fn users_and_groups_of_the_list_may_connect() {
    if !Uid::effective().is_root() {
        return wait::skipped("it takes root to be several users");
    }
    let site = site();
    let pool = PoolConfig::new("www")
        .set("listen.mode", "0600")
        .set("listen.owner", "www-data")
        .set("listen.group", "www-data")
        .set("listen.acl_users", "games,nobody")
        .set("listen.acl_groups", "mail");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let socket = server.room().join("www.sock");
    for (user, group, may) in [
        ("games", "games", true),
        ("nobody", "nogroup", true),
        ("news", "mail", true),
        ("news", "news", false),
        // The owner that was named is not the owner.
        ("www-data", "www-data", false),
    ] {
        assert_eq!(can_connect(&socket, user, group), may, "{user}, {group}");
    }
    let file = fs::metadata(&socket).expect("the socket");
    // The group's bits of a file with a list show the list's mask.
    assert_eq!((file.uid(), file.gid(), file.permissions().mode() & 0o777), (0, 0, 0o660));
    let log = server.log();
    for directive in ["owner", "group"] {
        let warning = format!("WARNING: [pool www] ACL set, listen.{directive} = 'www-data' is ignored");
        assert!(log.contains(&warning), "{log}");
    }
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn a_list_of_unknown_names_is_refused() {
    let site = site();
    for (directive, what) in [("listen.acl_users", "uid for user"), ("listen.acl_groups", "gid for group")] {
        let pool = PoolConfig::new("www").set(directive, "root,nobody-of-that-name");
        let mut server = Server::spawn(Kind::under_test(), &site, &ServerConfig::pool(pool));
        assert_eq!(server.wait_end().code(), Some(78), "{directive}");
        let log = server.log();
        assert!(log.contains(&format!("[pool www] cannot get {what} 'nobody-of-that-name'")), "{log}");
    }
}

#[test]
fn owner_group_and_mode_of_a_socket_file_decide() {
    if !Uid::effective().is_root() {
        return wait::skipped("it takes root to be several users");
    }
    let site = site();
    let games = User::from_name("games").expect("users").expect("a user games");
    let mail = Group::from_name("mail").expect("groups").expect("a group mail").gid;
    let pool = || PoolConfig::new("www").set("listen.mode", "0660").set("listen.owner", "games");
    // Without a group it is the owner's; of an owner by number, the master's.
    for (pool, group) in [
        (pool(), games.gid),
        (pool().set("listen.group", "mail"), mail),
        (pool().set("listen.owner", &games.uid.to_string()), Gid::from_raw(0)),
    ] {
        let server = Server::start(&site, ServerConfig::pool(pool));
        let socket = server.room().join("www.sock");
        let file = fs::metadata(&socket).expect("the socket");
        let found = (file.uid(), file.gid(), file.permissions().mode() & 0o777);
        assert_eq!(found, (games.uid.as_raw(), group.as_raw(), 0o660));
        assert!(can_connect(&socket, "games", "nogroup"));
        assert_eq!(can_connect(&socket, "news", "mail"), group == mail);
        assert!(!can_connect(&socket, "www-data", "www-data"));
    }
}

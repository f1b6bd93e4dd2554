//! Where pools listen, and as whom they run.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::wait::{eventually_some, skipped};
use ftm_tests::*;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn site() -> Site {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    site
}

fn hello(site: &Site, address: &Address) -> String {
    Conn::open(address).call(1, &Call::get(site, "/hello.php")).text()
}

/// A pool that listens where `listen` says.
fn pool_on(listen: &str) -> PoolConfig {
    PoolConfig::new("www").set("listen", listen)
}

/// Starts a server and waits until it is up; `None` if its port was taken by somebody else.
fn try_start(site: &Site, pool: PoolConfig) -> Option<Server> {
    let server = Server::spawn(Kind::under_test(), site, &ServerConfig::pool(pool));
    let up = || {
        let log = server.log();
        let taken = log.contains("Address already in use");
        (taken || log.contains("ready to handle connections")).then_some(!taken)
    };
    eventually_some(DEADLINE, up).expect("a start, or a reason").then_some(server)
}

/// Starts a server on a free port; `listen` says how that is written.
fn start_on_port(site: &Site, listen: impl Fn(u16) -> String) -> (Server, u16) {
    let one = || {
        let port = net::probe_port().port();
        try_start(site, pool_on(&listen(port))).map(|server| (server, port))
    };
    (0..5).find_map(|_| one()).expect("a free port")
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn v4(port: u16) -> Address {
    Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn v6(port: u16) -> Address {
    Address::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
}

#[test]
fn a_port_of_an_ipv4_address() {
    let site = site();
    let (server, port) = start_on_port(&site, |port| format!("127.0.0.1:{port}"));
    assert_eq!(hello(&site, &v4(port)), "hello");
    assert!(v6(port).connect().is_err());
    assert!(Address::Tcp(SocketAddr::from(([127, 0, 0, 2], port))).connect().is_err());
    server.stop();
    assert!(v4(port).connect().is_err());
}

#[test]
fn a_port_of_a_host_name() {
    let site = site();
    let (_server, port) = start_on_port(&site, |port| format!("localhost:{port}"));
    let [four, six] = [v4(port), v6(port)].map(|address| address.connect().is_ok());
    assert!(four != six, "one of its addresses: v4 {four}, v6 {six}");
    assert_eq!(hello(&site, &if four { v4(port) } else { v6(port) }), "hello");
}

#[test]
fn a_port_of_an_ipv6_address() {
    if !has_ipv6() {
        return skipped("no IPv6 here");
    }
    let site = site();
    let (_server, port) = start_on_port(&site, |port| format!("[::1]:{port}"));
    assert_eq!(hello(&site, &v6(port)), "hello");
    assert!(v4(port).connect().is_err());
}

#[test]
fn a_bare_port_and_the_unspecified_address_take_both_families() {
    if !has_ipv6() {
        return skipped("no IPv6 here");
    }
    let site = site();
    let forms: [fn(u16) -> String; 2] = [|port| port.to_string(), |port| format!("[::]:{port}")];
    for form in forms {
        let (server, port) = start_on_port(&site, form);
        for _ in 0..4 {
            assert_eq!(hello(&site, &v4(port)), "hello");
            assert_eq!(hello(&site, &v6(port)), "hello");
        }
        server.stop();
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let site = site();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut server = Server::spawn(Kind::under_test(), &site, &ServerConfig::pool(pool_on(&address)));
    assert_eq!(server.wait_end().code(), Some(78));
    let expected = format!("unable to bind listening socket for address '{address}': Address already in use (98)");
    assert!(server.log().contains(&expected), "{}", server.log());
    assert!(!server.room().join("pid").exists());
}

#[test]
fn two_pools_may_not_share_an_address() {
    let site = site();
    let second = PoolConfig::new("second").set("listen", &site.dir().join("same.sock").display().to_string());
    let first = pool_on(&site.dir().join("same.sock").display().to_string());
    let mut server = Server::spawn(Kind::under_test(), &site, &ServerConfig::pool(first).and_pool(second));
    assert_eq!(server.wait_end().code(), Some(78));
    let expected = "[pool second] unable to set listen address as it's already used in another pool 'www'";
    assert!(server.log().contains(expected), "{}", server.log());
}

#[test]
fn a_unix_socket_in_use_is_refused() {
    let site = site();
    let path = site.dir().join("used.sock");
    let taken = UnixListener::bind(&path).expect("a socket");
    let inode = fs::metadata(&path).expect("the socket").ino();
    let pool = pool_on(&path.display().to_string());
    let mut server = Server::spawn(Kind::under_test(), &site, &ServerConfig::pool(pool));
    assert_eq!(server.wait_end().code(), Some(78));
    let expected = format!("Another FPM instance seems to already listen on {}", path.display());
    assert!(server.log().contains(&expected), "{}", server.log());
    assert_eq!(fs::metadata(&path).expect("the socket").ino(), inode, "its socket is untouched");
    drop(taken);
}

#[test]
fn a_stale_unix_socket_is_replaced() {
    let site = site();
    let path = site.dir().join("stale.sock");
    let leave: [fn(&PathBuf); 2] = [
        |path| drop(UnixListener::bind(path).expect("a socket")),
        |path| fs::write(path, "no socket").expect("a file"),
    ];
    for leave in leave {
        leave(&path);
        assert!(path.exists());
        let server = try_start(&site, pool_on(&path.display().to_string())).expect("no port is taken");
        assert_eq!(hello(&site, &Address::Unix(path.clone())), "hello");
        server.stop();
        assert!(!path.exists(), "it is gone after the stop");
    }
}

#[test]
fn a_unix_socket_has_its_mode_owner_and_group() {
    let site = site();
    let of = |pool: PoolConfig| {
        let server = Server::start(&site, ServerConfig::pool(pool));
        let found = fs::metadata(server.room().join("www.sock")).expect("the socket");
        (found.permissions().mode() & 0o7777, found.uid(), found.gid())
    };
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let pool = || PoolConfig::new("www").unset("listen.mode");
    assert_eq!(of(pool()), (0o660, uid, gid), "by default");
    for (mode, expected) in [("0666", 0o666), ("0600", 0o600), ("777", 0o777), ("0", 0)] {
        if expected == 0 && !is_root() {
            continue; // not even its owner could connect
        }
        assert_eq!(of(pool().set("listen.mode", mode)), (expected, uid, gid), "mode {mode}");
    }
    if !is_root() {
        return skipped("owners need root");
    }
    let id = |option| id(option, "www-data")[0];
    let (uid, gid) = (id("-u"), id("-g"));
    assert_eq!(of(pool().set("listen.owner", "www-data")), (0o660, uid, gid), "a name brings its own group along");
    assert_eq!(of(pool().set("listen.group", "www-data")), (0o660, 0, gid));
    let both = pool().set("listen.owner", "www-data").set("listen.group", "www-data").set("listen.mode", "0640");
    assert_eq!(of(both), (0o640, uid, gid));
    assert_eq!(of(pool().set("listen.owner", "12345")), (0o660, 12345, 0));
    assert_eq!(of(pool().set("listen.owner", "12345").set("listen.group", "54321")), (0o660, 12345, 54321));
}

/// The numbers that `id` prints.
fn id(option: &str, user: &str) -> Vec<u32> {
    let output = Command::new("id").args([option, user]).output().expect("run id");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().map(|n| n.parse().expect("a number")).collect()
}

#[test]
fn the_backlog_is_the_directives() {
    let site = site();
    let pool = PoolConfig::new("www").children(1).set("listen.backlog", "5");
    let server = Server::start(&site, ServerConfig::pool(pool));
    assert_eq!(server.get("/hello.php").text(), "hello");
    // Stopped, they accept nothing.
    server.workers().into_iter().for_each(proc::stop);
    let address = UnixAddr::new(&server.room().join("www.sock")).expect("an address");
    let mut waiting = Vec::new();
    let end = loop {
        let one = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).expect("a socket");
        match connect(std::os::fd::AsRawFd::as_raw_fd(&one), &address) {
            Ok(()) => waiting.push(one),
            Err(e) => break e,
        }
        assert!(waiting.len() < 100);
    };
    // The kernel takes one more than it was told.
    assert_eq!((waiting.len(), end), (6, Errno::EAGAIN));
}

const IDENTITY: &str = r#"<?php
echo json_encode([
    'real' => [posix_getuid(), posix_getgid()],
    'effective' => [posix_geteuid(), posix_getegid()],
    'groups' => posix_getgroups(),
    'back' => @posix_setuid(0) || @posix_setgid(0),
    'user' => getenv('USER'),
    'home' => getenv('HOME'),
    'file' => (function () { touch($f = $_GET['dir'] . '/' . uniqid()); return [fileowner($f), filegroup($f)]; })(),
    'child' => trim(shell_exec('id -u; id -g; id -G')),
    'privileges' => preg_grep('/^Cap(Eff|Prm)/', file('/proc/thread-self/status', FILE_IGNORE_NEW_LINES)),
]);"#;

#[test]
fn pools_run_as_their_user_and_group() {
    if !is_root() {
        return skipped("another user needs root");
    }
    let site = site();
    let dir = site.writable("state");
    site.file("identity.php", IDENTITY);
    let as_user = |name: &str, user: &str, group: Option<&str>| {
        let pool = PoolConfig::new(name).unset("group").set("user", user).children(2);
        group.iter().fold(pool, |pool, group| pool.set("group", group))
    };
    // The user's own group; another one; numbers; the supplementary groups are the user's in each case.
    let config = ServerConfig::pool(as_user("own", "www-data", None))
        .and_pool(as_user("other", "www-data", Some("mail")))
        .and_pool(as_user("games", "games", Some("www-data")));
    let server = Server::start(&site, config);
    let names = |option: &str, name: &str| id(option, name)[0];
    let group = |name: &str| nix::unistd::Group::from_name(name).expect("groups").expect("a group").gid.as_raw();
    for (pool, user, gid) in [
        ("own", "www-data", names("-g", "www-data")),
        ("other", "www-data", group("mail")),
        ("games", "games", group("www-data")),
    ] {
        let call = Call::get(&site, &format!("/identity.php?dir={}", dir.display()));
        let told = Conn::open(server.address_of(pool)).call(1, &call).text();
        let uid = names("-u", user);
        // initgroups() adds the group that the pool was given to those of the user.
        let mut groups = id("-G", user);
        let primary = names("-g", user);
        groups.retain(|&g| g != primary);
        groups.insert(0, gid);
        let home = nix::unistd::User::from_name(user).expect("users").expect("a user").dir;
        let list = groups.iter().map(u32::to_string).collect::<Vec<_>>();
        let expected = format!(
            r#"{{"real":[{uid},{gid}],"effective":[{uid},{gid}],"groups":[{}],"back":false,"user":"{user}","home":"{}","file":[{uid},{gid}],"child":"{uid}\n{gid}\n{}","#,
            list.join(","),
            home.display().to_string().replace('/', "\\/"),
            list.join(" "),
        );
        assert!(told.starts_with(&expected), "pool {pool}:\n{told}\n{expected}");
        assert_eq!(told.matches("0000000000000000").count(), 2, "no capability: {told}");
    }
}

#[test]
fn pools_start_in_their_directory() {
    let site = site();
    let dir = site.writable("elsewhere");
    site.file("where.php", "<?php echo getcwd();");
    site.file("sub/where.php", "<?php echo getcwd();");
    let config = ServerConfig::pool(PoolConfig::new("www").set("chdir", &dir.display().to_string()).children(1))
        .and_pool(PoolConfig::new("plain").children(1));
    let server = Server::start(&site, config);
    let mut places: Vec<PathBuf> = Vec::new();
    for pid in server.workers() {
        places.push(fs::read_link(format!("/proc/{pid}/cwd")).expect("cwd"));
    }
    places.sort();
    let mut expected = [dir.clone(), server.room().to_owned()];
    expected.sort();
    assert_eq!(places, expected, "the master's own directory without chdir");
    // Scripts run in their own directories all the same.
    for _ in 0..2 {
        assert_eq!(server.get("/where.php").text(), site.docroot().display().to_string());
        assert_eq!(server.get("/sub/where.php").text(), site.docroot().join("sub").display().to_string());
    }
}

#[test]
fn the_pid_file_holds_the_masters_id() {
    let site = site();
    let server = Server::start(&site, ServerConfig::default());
    let path = server.room().join("pid");
    assert_eq!(fs::read_to_string(&path).expect("the pid file"), server.pid().to_string());
    assert_eq!(fs::metadata(&path).expect("the pid file").permissions().mode() & 0o7777, 0o644);
    server.stop();
    assert!(!path.exists());
}

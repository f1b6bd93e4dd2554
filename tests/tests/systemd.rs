//! What systemd sees of the server (`Type=notify`), and the sockets that it passes.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::process::Process;
use ftm_tests::*;
use nix::sys::signal::Signal;

/// systemd's side of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    seen: VecDeque<String>,
}

impl Manager {
    fn new(site: &Site) -> Self {
        let path = site.dir().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        socket.set_read_timeout(Some(DEADLINE)).expect("timeout");
        Self { socket, path, seen: VecDeque::new() }
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// The next message that holds `text`; earlier ones are dropped.
    #[track_caller]
    fn wait(&mut self, text: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let n = self.socket.recv(&mut buffer).unwrap_or_else(|e| panic!("no {text:?}: {e}, but {:?}", self.seen));
            let message = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if message.contains(text) {
                return message;
            }
            self.seen.push_back(message);
        }
    }
}

#[test]
fn start_reload_and_stop_are_told() {
    only_php_ftm!("php-fpm tells neither of RELOADING nor of STOPPING");
    let site = Site::new();
    let mut systemd = Manager::new(&site);
    let server = Server::start(&site, ServerConfig::default().env("NOTIFY_SOCKET", systemd.path()));
    let main_pid = format!("MAINPID={}", server.pid());
    let ready = systemd.wait("READY=1");
    assert!(ready.contains(&main_pid) && ready.contains("STATUS=Ready to handle connections"), "{ready}");
    server.wait_log("systemd monitor interval set to 10000ms");
    server.signal(Signal::SIGUSR2);
    let reloading = systemd.wait("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(systemd.wait("READY=1").contains(&main_pid));
    // A refused reload ends the state "reloading" too.
    let config = server.room().join("php-fpm.conf");
    let text = std::fs::read_to_string(&config).expect("configuration");
    std::fs::write(&config, text + "bogus = 1\n").expect("write");
    server.signal(Signal::SIGUSR2);
    systemd.wait("RELOADING=1");
    systemd.wait("READY=1");
    server.stop();
    systemd.wait("STOPPING=1");
}

#[test]
fn the_watchdog_is_kept_quiet_with_figures() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let mut systemd = Manager::new(&site);
    let config = ServerConfig::default().env("NOTIFY_SOCKET", systemd.path()).env("WATCHDOG_USEC", "2400000");
    let server = Server::start(&site, config);
    server.wait_log("systemd watchdog configured to 1.2sec");
    assert_eq!(server.get("/hello.php").text(), "hello");
    let message = systemd.wait("WATCHDOG=1");
    assert!(message.contains("STATUS=Processes active: 0, idle: 4, Requests: 1, slow: 0, Traffic: "), "{message}");
    server.stop();
}

/// Starts the server under test as systemd does with these listening sockets.
fn start_activated(site: &Site, sockets: &[&dyn AsRawFd], listen: &[String]) -> Process {
    let room = site.writable("activated");
    let user = if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" };
    let pool = |(n, listen): (usize, &String)| {
        format!("[p{n}]\n{user}listen = {listen}\nlisten.mode = 0666\npm = static\npm.max_children = 2\n")
    };
    let pools: String = listen.iter().enumerate().map(pool).collect();
    std::fs::write(room.join("c.conf"), format!("[global]\nerror_log = {}/error.log\n{pools}", room.display()))
        .expect("write");
    let count = sockets.len();
    let copies = (0..count).map(|n| format!("{}<&{}", 3 + n, 100 + n)).collect::<Vec<_>>().join(" ");
    let mut command = Command::new("/bin/bash");
    let script = format!("export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$@\" {copies}");
    command.args(["-c", &script, "bash"]).arg(Kind::under_test().program());
    command.args(["-F", "-O", "-n", "-y"]).arg(room.join("c.conf"));
    let fds: Vec<i32> = sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    // SAFETY: dup2() may be called between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, move || {
            for (to, &fd) in (100..).zip(&fds) {
                nix::libc::dup2(fd, to);
            }
            Ok(())
        });
    }
    Process::start("activated", command, &room.join("output.log"), &[])
}

fn hello(site: &Site, address: &Address) -> String {
    Conn::open(address).call(1, &Call::get(site, "/hello.php")).text()
}

#[test]
fn sockets_that_systemd_made_are_used_and_left_to_it() {
    only_php_ftm!("php-fpm binds its own");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let path = site.dir().join("passed.sock");
    let unix = UnixListener::bind(&path).expect("bind");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("chmod");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let tcp_address = tcp.local_addr().expect("address");
    let listen = [path.display().to_string(), tcp_address.to_string()];
    let mut server = start_activated(&site, &[&unix, &tcp], &listen);
    for address in [Address::Unix(path.clone()), Address::Tcp(tcp_address)] {
        assert_eq!(hello(&site, &address), "hello");
    }
    // They stay what they are over a reload.
    let ready = |n| move |log: String| log.matches("ready to handle connections").count() >= n;
    eventually("it is ready", || ready(1)(server.log()));
    server.signal(Signal::SIGUSR2);
    eventually("it is ready again", || ready(2)(server.log()));
    assert_eq!(hello(&site, &Address::Unix(path.clone())), "hello");
    server.signal(Signal::SIGQUIT);
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
    assert!(Path::new(&path).exists(), "its file is systemd's to remove");
}

//! The master: how it starts, what it leaves on disk, and how signals end it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Writes a configuration with one pool on a unix socket; `global` and `pool` are further lines.
fn configuration(site: &Site, global: &str, pool: &str) -> PathBuf {
    let dir = site.writable("etc");
    let path = dir.join("php-fpm.conf");
    let user = if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" };
    let dir = dir.display();
    let text = format!(
        "[global]\nerror_log = {dir}/error.log\npid = {dir}/pid\n{global}\n\
         [www]\nlisten = {dir}/www.sock\nlisten.mode = 0666\n{user}pm = static\npm.max_children = 2\n{pool}\n"
    );
    fs::write(&path, text).expect("write the configuration");
    path
}

/// Runs the server's program to its end.
fn run(args: &[&str], configuration: &Path) -> Output {
    let mut command = Command::new(Kind::under_test().program());
    command.args(args).arg("-y").arg(configuration).stdin(Stdio::null());
    command.output().expect("run the server")
}

/// A server that went into the background; it is killed when this is dropped.
struct Daemon(u32);

impl Daemon {
    fn of(site: &Site) -> Self {
        let pid = fs::read_to_string(site.dir().join("etc/pid")).expect("the pid file");
        Self(pid.parse().expect("a pid, and nothing else"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0).expect("a pid")), signal).expect("kill");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for pid in proc::tree(self.0) {
            let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL);
        }
    }
}

fn log(site: &Site) -> String {
    fs::read_to_string(site.dir().join("etc/error.log")).unwrap_or_default()
}

#[test]
fn a_daemon_serves_when_its_start_returns() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let configuration = configuration(&site, "process_control_timeout = 10s", "");
    let socket = site.dir().join("etc/www.sock");
    for round in 0..2 {
        let output = run(&["-D"], &configuration);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stdout, b"");
        let daemon = Daemon::of(&site);
        assert!(proc::alive(daemon.0));
        let answer = Conn::open(&Address::Unix(socket.clone())).call(1, &Call::get(&site, "/hello.php"));
        assert_eq!(answer.text(), "hello");
        eventually("it says so", || log(&site).matches("ready to handle connections").count() == round + 1);
        assert!(log(&site).contains(&format!("NOTICE: fpm is running, pid {}", daemon.0)));
        // It has left the caller's session, and keeps none of its streams.
        let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.0)).expect("stat");
        let session = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(3)).expect("a session");
        assert_eq!(session, daemon.0.to_string());
        for fd in 0..3 {
            let target = fs::read_link(format!("/proc/{}/fd/{fd}", daemon.0)).expect("a standard stream");
            assert!(
                target == Path::new("/dev/null") || target.ends_with("etc/error.log"),
                "{fd}: {}",
                target.display()
            );
        }
        // A second one on the same socket is refused, and does no harm to the first.
        let second = run(&["-D", "-g", &site.dir().join("etc/second.pid").display().to_string()], &configuration);
        assert_eq!(second.status.code(), Some(70), "{second:?}");
        let said = String::from_utf8_lossy(&second.stderr).into_owned() + &log(&site);
        assert!(said.contains("Another FPM instance seems to already listen on"), "{said}");
        let answer = Conn::open(&Address::Unix(socket.clone())).call(1, &Call::get(&site, "/hello.php"));
        assert_eq!(answer.text(), "hello");

        daemon.signal(Signal::SIGQUIT);
        eventually("the daemon is gone", || !proc::alive(daemon.0));
        assert!(log(&site).contains("Finishing ...") && log(&site).contains("exiting, bye-bye!"));
        assert!(!socket.exists() && !site.dir().join("etc/pid").exists(), "its files are gone");
    }
}

#[test]
fn failed_starts_exit_with_their_codes() {
    let site = Site::new();
    let fails = |global: &str, pool: &str, args: &[&str], code: i32, text: &str| {
        let configuration = configuration(&site, global, pool);
        let output = run(args, &configuration);
        assert_eq!(output.status.code(), Some(code), "{global} {pool} {args:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &log(&site);
        assert!(said.contains(text), "{global} {pool} {args:?}: {text:?} is not in {said}");
        assert!(!site.dir().join("etc/pid").exists(), "{global} {pool} {args:?}: no pid file stays");
    };
    for mode in ["-D", "-F"] {
        // What the configuration tells by itself is said before the daemon leaves.
        fails(
            "",
            "pm.max_children = zwei",
            &[mode],
            78,
            "php-fpm.conf:11] unable to parse value for entry 'pm.max_children'",
        );
        fails("nonsense = 1", "", &[mode], 78, "php-fpm.conf:4] unknown entry 'nonsense'");
        // What only shows when it is put into effect.
        let later = if mode == "-D" { 70 } else { 78 };
        fails("", "listen = /nonexistent/www.sock", &[mode], later, "unable to bind listening socket for address");
        fails("pid = /nonexistent/pid", "", &[mode], later, "nable to ");
        if nix::unistd::geteuid().is_root() {
            fails("", "user = nobody-of-that-name", &[mode], later, "nobody-of-that-name");
        }
    }
}

fn long_site() -> (Site, PathBuf) {
    let site = Site::new();
    let dir = site.writable("dir");
    let script = "touch($_GET['dir'] . '/begun'.$_GET['n']); wait_for($_GET['dir'] . '/go'); echo 'finished';";
    site.file("long.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("hello.php", "<?php echo 'hello';");
    (site, dir)
}

fn begin_long(site: &Site, server: &Server, dir: &Path, n: usize) -> Conn {
    let mut conn = server.connect();
    conn.send(Call::get(site, &format!("/long.php?dir={}&n={n}", dir.display())).encode(1));
    conn
}

#[test]
fn quit_lets_running_requests_finish() {
    let (site, dir) = long_site();
    let config = ServerConfig::default().global("process_control_timeout", "60s");
    let mut server = Server::start(&site, config);
    let running: Vec<Conn> = (0..4).map(|n| begin_long(&site, &server, &dir, n)).collect();
    eventually("all have begun", || (0..4).all(|n| dir.join(format!("begun{n}")).exists()));
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    fs::write(dir.join("go"), "").expect("a file");
    for mut conn in running {
        assert_eq!(conn.answer(1).text(), "finished");
    }
    assert_eq!(server.wait_end().code(), Some(0));
    assert!(!server.room().join("www.sock").exists() && !server.room().join("pid").exists());
}

#[test]
fn quit_lets_queued_requests_finish() {
    only_php_ftm!("php-fpm leaves them in the kernel, which resets them");
    let (site, dir) = long_site();
    let config = ServerConfig::pool(PoolConfig::new("www").children(2)).global("process_control_timeout", "60s");
    let mut server = Server::start(&site, config);
    let mut idle = server.connect();
    assert_eq!(idle.call(1, &Call::get(&site, "/hello.php").keep()).text(), "hello");
    let waiting: Vec<Conn> = (0..20).map(|n| begin_long(&site, &server, &dir, n)).collect();
    // Which two is a matter of which thread is where.
    eventually("two have begun", || fs::read_dir(&dir).expect("the directory").count() == 2);
    // All twenty were accepted and read: the last of these is behind them on the same socket.
    let mut values = server.connect();
    values.send(fcgi::Record::new(fcgi::kind::GET_VALUES, 0, []).encode());
    values.record();
    server.signal(Signal::SIGQUIT);
    assert!(idle.closed_by_server(), "an idle connection is closed");
    fs::write(dir.join("go"), "").expect("a file");
    for mut conn in waiting {
        assert_eq!(conn.answer(1).text(), "finished");
    }
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn quit_ends_requests_that_take_longer_than_process_control_timeout() {
    let (site, dir) = long_site();
    let config = ServerConfig::default().global("process_control_timeout", "1s");
    let mut server = Server::start(&site, config);
    let mut conn = begin_long(&site, &server, &dir, 0);
    eventually("it has begun", || dir.join("begun0").exists());
    let workers = server.workers();
    server.signal(Signal::SIGQUIT);
    assert_eq!(server.wait_end().code(), Some(0));
    assert!(conn.read_answer(1).is_err(), "there is no answer");
    assert!(!workers.iter().any(|&pid| proc::alive(pid)));
}

#[test]
fn term_and_int_end_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (site, dir) = long_site();
        let config = ServerConfig::default().global("process_control_timeout", "20s");
        let mut server = Server::start(&site, config);
        let mut conn = begin_long(&site, &server, &dir, 0);
        eventually("it has begun", || dir.join("begun0").exists());
        let workers = server.workers();
        server.signal(signal);
        assert_eq!(server.wait_end().code(), Some(0), "{signal}");
        assert!(conn.read_answer(1).is_err(), "{signal}: there is no answer");
        assert!(!workers.iter().any(|&pid| proc::alive(pid)), "{signal}");
        assert!(!server.room().join("www.sock").exists() && !server.room().join("pid").exists());
        let log = server.log();
        assert!(log.contains("Terminating ...") && log.contains("exiting, bye-bye!"), "{log}");
    }
}

#[test]
fn term_overtakes_quit() {
    let (site, dir) = long_site();
    let config = ServerConfig::default().global("process_control_timeout", "300s");
    let mut server = Server::start(&site, config);
    let _conn = begin_long(&site, &server, &dir, 0);
    eventually("it has begun", || dir.join("begun0").exists());
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_end().code(), Some(0));
}

/// What programs that a script starts find open beside their standard streams, one descriptor per line. The script's own
/// file is among it, as PHP opens it.
const DESCRIPTORS: &str = r#"<?php
$command = 'ls -l /proc/self/fd | sed -n "s/^.* \([0-9]* -> \)/\1/p"';
$process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
foreach ([shell_exec($command), stream_get_contents($pipes[1])] as $list) {
    if (!str_contains($list, '1 -> ')) exit("no list: $list");
    echo implode(preg_grep('~^[012] -> | -> /proc/\d+/fd$| -> ' . __FILE__ . '$~', file("data:,$list"), PREG_GREP_INVERT));
}"#;

#[test]
fn programs_that_scripts_start_inherit_no_descriptor() {
    only_php_ftm!("php-fpm passes on what it inherits itself");
    let site = Site::new();
    site.file("descriptors.php", DESCRIPTORS);
    // Without O_CLOEXEC: the servers get both ends.
    let _inheritable = nix::unistd::pipe().expect("a pipe");
    let inherited = |address: &Address| {
        // There are connections, and other pools have theirs.
        let _others: Vec<Conn> = (0..3).map(|_| Conn::open(address)).collect();
        Conn::open(address).call(1, &Call::get(&site, "/descriptors.php")).text()
    };
    let config = ServerConfig::default().and_pool(PoolConfig::new("other").tcp());
    let server = Server::start(&site, config);
    assert_eq!(inherited(server.address()), "");
    assert_eq!(inherited(server.address_of("other")), "");

    let configuration = configuration(&site, "", "");
    let output = run(&["-D"], &configuration);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let _daemon = Daemon::of(&site);
    assert_eq!(inherited(&Address::Unix(site.dir().join("etc/www.sock"))), "");
}

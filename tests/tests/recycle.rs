//! Recycling in place: threads come and go, requests do not notice, and nothing grows.

use std::sync::atomic::{AtomicU32, Ordering};

use ftm_tests::fcgi::Call;
use ftm_tests::*;

const THREADS: usize = 8;
const CLIENTS: u32 = 16;

/// Work of some kinds that leave something in a thread: classes, included files, strings, ini settings, streams, regular
/// expressions.
const WORK: &str = r#"<?php
require_once __DIR__ . '/part.php';
ini_set('precision', '5');
$part = new Part((int) $_GET['n']);
preg_match('/^(\d+)-' . ($_GET['n'] % 50) . '/', $part->text(), $found);
$file = fopen('php://temp', 'w+');
fwrite($file, str_repeat($part->text(), 100));
header('X-N: ' . $_GET['n']);
echo $part->text(), ' ', json_encode(array_fill(0, 20, $_GET['n'])), ' ', strlen(serialize($part));
"#;

const PART: &str = r#"<?php
class Part {
    static int $made = 0;
    private array $list;
    function __construct(private int $n) { self::$made++; $this->list = range(0, 500); }
    function text(): string { return "$this->n-" . self::$made; }
}
"#;

fn site() -> Site {
    let site = Site::new();
    site.file("work.php", WORK);
    site.file("part.php", PART);
    site.file("recycles.php", "<?php echo ftm_get_status()['recycles'];");
    site.file("sound.php", PHP_SOUND);
    site
}

fn recycles(server: &Server) -> u32 {
    server.get("/recycles.php").text().parse().expect("a number")
}

/// What `WORK` answers.
fn check(answer: &fcgi::Answer, n: u32) {
    let text = answer.text();
    assert!(
        text.starts_with(&format!("{n}-1 [\"{n}\",")),
        "request {n}: {:?}",
        String::from_utf8_lossy(&answer.stdout)
    );
    assert_eq!(answer.stderr, b"", "request {n}");
}

/// Runs `requests` requests, [`CLIENTS`] at a time, on kept-alive connections.
fn work(site: &Site, server: &Server, requests: u32) {
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut conn = server.connect();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= requests {
                        return;
                    }
                    let id = u16::try_from(n % 1000 + 1).expect("small");
                    check(&conn.call(id, &Call::get(site, &format!("/work.php?n={n}")).keep()), n);
                }
            });
        }
    });
}

#[test]
fn four_thousand_recycles_under_load_lose_nothing_and_leak_nothing() {
    only_php_ftm!("php-fpm has no threads");
    let _alone = heavy();
    let site = site();
    let pool = PoolConfig::new("www")
        .children(THREADS)
        .set("pm.max_requests", "5")
        .set("php_admin_value[zend_extension]", "opcache")
        .set("php_admin_flag[opcache.enable]", "on");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let [process] = server.workers()[..] else { panic!("one process per pool") };
    work(&site, &server, 1000);
    // One that has left may take a moment to end. Beside them: the master's, and three of the pool process.
    eventually("there are as many threads as slots", || server.counts().threads == THREADS + 4);
    let counts = server.counts();
    let memory = || proc::rss(process);
    work(&site, &server, 4000);
    let early = memory();
    work(&site, &server, 15_000);
    let late = memory();

    let recycled = recycles(&server);
    // Each thread that is still there has run fewer than five.
    assert!((3900..=4000).contains(&recycled), "{recycled} recycles");
    server.wait_nothing_lost(&counts);
    assert_eq!(server.workers(), [process], "the process is the first one");
    // Some 2 KiB for each of the last 3000.
    assert!(late < early + (6 << 20), "resident memory went from {} to {} KiB", early >> 10, late >> 10);
}

#[test]
fn a_thread_for_each_request() {
    only_php_ftm!("php-fpm has no threads");
    let _alone = heavy();
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").set("pm.max_requests", "1")));
    let threads = server.counts().threads;
    work(&site, &server, 50);
    // One look: between two of them a thread that was still to be replaced may be there beside its successor.
    let counts = wait::eventually_some(DEADLINE, || Some(server.counts()).filter(|counts| counts.threads == threads));
    let counts = counts.expect("the last thread is replaced");
    work(&site, &server, 950);
    // The request that asks has its own thread; the one of the last request before may still be on its way.
    let recycled = recycles(&server);
    assert!((996..=1000).contains(&recycled), "{recycled} recycles");
    server.wait_nothing_lost(&counts);
}

#[test]
fn other_threads_go_on_while_one_is_recycled() {
    only_php_ftm!("php-fpm has no threads");
    let site = site();
    let dir = site.writable("dir");
    let script = "touch($_GET['dir'] . '/begun'); wait_for($_GET['dir'] . '/go'); echo 'went on';";
    site.file("long.php", format!("{PHP_WAIT_FOR}{script}"));
    let server =
        Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(2).set("pm.max_requests", "2")));
    let mut conn = server.connect();
    conn.send(Call::get(&site, &format!("/long.php?dir={}", dir.display())).encode(1));
    eventually("the long request has begun", || dir.join("begun").exists());
    let before = recycles(&server);
    let mut short = server.connect();
    (0..40).for_each(|n| check(&short.call(1, &Call::get(&site, &format!("/work.php?n={n}")).keep()), n));
    assert!(recycles(&server) >= before + 20);
    std::fs::write(dir.join("go"), "").expect("a file");
    assert_eq!(conn.answer(1).text(), "went on");
}

#[test]
fn requests_that_end_badly_count_as_any_other() {
    only_php_ftm!("php-fpm has no threads");
    let site = site();
    site.file("fatal.php", format!("{PHP_SPOIL}<?php undefined();"));
    site.file("exit.php", format!("{PHP_SPOIL}<?php register_shutdown_function(fn() => exit(1)); exit('out');"));
    site.file("memory.php", format!("{PHP_SPOIL}<?php ini_set('memory_limit', '8M'); str_repeat('x', 1 << 24);"));
    let pool = PoolConfig::new("www").children(1).set("pm.max_requests", "8");
    let server = Server::start(&site, ServerConfig::pool(pool));
    for _ in 0..20 {
        assert_eq!(server.get("/fatal.php").web().status, 500);
        assert_eq!(server.get("/sound.php").text(), "sound");
        assert_eq!(server.get("/exit.php").text().trim(), "out");
        assert_eq!(server.get("/sound.php").text(), "sound");
        assert_eq!(server.get("/memory.php").web().status, 500);
        assert_eq!(server.get("/sound.php").text(), "sound");
    }
    assert_eq!(recycles(&server), 120 / 8);
}

#[test]
fn persistent_connections_close_with_their_thread() {
    let site = site();
    // The second one has no port: it fails, and leaves a persistent stream behind all the same.
    let script = r#"<?php
stream_socket_client("unix://$_GET[socket]", $code, $message, 5, STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT);
@stream_socket_client('nowhere', $code, $message, 0, STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT);
echo 'connected';"#;
    site.file("connect.php", script);
    let socket = site.writable("peer").join("socket");
    let peer = std::os::unix::net::UnixListener::bind(&socket).expect("listen");
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("open for all");
    peer.set_nonblocking(true).expect("set nonblocking");
    let pool = PoolConfig::new("www").children(2).set("pm.max_requests", "1");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let workers = server.workers();
    let mut accepted = Vec::new();
    for _ in 0..60 {
        assert_eq!(server.get(&format!("/connect.php?socket={}", socket.display())).text(), "connected");
        accepted.push(wait::eventually_some(DEADLINE, || peer.accept().ok()).expect("a connection").0);
    }
    for mut connection in accepted {
        connection.set_nonblocking(false).expect("set blocking");
        connection.set_read_timeout(Some(DEADLINE)).expect("set timeout");
        assert_eq!(std::io::Read::read(&mut connection, &mut [0]).expect("its end"), 0);
    }
    if server.kind() == Kind::PhpFtm {
        assert_eq!(server.workers(), workers, "no thread took the process with it: {}", server.log());
    }
}

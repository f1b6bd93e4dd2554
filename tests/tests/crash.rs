//! Pool processes that die, and a master that does.

use ftm_tests::fcgi::{Answer, Call, Conn};
use ftm_tests::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A signal of which a process dies.
const CRASH: Signal = Signal::SIGSEGV;

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("kill");
}

fn site() -> Site {
    let site = Site::new();
    // Long enough for some requests to be under way at any time.
    site.file("hello.php", "<?php usleep(2000); echo 'hello';");
    site.file("process.php", "<?php echo basename(readlink('/proc/self'));");
    site
}

fn hello(answer: &Answer) -> bool {
    answer.stdout.ends_with(b"\r\n\r\nhello")
}

/// The process of a pool.
fn process(site: &Site, address: &Address) -> u32 {
    Conn::open(address).call(1, &Call::get(site, "/process.php")).text().parse().expect("a pid")
}

#[test]
fn a_crashed_pool_is_replaced_and_nobody_is_refused() {
    only_php_ftm!("php-fpm loses one worker only");
    let _alone = heavy();
    let site = site();
    let config = ServerConfig::pool(PoolConfig::new("unix")).and_pool(PoolConfig::new("tcp").tcp());
    let server = Server::start(&site, config.and_pool(PoolConfig::new("other")));
    let call = Call::get(&site, "/hello.php");
    let other = server.address_of("other").clone();
    let other_process = process(&site, &other);
    let undisturbed = Load::start(2, &other, &call, hello);
    for name in ["unix", "tcp"] {
        let address = server.address_of(name).clone();
        let load = Load::start(8, &address, &call, hello);
        for _ in 0..4 {
            load.wait_for(50);
            let before = process(&site, &address);
            send(before, CRASH);
            eventually("the process is gone", || !proc::alive(before));
            load.wait_for(50);
            assert_ne!(process(&site, &address), before);
            server.wait_log(&format!("[pool {name}] child {before} exited on signal {} ({CRASH})", CRASH as i32));
        }
        let outcome = load.end();
        assert_eq!(outcome.failures, [""; 0], "pool {name}");
        // Each crash takes at most what is under way: a request for each client.
        assert!(outcome.broken <= 4 * 8, "{outcome:?}");
    }
    let outcome = undisturbed.end();
    assert_eq!((outcome.broken, outcome.failures), (0, Vec::new()), "another pool");
    assert_eq!(process(&site, &other), other_process);
    assert_eq!(server.workers().len(), 3);
}

#[test]
fn requests_that_wait_survive_the_crash_before_them() {
    only_php_ftm!("php-fpm loses one worker only");
    let site = site();
    let server = Server::start(&site, ServerConfig::default());
    let [before] = server.workers()[..] else { panic!("one process") };
    // Stopped, it accepts nothing more: these wait in the kernel.
    proc::stop(before);
    let mut waiting: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/hello.php").encode(1)));
    send(before, Signal::SIGKILL);
    for conn in &mut waiting {
        assert_eq!(conn.answer(1).text(), "hello");
    }
    assert!(server.log().contains(&format!("[pool www] child {before} exited on signal 9 (SIGKILL)")));
}

#[test]
fn a_pool_that_cannot_start_is_tried_less_and_less_often() {
    only_php_ftm!("php-fpm starts PHP in the master");
    let site = site();
    let broken = PoolConfig::new("broken")
        .set("php_admin_value[extension]", &extension::build("ftmhooks").display().to_string())
        .set("php_admin_value[ftmhooks.fail]", "MINIT");
    let config = ServerConfig::pool(PoolConfig::new("good")).and_pool(broken);
    let server = Server::spawn(Kind::PhpFtm, &site, &config);
    server.wait_log("[pool broken] keeps ending right after its start: next try in 400ms");
    let log = server.log();
    assert!(
        log.contains("Unable to start \"ftmhooks\" module") || log.contains("Unable to start ftmhooks module"),
        "{log}"
    );
    assert!(log.contains("[pool broken] child "), "{log}");
    for _ in 0..20 {
        assert_eq!(server.get("/hello.php").text(), "hello", "the other pool serves");
    }
    let exits = server.log().matches("[pool broken] child").count();
    assert!(exits < 20, "{exits} tries already");
    server.stop();
}

#[test]
fn pools_finish_by_themselves_when_the_master_is_killed() {
    only_php_ftm!("php-fpm's workers stay");
    let site = site();
    let dir = site.writable("dir");
    let script = "touch($_GET['dir'] . '/begun'); wait_for($_GET['dir'] . '/go'); echo 'finished';";
    site.file("long.php", format!("{PHP_WAIT_FOR}{script}"));
    let config = ServerConfig::pool(PoolConfig::new("unix")).and_pool(PoolConfig::new("tcp").tcp());
    let mut server = Server::start(&site, config);
    let pools = server.workers();
    assert_eq!(pools.len(), 2);
    let idle = Conn::open(server.address_of("tcp"));
    let mut conn = server.connect();
    conn.send(Call::get(&site, &format!("/long.php?dir={}", dir.display())).encode(1));
    eventually("the request has begun", || dir.join("begun").exists());
    server.signal(Signal::SIGKILL);
    server.wait_end();
    server.wait_log("the master is gone: finishing");
    std::fs::write(dir.join("go"), "").expect("a file");
    assert_eq!(conn.answer(1).text(), "finished", "what is under way is finished");
    eventually("the pools are gone", || !pools.iter().any(|&pid| proc::alive(pid)));
    drop(idle);
    // And their addresses are free: the unix socket's file is there, and is nobody's.
    for name in ["unix", "tcp"] {
        let address = server.address_of(name).clone();
        match &address {
            Address::Unix(path) => assert!(path.exists()),
            Address::Tcp(_) => {}
        }
        let again = ServerConfig::pool(PoolConfig::new("www").set("listen", &address.to_string()));
        let server = Server::spawn(Kind::PhpFtm, &site, &again);
        server.wait_log("ready to handle connections");
        assert_eq!(Conn::open(&address).call(1, &Call::get(&site, "/hello.php")).text(), "hello");
        server.stop();
    }
}

#[test]
fn a_pool_process_that_ends_by_itself_is_replaced() {
    only_php_ftm!("php-fpm loses one worker only");
    let site = site();
    site.file("kill.php", "<?php exec('kill -KILL ' . basename(readlink('/proc/self'))); sleep(60);");
    let server = Server::start(&site, ServerConfig::default());
    for _ in 0..3 {
        let before = process(&site, server.address());
        let mut conn = server.connect();
        conn.send(Call::get(&site, "/kill.php").encode(1));
        assert!(conn.read_answer(1).is_err());
        assert_ne!(process(&site, server.address()), before);
    }
}

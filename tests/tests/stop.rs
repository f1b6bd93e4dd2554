//! What a graceful stop owes to the clients that are there, and that it ends.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use ftm_tests::fcgi::{Call, Conn, Record, kind};
use ftm_tests::*;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

/// A site with scripts that are short, large, and long: `/long.php` waits for the file `go` in the directory.
fn site() -> (Site, PathBuf) {
    let site = Site::new();
    let dir = site.writable("dir");
    let begun = format!("touch('{0}/begun'); wait_for('{0}/go'); echo 'finished';", dir.display());
    site.file("long.php", format!("{PHP_WAIT_FOR}{begun}"));
    site.file("hello.php", "<?php echo 'hello';");
    site.file("much.php", "<?php echo str_repeat('x', 900000);");
    (site, dir)
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("kill");
}

/// A kept-alive connection without a request: it is closed when the pool begins to stop.
fn idle(site: &Site, server: &Server) -> Conn {
    let mut conn = server.connect();
    assert_eq!(conn.call(1, &Call::get(site, "/hello.php").keep()).text(), "hello");
    conn
}

/// Waits until the pool has accepted every connection made before.
fn all_accepted(server: &Server) {
    let mut last = server.connect();
    last.send(Record::new(kind::GET_VALUES, 0, []).encode());
    last.record();
}

#[test]
fn quit_leaves_a_slow_reader_its_whole_answer() {
    only_php_ftm!("php-fpm's worker writes until its client has read");
    let (site, _) = site();
    let mut server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let mut idle = idle(&site, &server);
    let mut slow: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    for (n, conn) in slow.iter_mut().enumerate() {
        let call = Call::get(&site, "/much.php");
        conn.send(if n % 2 == 0 { call } else { call.keep() }.encode(1));
    }
    // The only thread is free again: the scripts have ended, and their output waits for its readers.
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.signal(Signal::SIGQUIT);
    assert!(idle.closed_by_server());
    for conn in &mut slow {
        let answer = conn.answer(1);
        assert_eq!((answer.text().len(), answer.protocol_status), (900_000, fcgi::REQUEST_COMPLETE));
        assert!(conn.closed_by_server());
    }
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn quit_serves_who_has_just_connected() {
    only_php_ftm!("php-fpm leaves connections to the kernel until a worker is free");
    let (site, _) = site();
    let mut server = Server::start(&site, ServerConfig::default());
    let mut idle = idle(&site, &server);
    let mut fresh: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    all_accepted(&server);
    server.signal(Signal::SIGQUIT);
    assert!(idle.closed_by_server());
    for conn in &mut fresh {
        assert_eq!(conn.call(1, &Call::get(&site, "/hello.php").keep()).text(), "hello");
        assert!(conn.closed_by_server(), "it was the last request, whatever FCGI_KEEP_CONN asked for");
    }
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn quit_serves_requests_that_have_arrived_unread() {
    only_php_ftm!("php-fpm leaves connections to the kernel until a worker is free");
    let (site, _) = site();
    let mut server = Server::start(&site, ServerConfig::default());
    let [pool] = server.workers()[..] else { panic!("one process") };
    let mut conns: Vec<Conn> = (0..20).map(|_| server.connect()).chain((0..20).map(|_| idle(&site, &server))).collect();
    all_accepted(&server);
    // Stopped, the pool finds the requests and the signal at the same moment.
    proc::stop(pool);
    conns.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/hello.php").keep().encode(1)));
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    send(pool, Signal::SIGCONT);
    for conn in &mut conns {
        assert_eq!(conn.answer(1).text(), "hello");
    }
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn quit_does_not_wait_for_clients_to_close() {
    only_php_ftm!("php-fpm waits for some of them");
    let (site, dir) = site();
    let mut server = Server::start(&site, ServerConfig::default());
    let mut silent = server.connect();
    let mut stammers = server.connect();
    stammers.send([1, 1]);
    let mut busy = server.connect();
    busy.send(Call::get(&site, "/long.php").keep().encode(1));
    eventually("the request has begun", || dir.join("begun").exists());
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(busy.answer(1).text(), "finished");
    assert_eq!(server.wait_end().code(), Some(0), "with all their connections open");
    for conn in [&mut silent, &mut stammers, &mut busy] {
        assert!(conn.closed_by_server());
    }
}

#[test]
fn a_new_master_may_listen_while_a_request_of_the_killed_one_runs() {
    only_php_ftm!("php-fpm's workers stay");
    for pool in [PoolConfig::new("www"), PoolConfig::new("www").tcp()] {
        let (site, dir) = site();
        let mut old = Server::start(&site, ServerConfig::pool(pool));
        let address = old.address().clone();
        let mut busy = old.connect();
        busy.send(Call::get(&site, "/long.php").encode(1));
        eventually("the request has begun", || dir.join("begun").exists());
        old.signal(Signal::SIGKILL);
        old.wait_end();
        eventually("nobody listens", || address.connect().is_err());

        let config = ServerConfig::pool(PoolConfig::new("www").set("listen", &address.to_string()));
        let new = Server::spawn(Kind::PhpFtm, &site, &config);
        new.wait_log("ready to handle connections");
        assert_eq!(Conn::open(&address).call(1, &Call::get(&site, "/hello.php")).text(), "hello");
        fs::write(dir.join("go"), "").expect("go");
        assert_eq!(busy.answer(1).text(), "finished");
        new.stop();
    }
}

#[test]
fn quit_during_the_start_ends_as_any_other() {
    only_php_ftm!("php-fpm starts PHP in the master");
    let site = Site::new();
    // The pool opens its end of the pipe as PHP starts, and waits there until somebody opens the other one.
    let pipe = site.unique("start").join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("mkfifo");
    let hooks = extension::build("ftmhooks").display().to_string();
    let pool = PoolConfig::new("www").set("php_admin_value[extension]", &hooks);
    let config =
        ServerConfig::pool(pool).global("log_level", "debug").ini(&format!("ftmhooks.log = {}", pipe.display()));
    let mut server = Server::spawn(Kind::PhpFtm, &site, &config);
    eventually("the pool has been forked", || server.workers().len() == 1);
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    let _reader = OpenOptions::new().read(true).write(true).open(&pipe).expect("open the pipe");
    assert_eq!(server.wait_end().code(), Some(0));
    let log = server.log();
    let ended = log.contains(" ended (Exited(") && !log.contains("Signaled");
    assert!(ended && !log.contains("ready to handle connections"), "{log}");
}

//! `pm = dynamic` and `pm = ondemand`: how many threads there are, as the status page tells it.

use std::fs;
use std::path::PathBuf;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn pool(pm: &str, children: usize) -> PoolConfig {
    PoolConfig::new("www").children(children).set("pm", pm).set("pm.status_path", "/status")
}

fn dynamic(children: usize, start: usize, spare: (usize, usize)) -> PoolConfig {
    pool("dynamic", children)
        .set("pm.start_servers", &start.to_string())
        .set("pm.min_spare_servers", &spare.0.to_string())
        .set("pm.max_spare_servers", &spare.1.to_string())
}

/// Figures of the status page of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    idle: u64,
    active: u64,
    total: u64,
    active_max: u64,
    reached: u64,
    accepted: u64,
}

fn status_of(site: &Site, address: &Address) -> Status {
    let page = Conn::open(address).call(1, &Call::get(site, "/status")).text();
    let figure = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(&format!("{name}:")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    Status {
        idle: figure("idle processes"),
        active: figure("active processes"),
        total: figure("total processes"),
        active_max: figure("max active processes"),
        reached: figure("max children reached"),
        accepted: figure("accepted conn"),
    }
}

fn status(server: &Server) -> Status {
    status_of(server.site(), server.address())
}

#[track_caller]
fn wait_status(server: &Server, what: &str, holds: impl Fn(&Status) -> bool) {
    let mut last = None;
    let found = wait::eventually_some(DEADLINE, || holds(last.insert(status(server))).then_some(()));
    assert!(found.is_some(), "{what}: {last:?}");
}

/// A site whose `/long.php` waits for the file `go`.
fn site() -> (Site, PathBuf) {
    let site = Site::new();
    let go = site.writable("dir").join("go");
    site.file("long.php", format!("{PHP_WAIT_FOR}wait_for('{}'); echo 'done';", go.display()));
    site.file("hello.php", "<?php echo 'hello';");
    (site, go)
}

/// Starts requests for `/long.php` that stay until `go` is there.
fn occupy(server: &Server, count: usize) -> Vec<Conn> {
    let start = |_| {
        let mut conn = server.connect();
        conn.send(Call::get(server.site(), "/long.php").encode(1));
        conn
    };
    (0..count).map(start).collect()
}

fn all_done(conns: Vec<Conn>) {
    for mut conn in conns {
        assert_eq!(conn.answer(1).text(), "done");
    }
}

#[test]
fn dynamic_starts_grows_and_shrinks() {
    let (site, go) = site();
    let server = Server::start(&site, ServerConfig::pool(dynamic(12, 3, (2, 4))));
    wait_status(&server, "start_servers, of which one answers", |s| (s.total, s.active, s.idle) == (3, 1, 2));
    let busy = occupy(&server, 8);
    // The request for the page takes a place of its own under php-fpm.
    wait_status(&server, "all run, and spare threads beside them", |s| s.active == 9 && s.idle >= 1);
    fs::write(&go, "").expect("go");
    all_done(busy);
    wait_status(&server, "back to max_spare_servers", |s| s.total <= 5 && s.active == 1);
    let shown = status(&server);
    assert!(shown.active_max >= 8 && shown.reached == 0, "{shown:?}");
    server.stop();
}

#[test]
fn dynamic_says_that_it_has_no_more() {
    let (site, go) = site();
    let server = Server::start(&site, ServerConfig::pool(dynamic(4, 1, (1, 2))));
    let busy = occupy(&server, 4);
    server.wait_log("[pool www] server reached pm.max_children setting (4), consider raising it");
    fs::write(&go, "").expect("go");
    all_done(busy);
    wait_status(&server, "counted", |s| s.reached == 1);
    server.stop();
}

#[test]
fn dynamic_says_when_it_is_busy() {
    let (site, go) = site();
    let server = Server::start(&site, ServerConfig::pool(dynamic(60, 50, (50, 55))));
    let busy = occupy(&server, 40);
    let warning = "seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), \
                   spawning 8 children, there are ";
    server.wait_log(warning);
    fs::write(&go, "").expect("go");
    all_done(busy);
    server.stop();
}

#[test]
fn ondemand_starts_with_none_and_goes_back_to_none() {
    let (site, go) = site();
    let server = Server::start(&site, ServerConfig::pool(pool("ondemand", 5).set("pm.process_idle_timeout", "1s")));
    let busy = occupy(&server, 3);
    wait_status(&server, "one for each request", |s| s.active == 4 && s.total <= 5);
    fs::write(&go, "").expect("go");
    all_done(busy);
    wait_status(&server, "only who asks", |s| (s.total, s.active, s.idle) == (1, 1, 0));
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.stop();
}

#[test]
fn ondemand_says_that_it_has_no_more() {
    let (site, go) = site();
    let server = Server::start(&site, ServerConfig::pool(pool("ondemand", 2)));
    let mut busy = occupy(&server, 2);
    let warning = "[pool www] server reached max_children setting (2), consider raising it";
    // php-fpm notices only when somebody connects after it has its two processes.
    eventually(warning, || {
        busy.extend(occupy(&server, 1));
        server.log().contains(warning)
    });
    fs::write(&go, "").expect("go");
    all_done(busy);
    wait_status(&server, "counted", |s| s.reached >= 1);
    server.stop();
}

#[test]
fn a_burst_on_an_idle_pool_is_served_whole() {
    only_php_ftm!("php-fpm needs seconds");
    let _heavy = heavy();
    let site = Site::new();
    site.file("some.php", "<?php usleep(100000); echo 'done';");
    let server = Server::start(&site, ServerConfig::pool(pool("ondemand", 200)));
    let mut conns: Vec<Conn> = (0..200).map(|_| server.connect()).collect();
    conns.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/some.php").encode(1)));
    all_done(conns);
    let shown = status(&server);
    assert_eq!(shown.accepted, 201);
    server.stop();
}

#[test]
fn threads_recycle_under_every_pm_without_losing_a_request() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    for pool in [pool("static", 3), dynamic(6, 2, (1, 3)), pool("ondemand", 6)] {
        let server = Server::start(&site, ServerConfig::pool(pool.set("pm.max_requests", "5")));
        let load = Load::start(6, server.address(), &Call::get(&site, "/hello.php"), |answer| answer.text() == "hello");
        load.wait_for(600);
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
        wait_status(&server, "no more than there may be", |s| s.total <= 6);
        server.stop();
    }
}

#[test]
fn a_stop_during_growth_loses_nothing() {
    only_php_ftm!("php-fpm ends requests at once");
    let (site, go) = site();
    let mut server = Server::start(&site, ServerConfig::pool(pool("ondemand", 20)));
    let busy = occupy(&server, 15);
    server.signal(Signal::SIGQUIT);
    server.wait_log("Finishing ...");
    fs::write(&go, "").expect("go");
    all_done(busy);
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn process_max_holds_over_all_pools_and_places_come_back() {
    only_php_ftm!("php-fpm counts processes, which come and go at other moments");
    let (site, _go) = site();
    let second = PoolConfig::new("second").children(5).set("pm", "ondemand").set("pm.status_path", "/status");
    let config = ServerConfig::pool(pool("static", 3)).and_pool(second).global("process.max", "4");
    let server = Server::start(&site, config);
    let other = server.address_of("second").clone();
    let mut busy: Vec<Conn> = (0..3).map(|_| Conn::open(&other)).collect();
    busy.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/long.php").encode(1)));
    server.wait_log("The maximum number of processes has been reached. Please review your configuration and consider raising 'process.max'");
    eventually("one place is left for the second pool", || status_of(&site, &other).active == 2);
    // The first pool's process dies, and its three places serve the second pool's requests or its own successor.
    let before = server.workers();
    let first = before.iter().copied().find(|&pid| proc::threads(pid).len() > 3).expect("the first pool");
    kill(Pid::from_raw(first.cast_signed()), Signal::SIGKILL).expect("kill");
    eventually("it is replaced", || server.workers().len() == 2 && !server.workers().contains(&first));
    eventually("four threads in all", || {
        let [a, b] = [server.address(), &other].map(|address| status_of(&site, address));
        (a.total - a.active.min(1)) + (b.total - b.active.min(1)) <= 4 && server.get("/hello.php").text() == "hello"
    });
}

#[test]
fn figures_outlive_a_crash() {
    let (site, _go) = site();
    let server = Server::start(&site, ServerConfig::pool(pool("static", 1)));
    for _ in 0..5 {
        assert_eq!(server.get("/hello.php").text(), "hello");
    }
    let before = server.workers();
    kill(Pid::from_raw(before[0].cast_signed()), Signal::SIGKILL).expect("kill");
    eventually("it is replaced", || server.workers() != before && !server.workers().is_empty());
    wait_status(&server, "requests are still counted", |s| s.accepted > 6);
    server.stop();
}

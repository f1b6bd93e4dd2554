//! SIGUSR2: the configuration is taken anew, a wrong one is refused, and no request is lost on the way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ftm_tests::fcgi::Call;
use ftm_tests::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const READY: &str = "ready to handle connections";

fn config_file(server: &Server) -> PathBuf {
    server.room().join("php-fpm.conf")
}

/// Changes the configuration file.
fn edit(server: &Server, change: impl FnOnce(String) -> String) {
    let path = config_file(server);
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(path, change(text)).expect("write the configuration");
}

/// How often the log holds `text`. That the server was ready when it started may be heard of after its first answer.
fn times(server: &Server, text: &str) -> usize {
    server.wait_log(READY);
    server.log().matches(text).count()
}

/// Waits until the log holds `text` one more time than before `act`.
#[track_caller]
fn after(server: &Server, text: &str, act: impl FnOnce()) {
    let before = times(server, text);
    act();
    eventually(text, || times(server, text) > before);
}

/// Reloads, and waits until the new pools serve and the former ones are gone.
#[track_caller]
fn reload(server: &Server) {
    let former = server.workers();
    after(server, READY, || server.signal(Signal::SIGUSR2));
    eventually("the former processes are gone", || !former.iter().any(|&pid| proc::alive(pid)));
}

fn setting(name: &str) -> String {
    format!("<?php echo ini_get('{name}');")
}

#[test]
fn a_reload_puts_the_new_configuration_into_effect() {
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    let pool = PoolConfig::new("www").set("php_value[memory_limit]", "64M");
    let server = Server::start(&site, ServerConfig::pool(pool));
    assert_eq!(server.get("/limit.php").text(), "64M");
    edit(&server, |text| text.replace("= 64M", "= 77M"));
    reload(&server);
    assert_eq!(server.get("/limit.php").text(), "77M");
    let log = server.log();
    let in_order =
        ["Reloading in progress ...", "reloading: execvp(", "using inherited socket fd=", "fpm is running, pid"];
    let rest = in_order.iter().fold(log.split_once(READY).expect("ready").1, |rest, text| {
        rest.split_once(text).unwrap_or_else(|| panic!("no {text:?} in {rest}")).1
    });
    assert!(rest.contains(READY), "{rest}");
    assert_eq!(fs::read_to_string(server.room().join("pid")).expect("pid file"), server.pid().to_string());
    server.stop();
}

#[test]
fn a_wrong_configuration_is_refused_and_the_former_one_goes_on() {
    only_php_ftm!("php-fpm exits with 78");
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    let pool = PoolConfig::new("www").set("php_value[memory_limit]", "64M");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let before = server.workers();
    let refused = "not reloaded, the former one stays in effect";
    for wrong in ["bogus = 1\n", "[other]\nlisten = /nowhere/at/all.sock\npm = static\npm.max_children = 1\n", "=\n"] {
        let good = fs::read_to_string(config_file(&server)).expect("the configuration");
        edit(&server, |text| text + wrong);
        after(&server, refused, || server.signal(Signal::SIGUSR2));
        assert_eq!((server.get("/limit.php").text().as_str(), server.workers()), ("64M", before.clone()));
        edit(&server, |_| good);
    }
    assert!(server.log().contains("unknown entry 'bogus'"), "the log says why: {}", server.log());
    edit(&server, |text| text.replace("= 64M", "= 77M"));
    reload(&server);
    assert_eq!(server.get("/limit.php").text(), "77M");
    server.stop();
}

#[test]
fn a_pool_whose_port_is_taken_is_refused() {
    only_php_ftm!("php-fpm exits with 78");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::default());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("address").port();
    let user = if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" };
    let free = server.room().join("free.sock");
    edit(&server, |text| {
        let pool =
            |name: &str, listen: &str| format!("[{name}]\n{user}listen = {listen}\npm = static\npm.max_children = 1\n");
        text + &pool("free", &free.display().to_string()) + &pool("taken", &format!("127.0.0.1:{port}"))
    });
    after(&server, "not reloaded", || server.signal(Signal::SIGUSR2));
    assert!(server.log().contains("Address already in use (98)"), "{}", server.log());
    assert_eq!(server.get("/hello.php").text(), "hello");
    assert!(!free.exists(), "what was bound to try is removed");
    drop(taken);
    reload(&server);
    assert!(free.exists());
    server.stop();
}

#[test]
fn pools_come_and_go() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let two = ServerConfig::default().and_pool(PoolConfig::new("second"));
    let server = Server::start(&site, two);
    let Address::Unix(second) = server.address_of("second").clone() else { panic!("a unix socket") };
    let whole = fs::read_to_string(config_file(&server)).expect("the configuration");
    let (first, _) = whole.split_once("[second]").expect("two pools");
    edit(&server, |_| first.to_owned());
    reload(&server);
    eventually("the socket of the pool that went is removed", || !second.exists());
    assert_eq!(server.get("/hello.php").text(), "hello");
    edit(&server, |_| whole.clone());
    reload(&server);
    let answer = fcgi::Conn::open(server.address_of("second")).call(1, &Call::get(&site, "/hello.php"));
    assert_eq!(answer.text(), "hello");
    server.stop();
}

#[test]
fn a_running_request_is_finished_while_the_new_pool_serves() {
    only_php_ftm!("php-fpm ends it, and serves nobody meanwhile");
    let site = Site::new();
    let dir = site.writable("dir");
    let go = dir.join("go");
    let begun = dir.join("begun");
    let script = format!("touch('{}'); wait_for('{}'); echo 'finished';", begun.display(), go.display());
    site.file("long.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::default());
    let former = server.workers();
    let mut long = server.connect();
    long.send(Call::get(&site, "/long.php").encode(1));
    eventually("the script runs", || begun.exists());
    for _ in 0..3 {
        after(&server, READY, || server.signal(Signal::SIGUSR2));
    }
    assert_eq!(server.get("/hello.php").text(), "hello");
    assert!(former.iter().all(|pid| server.workers().contains(pid)), "the former process still works");
    fs::write(&go, "").expect("go");
    assert_eq!(long.answer(1).text(), "finished");
    eventually("the former processes are gone", || server.workers().len() == former.len());
    server.stop();
}

#[test]
fn kept_connections_go_to_the_new_pool() {
    only_php_ftm!("php-fpm closes them");
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    for pool in [PoolConfig::new("www"), PoolConfig::new("www").tcp()] {
        let server = Server::start(&site, ServerConfig::pool(pool.set("php_value[memory_limit]", "64M")));
        let call = Call::get(&site, "/limit.php").keep();
        // More than go into one message between the processes.
        let mut kept: Vec<_> = (0..150).map(|_| server.connect()).collect();
        let (used, fresh) = kept.split_at_mut(75);
        used.iter_mut().for_each(|conn| assert_eq!(conn.call(1, &call).text(), "64M"));
        // The server has accepted them all: it takes one after the other.
        assert_eq!(server.get("/limit.php").text(), "64M");
        for limit in ["77M", "78M", "79M"] {
            edit(&server, |text| {
                let (before, rest) = text.split_once("[memory_limit] = ").expect("the limit");
                let after = rest.split_once('\n').expect("a line").1;
                format!("{before}[memory_limit] = {limit}\n{after}")
            });
            reload(&server);
            used.iter_mut().for_each(|conn| assert_eq!(conn.call(2, &call).text(), limit));
        }
        fresh.iter_mut().for_each(|conn| assert_eq!(conn.call(1, &call).text(), "79M"));
        server.stop();
    }
}

/// PHP's own test log-suppress-output found answers after the old configuration then, now and again.
#[test]
fn the_server_is_ready_when_nobody_comes_to_the_former_pool_any_more() {
    only_php_ftm!("php-fpm closes its sockets at the reload");
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    let pool = PoolConfig::new("www").set("php_value[memory_limit]", "64M");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let former = server.workers();
    edit(&server, |text| text.replace("= 64M", "= 77M"));
    let before = times(&server, READY);
    former.iter().for_each(|&pid| proc::stop(pid));
    server.signal(Signal::SIGUSR2);
    (0..200).for_each(|_| assert_eq!(server.get("/limit.php").text(), "77M"));
    assert_eq!(times(&server, READY), before, "{}", server.log());
    let go_on = |&pid: &u32| kill(Pid::from_raw(pid as i32), Signal::SIGCONT).expect("SIGCONT");
    after(&server, READY, || former.iter().for_each(go_on));
    server.stop();
}

#[test]
fn many_reloads_under_load_lose_nothing() {
    only_php_ftm!("php-fpm breaks running requests off");
    let _heavy = heavy();
    let site = Site::new();
    site.file("some.php", "<?php usleep(mt_rand(0, 40) * 1000); echo 'done';");
    for pool in [PoolConfig::new("www").children(8), PoolConfig::new("www").children(8).tcp()] {
        let server = Server::start(&site, ServerConfig::pool(pool));
        let call = Call::get(&site, "/some.php");
        let load = Load::start(8, server.address(), &call, |answer| answer.text() == "done");
        let kept = Load::start_kept(4, server.address(), &call.keep(), |answer| answer.text() == "done");
        for _ in 0..15 {
            load.wait_for(10);
            after(&server, READY, || server.signal(Signal::SIGUSR2));
        }
        for load in [load, kept] {
            load.wait_for(10);
            let outcome = load.end();
            assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
        }
        eventually("one process per pool is left", || server.workers().len() == 1);
        server.stop();
    }
}

#[test]
fn signals_that_come_close_together_are_all_taken() {
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    let pool = PoolConfig::new("www").set("php_value[memory_limit]", "64M");
    let server = Server::start(&site, ServerConfig::pool(pool));
    for _ in 0..20 {
        server.signal(Signal::SIGUSR2);
    }
    edit(&server, |text| text.replace("= 64M", "= 77M"));
    server.signal(Signal::SIGUSR2);
    eventually("the last configuration is in effect", || server.get("/limit.php").text() == "77M");
    server.stop();
}

/// A copy of a server, for tests that replace it.
fn copy_of(kind: Kind, site: &Site) -> PathBuf {
    let copy = site.writable("bin").join("server");
    fs::copy(kind.program(), &copy).expect("copy the program");
    copy
}

fn replace(program: &Path, make: impl FnOnce(&Path)) {
    let new = program.with_extension("new");
    make(&new);
    fs::rename(new, program).expect("rename");
}

#[test]
fn a_replaced_binary_is_run_and_a_broken_one_refused() {
    only_php_ftm!("php-fpm would be down");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let program = copy_of(Kind::PhpFtm, &site);
    let server = Server::start(&site, ServerConfig::default().program(&program));
    let running = || fs::metadata(format!("/proc/{}/exe", server.pid())).expect("exe").ino();
    let first = running();
    replace(&program, |new| fs::write(new, "no program at all").expect("write"));
    after(&server, "not reloaded", || server.signal(Signal::SIGUSR2));
    replace(&program, |new| {
        fs::write(new, "#!/bin/sh\necho cannot start; exit 7\n").expect("write");
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(new, fs::Permissions::from_mode(0o755)).expect("chmod");
    });
    after(&server, "not reloaded", || server.signal(Signal::SIGUSR2));
    assert!(server.log().contains("cannot start"), "{}", server.log());
    assert_eq!((server.get("/hello.php").text().as_str(), running()), ("hello", first));
    replace(&program, |new| assert!(fs::copy(Kind::under_test().program(), new).expect("copy") > 0));
    reload(&server);
    let second = fs::metadata(&program).expect("the program").ino();
    assert_eq!((server.get("/hello.php").text().as_str(), running()), ("hello", second));
    server.stop();
}

#[test]
fn a_php_fpm_becomes_php_ftm_by_a_reload() {
    only_php_ftm!("it takes both");
    let site = Site::new();
    site.file("who.php", "<?php echo function_exists('ftm_get_status') ? 'php-ftm' : 'php-fpm';");
    let program = copy_of(Kind::PhpFpm, &site);
    let config = ServerConfig::pool(PoolConfig::new("www").tcp()).program(&program);
    let server = Server::start_as(Kind::PhpFpm, &site, config);
    assert_eq!(server.get("/who.php").text(), "php-fpm");
    replace(&program, |new| assert!(fs::copy(Kind::PhpFtm.program(), new).expect("copy") > 0));
    reload(&server);
    assert_eq!(server.get("/who.php").text(), "php-ftm");
    assert!(server.log().contains("using inherited socket fd="), "{}", server.log());
    server.stop();
}

#[test]
fn too_many_faults_bring_a_reload() {
    let site = Site::new();
    site.file("limit.php", setting("memory_limit"));
    let pool = PoolConfig::new("www").set("php_value[memory_limit]", "64M");
    let config =
        ServerConfig::pool(pool).global("emergency_restart_threshold", "2").global("emergency_restart_interval", "1m");
    let server = Server::start(&site, config);
    edit(&server, |text| text.replace("= 64M", "= 77M"));
    for _ in 0..2 {
        let before = server.workers();
        kill(Pid::from_raw(before[0].cast_signed()), Signal::SIGSEGV).expect("kill");
        eventually("it is replaced", || server.workers() != before && !server.workers().is_empty());
    }
    server.wait_log("failed processes threshold (2 in 60 sec) is reached, initiating reload");
    eventually("the configuration was taken anew", || server.get("/limit.php").text() == "77M");
    server.stop();
}

#[test]
fn usr1_opens_the_error_log_again_for_the_pools_too() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::default().log_to_file());
    let (log, moved) = (server.room().join("error.log"), server.room().join("error.log.1"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    eventually("it logs to the file", || text(&log).contains(READY));
    fs::rename(&log, &moved).expect("rename");
    server.signal(Signal::SIGUSR1);
    eventually("the new file is written to", || text(&log).contains("error log file re-opened"));
    assert!(!text(&moved).contains("re-opened"));
    let before = server.workers();
    kill(Pid::from_raw(before[0].cast_signed()), Signal::SIGKILL).expect("kill");
    eventually("the end of a process is in the new file", || text(&log).contains("exited on signal 9 (SIGKILL)"));
    assert!(!text(&moved).contains("SIGKILL"));
    server.stop();
}

//! What binds a pool's process: root and directory, limits, priority, tracing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ftm_tests::fcgi::{Call, Conn, Record};
use ftm_tests::*;

fn not_root() -> bool {
    let other = !nix::unistd::geteuid().is_root();
    if other {
        wait::skipped("it takes root");
    }
    other
}

/// A directory to be a pool's root, with a directory `www` for scripts.
fn jail(site: &Site) -> PathBuf {
    let jail = site.dir().join("jail");
    site::mkdir(&jail.join("www"));
    site::mkdir(&jail.join("work"));
    jail
}

/// A request for a script by its path in the pool's root.
fn inside(site: &Site, script: &str) -> Call {
    Call::get(site, script).param("SCRIPT_FILENAME", script).param("DOCUMENT_ROOT", "/www")
}

const LOOK_AROUND: &str = r#"<?php
register_shutdown_function(function () { echo "after ", getcwd(), "\n"; });
foreach ($_GET['outside'] as $path) {
    foreach ([$path, "/../../../../../../..$path", "../../../../../../../..$path"] as $way) {
        if (@stat($way)) echo "$way is there\n";
    }
}
echo "file ", __FILE__, "\ncwd ", getcwd(), "\nroot ", implode(' ', array_diff(scandir('/'), ['.', '..'])), "\n";
echo include 'part.php';
echo "USER=", getenv('USER'), " HOME=", getenv('HOME'), "\n";
"#;

#[test]
fn a_chroot_is_all_that_scripts_see() {
    if not_root() {
        return;
    }
    let site = Site::new();
    let jail = jail(&site);
    fs::write(jail.join("www/look.php"), LOOK_AROUND).expect("a script");
    fs::write(jail.join("www/part.php"), "<?php return 'part '.realpath('part.php').\"\\n\";").expect("a script");
    fs::write(jail.join("www/look.txt"), "").expect("a file");
    let outside = site.file("outside.php", "<?php echo 'outside';");
    let query = |site: &Site| format!("outside[]=/etc/passwd&outside[]=/proc/self&outside[]={}", site.dir().display());
    for (chdir, after) in [(None, "/"), (Some("/work"), "/work")] {
        let mut pool = PoolConfig::new("www").set("chroot", &jail.display().to_string());
        if let Some(dir) = chdir {
            pool = pool.set("chdir", dir);
        }
        let server = Server::start(&site, ServerConfig::pool(pool));
        let answer = server.call(&inside(&site, "/www/look.php").param("QUERY_STRING", query(&site)));
        let user = nix::unistd::User::from_name("www-data").expect("users").expect("a user www-data");
        let expected = format!(
            "file /www/look.php\ncwd /www\nroot work www\npart /www/part.php\nUSER=www-data HOME={}\nafter {after}\n",
            user.dir.display()
        );
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.web().status, 200);
        // Path infos are found in that root, too, and paths outside of it are not.
        assert!(server.call(&inside(&site, "/www/look.php/a/b")).text().contains("file /www/look.php\n"));
        let call = Call::get(&site, "/outside.php").param("SCRIPT_FILENAME", outside.display().to_string());
        assert_eq!(server.call(&call).web().status, 404);
        for pid in server.workers() {
            let root = fs::read_link(format!("/proc/{pid}/root")).expect("its root");
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("its directory");
            assert_eq!((root.as_path(), cwd), (jail.as_path(), jail.join(after.trim_start_matches('/'))));
            // A directory of the world outside would be a way out.
            let ways_out = proc::fds(pid).into_iter().filter(|fd| Path::new(fd).is_dir()).collect::<Vec<_>>();
            assert_eq!(ways_out, Vec::<String>::new());
        }
        // The pool goes on writing to the log outside.
        assert_eq!(server.call(&inside(&site, "/www/look.txt")).web().status, 403);
        server.wait_log("Access to the script '/www/look.txt' has been denied");
        server.stop();
    }
}

#[test]
fn scripts_begin_and_end_in_the_directory_of_the_pool() {
    let site = Site::new();
    let work = site.writable("work");
    site.file("cwd.php", "<?php register_shutdown_function(function () { echo getcwd(); }); echo getcwd(), ' ';");
    let pool = PoolConfig::new("www").set("chdir", &work.display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    for _ in 0..2 {
        let expected = format!("{} {}", site.docroot().display(), work.display());
        assert_eq!(server.get("/cwd.php").text(), expected);
    }
}

#[test]
fn lines_of_the_log_keep_the_time_zone_without_its_file() {
    only_php_ftm!("php-fpm's pools do not write to the log themselves");
    if not_root() {
        return;
    }
    let site = Site::new();
    let jail = jail(&site);
    fs::write(jail.join("www/log.txt"), "").expect("a file");
    // Without anything for the master to log, and to read the time zone for, before the pool is forked.
    let pool = PoolConfig::new("www").set("chroot", &jail.display().to_string());
    // Further from UTC than a test lasts.
    let server = Server::start(&site, ServerConfig::pool(pool).env("TZ", "XXX-9"));
    server.call(&inside(&site, "/www/log.txt"));
    server.wait_log("Access to the script");
    let log = server.log();
    let hour = |text: &str| {
        let line = log.lines().find(|line| line.contains(text)).expect("that line");
        line.split([' ', ':']).nth(1).expect("an hour").parse::<u32>().expect("a number")
    };
    let (master, pool) = (hour("fpm is running"), hour("Access to the script"));
    assert!(pool == master || pool == (master + 1) % 24, "{log}");
}

/// The soft and hard limit of a process; `u64::MAX` is none.
fn limit(pid: u32, name: &str) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("that limit");
    let number = |word: &str| if word == "unlimited" { u64::MAX } else { word.parse().expect("a number") };
    let mut words = line.split_whitespace();
    (number(words.next().expect("soft")), number(words.next().expect("hard")))
}

const FILES: &str = "Max open files";
const CORE: &str = "Max core file size";

#[test]
fn limits_hold_for_the_master_and_its_pools() {
    let site = Site::new();
    let config = ServerConfig::default()
        .global("rlimit_files", "900")
        .global("rlimit_core", "4096")
        .and_pool(PoolConfig::new("own").set("rlimit_files", "300").set("rlimit_core", "1024"));
    let server = Server::start(&site, config);
    assert_eq!((limit(server.pid(), FILES), limit(server.pid(), CORE)), ((900, 900), (4096, 4096)));
    let mut found: Vec<_> = server.workers().into_iter().map(|pid| (limit(pid, FILES), limit(pid, CORE))).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [((300, 300), (1024, 1024)), ((900, 900), (4096, 4096))]);
}

#[test]
fn a_limit_that_cannot_be_had_is_said() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let too_many = i32::MAX;
    let pool = PoolConfig::new("www").set("rlimit_files", &too_many.to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.wait_log(&format!(
        "[pool www] failed to set rlimit_files for this pool. Please check your system limits or decrease \
         rlimit_files. setrlimit(RLIMIT_NOFILE, {too_many}): Operation not permitted (1)"
    ));
    drop(server);

    let config = ServerConfig::default().global("rlimit_files", &too_many.to_string());
    let mut server = Server::spawn(Kind::under_test(), &site, &config);
    assert_eq!(server.wait_end().code(), Some(78));
    assert!(server.log().contains("failed to set rlimit_files"), "{}", server.log());
}

#[test]
fn connections_keep_below_the_limit_of_files() {
    only_php_ftm!("a worker of php-fpm has one connection");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let pool = PoolConfig::new("www").set("rlimit_files", "96");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut idle: Vec<_> = (0..200).map(|_| server.connect()).collect();
    // Those that were let in are served; the others wait in the kernel until some of them leave.
    assert_eq!(idle[0].call(1, &Call::get(&site, "/hello.php").keep()).text(), "hello");
    let last = idle.split_off(199);
    drop(idle);
    for mut conn in last {
        assert_eq!(conn.call(1, &Call::get(&site, "/hello.php")).text(), "hello");
    }
    let log = server.log();
    assert!(!log.contains("cannot accept") && !log.contains("Too many open files"), "{log}");
}

#[test]
fn who_came_at_the_limit_of_files_is_let_in_once_others_have_left() {
    only_php_ftm!("a worker of php-fpm has one connection");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    site.file(
        "waits.php",
        format!("{PHP_WAIT_FOR}touch(\"{{$_GET['dir']}}/runs\"); wait_for(\"{{$_GET['dir']}}/go\");"),
    );
    let door = site.dir().join("status.sock");
    let pool = PoolConfig::new("www")
        .children(1)
        .set("rlimit_files", "96") // which lets 48 in
        .set("pm.status_listen", &door.display().to_string())
        .set("pm.status_path", "/status");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let status = |line: &str| {
        let page = Conn::open(&Address::Unix(door.clone())).call(1, &Call::get(&site, "/status")).text();
        page.lines().any(|found| found == line)
    };
    assert_eq!(server.get("/hello.php").text(), "hello");
    eventually("the thread is idle", || status("idle processes:       1"));
    let descriptors = || proc::fd_count(server.workers()[0]);
    let before = descriptors();
    // More than once: now and then the main thread is the first to see who comes.
    for _ in 0..12 {
        eventually("all have left", || descriptors() <= before);
        // While the only thread is busy, the main thread accepts, and keeps who has sent half a request.
        let dir = site.unique("dir");
        let mut busy = server.connect();
        busy.send(Call::get(&site, &format!("/waits.php?dir={}", dir.display())).keep().encode(1));
        eventually("the script runs", || dir.join("runs").exists());
        let mut others: Vec<Conn> = (0..46).map(|_| server.connect()).collect();
        others.iter_mut().for_each(|conn| conn.send(Record::begin(1, fcgi::RESPONDER, true).encode()));
        eventually("they are let in", || descriptors() >= before + others.len());
        // The idle thread lets in one of these, and finds that it may let in no more.
        fs::write(dir.join("go"), "").expect("go");
        busy.answer(1);
        eventually("the thread is idle", || status("idle processes:       1"));
        let more = [server.connect(), server.connect()];
        drop(others);
        for mut conn in more.into_iter().rev() {
            assert_eq!(conn.call(1, &Call::get(&site, "/hello.php")).text(), "hello");
        }
    }
}

/// The nice values of all threads of a process.
fn niceness(pid: u32) -> Vec<i32> {
    let nice = |thread: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).expect("stat");
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        rest.split_whitespace().nth(16).expect("field 19").parse::<i32>().expect("a number")
    };
    proc::threads(pid).into_iter().map(nice).collect()
}

#[test]
fn priorities_are_those_of_the_master_or_the_pools_own() {
    let root = nix::unistd::geteuid().is_root();
    let own = niceness(std::process::id())[0];
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let config = ServerConfig::default()
        .and_pool(PoolConfig::new("own").children(3).set("process.priority", "7"))
        .global("process.priority", "4");
    let server = Server::start(&site, config);
    assert_eq!(server.get("/hello.php").text(), "hello");
    let (master, pool) = if root { (4, 7) } else { (own, own) };
    assert_eq!(niceness(server.pid()), [master]);
    let mut found: Vec<i32> = server.workers().into_iter().flat_map(niceness).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, if root { vec![master, pool] } else { vec![own] });
    let log = server.log();
    let ignored = "NOTICE: 'process.priority' directive is ignored when FPM is not running as root";
    let pool_ignored = "NOTICE: [pool own] 'process.priority' directive is ignored when FPM is not running as root";
    assert_eq!((log.contains(ignored), log.contains(pool_ignored)), (!root, !root), "{log}");
}

#[test]
fn pools_can_be_traced_by_their_user_only_if_dumpable() {
    if not_root() {
        return;
    }
    let site = Site::new();
    let www_data = nix::unistd::User::from_name("www-data").expect("users").expect("a user www-data").uid.as_raw();
    for (dumpable, owner) in [("no", 0), ("yes", www_data)] {
        let pool = PoolConfig::new("www").set("process.dumpable", dumpable);
        let server = Server::start(&site, ServerConfig::pool(pool));
        for pid in server.workers() {
            // What /proc shows of a process that is not dumpable belongs to root.
            let memory = fs::metadata(format!("/proc/{pid}/mem")).expect("its memory");
            assert_eq!(memory.uid(), owner, "process.dumpable = {dumpable}");
        }
    }
}

/// The numbers of a line of /proc/PID/status.
fn status(pid: u32, name: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("that line");
    line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

#[test]
fn users_may_be_numbers_that_nobody_has() {
    if not_root() {
        return;
    }
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let pool = || PoolConfig::new("www").set("user", "54321");
    // Without a group it stays root's, which the harness allows by -R.
    for (pool, group) in [(pool().set("group", "54322"), 54322), (pool().unset("group"), 0)] {
        let server = Server::start(&site, ServerConfig::pool(pool));
        assert_eq!(server.get("/hello.php").text(), "hello");
        for pid in server.workers() {
            assert_eq!((status(pid, "Uid:"), status(pid, "Gid:")), (vec![54321; 4], vec![group; 4]));
            assert_eq!(status(pid, "Groups:"), [group]);
        }
    }
}

#[test]
fn a_new_error_log_is_its_owners_alone() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::default());
    let mode = fs::metadata(server.room().join("error.log")).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

//! What extensions see of threads, requests and recycling; and that one pool's extensions are none of another's.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// A pool that loads the extension `tests/ext/<name>`.
fn pool_with(name: &str, pool: &str) -> PoolConfig {
    PoolConfig::new(pool).set("php_admin_value[extension]", &extension::build(name).display().to_string())
}

// ---- an extension that leaks ----

/// What all threads of the pool hold: bytes in TSRM globals, bytes in thread_local objects, threads with TSRM globals.
fn leaked(text: &str) -> (u64, u64, u64) {
    let figure = |key: &str| -> u64 {
        let rest = text.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in {text:?}")).1;
        rest.split([',', '}']).next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{key} in {text:?}"))
    };
    (figure("tsrm_bytes"), figure("local_bytes"), figure("tsrm_threads"))
}

const MIB: u64 = 1 << 20;

fn leaking_site() -> Site {
    let site = Site::new();
    site.file("leak.php", "<?php ftm_leak(1 << 20); echo json_encode(ftm_leaked());");
    site.file("leaked.php", "<?php echo json_encode(ftm_leaked());");
    site
}

#[test]
fn a_thread_takes_its_leaks_along_when_it_is_recycled() {
    only_php_ftm!("php-fpm has no threads");
    let site = leaking_site();
    let pool = pool_with("ftmleak", "www").children(1).set("pm.max_requests", "10");
    let server = Server::start(&site, ServerConfig::pool(pool));
    for life in 0..3 {
        for n in 1..=10 {
            // The main thread has globals, too.
            let expected = (n * MIB, n * MIB, 2);
            assert_eq!(leaked(&server.get("/leak.php").text()), expected, "request {n} of life {life}");
        }
        // thread_local objects go with the OS thread, which may outlive the slot's change of hands by a moment. Ten more
        // requests make the next leak the first one of a new thread.
        let mut asked = 0_u32;
        eventually("the leaks are freed", || {
            asked += 1;
            leaked(&server.get("/leaked.php").text()) == (0, 0, 2)
        });
        (asked..asked.next_multiple_of(10)).for_each(|_| drop(server.get("/leaked.php")));
    }
}

#[test]
fn a_thread_keeps_its_leaks_without_recycling() {
    only_php_ftm!("php-fpm has no threads");
    let site = leaking_site();
    let server = Server::start(&site, ServerConfig::pool(pool_with("ftmleak", "www").children(1)));
    for n in 1..=30 {
        assert_eq!(leaked(&server.get("/leak.php").text()), (n * MIB, n * MIB, 2));
    }
}

#[test]
fn leaks_of_many_threads_are_freed_from_memory() {
    only_php_ftm!("php-fpm has no threads");
    let _alone = heavy();
    let site = leaking_site();
    let pool = pool_with("ftmleak", "www").children(4).set("pm.max_requests", "5");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let before = proc::tree_rss(server.pid());
    // 600 requests leak 1.2 GiB; at any time four threads hold at most 5 MiB each in either place.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let (tsrm, _, threads) = leaked(&server.get("/leak.php").text());
                    assert!(tsrm <= 4 * 5 * MIB && threads <= 5, "{tsrm} bytes, {threads} threads");
                }
            });
        }
    });
    let after = proc::tree_rss(server.pid());
    assert!(after < before + 150 * MIB, "from {} to {} MiB", before / MIB, after / MIB);
}

// ---- an extension that notes hooks ----

/// One hook that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hook {
    name: String,
    process: u32,
    thread: u32,
}

/// Where a pool with `ftmhooks` notes its hooks.
struct HookLog(PathBuf);

impl HookLog {
    fn new(site: &Site) -> Self {
        Self(site.writable("hooks").join("log"))
    }

    /// The pool that notes here.
    fn pool(&self, name: &str) -> PoolConfig {
        pool_with("ftmhooks", name).set("php_admin_value[ftmhooks.log]", &self.0.display().to_string())
    }

    fn all(&self) -> Vec<Hook> {
        let text = fs::read_to_string(&self.0).expect("the log of hooks");
        let hook = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next()?.to_owned();
            Some(Hook { name, process: words.next()?.parse().ok()?, thread: words.next()?.parse().ok()? })
        };
        text.lines().map(|line| hook(line).unwrap_or_else(|| panic!("in the log of hooks: {line:?}"))).collect()
    }

    /// The hooks from number `from` on, once there are `n` or more of them.
    fn next(&self, from: usize, n: usize) -> Vec<Hook> {
        eventually(&format!("{n} hooks after the first {from}"), || self.all().len() >= from + n);
        self.all().split_off(from)
    }
}

fn names(hooks: &[Hook]) -> Vec<&str> {
    hooks.iter().map(|hook| hook.name.as_str()).collect()
}

const OF_A_REQUEST: [&str; 3] = ["RINIT", "RSHUTDOWN", "POST_DEACTIVATE"];

#[test]
fn hooks_are_called_once_per_process_thread_and_request() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    site.file("a.php", "<?php echo 'a', extension_loaded('ftmhooks');");
    let log = HookLog::new(&site);
    let hooked = log.pool("hooked").children(3).set("pm.max_requests", "4");
    let config = ServerConfig::pool(hooked).and_pool(PoolConfig::new("plain").children(2));
    let server = Server::start(&site, config);
    let plain = server.address_of("plain").clone();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(server.get("/a.php").text(), "a1")));
        }
        scope.spawn(|| {
            for _ in 0..10 {
                let answer = fcgi::Conn::open(&plain).call(1, &Call::get(&site, "/a.php"));
                assert_eq!(answer.text(), "a", "the other pool does not have the extension");
            }
        });
    });
    server.stop();

    let hooks = log.all();
    let process = hooks[0].process;
    assert!(hooks.iter().all(|hook| hook.process == process), "one process: {hooks:?}");
    let of_main: Vec<Hook> = hooks.iter().filter(|hook| hook.thread == process).cloned().collect();
    assert_eq!(names(&of_main), ["GINIT", "MINIT", "MSHUTDOWN", "GSHUTDOWN"]);
    assert_eq!(hooks[..2], of_main[..2], "the process starts with them");
    assert_eq!(hooks[hooks.len() - 2..], of_main[2..], "the process ends with them");

    let mut lives: HashMap<u32, Vec<&str>> = HashMap::new();
    for hook in hooks.iter().filter(|hook| hook.thread != process) {
        lives.entry(hook.thread).or_default().push(&hook.name);
    }
    let mut requests = 0;
    let mut full = 0;
    for (thread, life) in &lives {
        let n = life.len().saturating_sub(2) / 3;
        let expected: Vec<&str> = std::iter::once("GINIT")
            .chain(std::iter::repeat_n(OF_A_REQUEST, n).flatten())
            .chain(std::iter::once("GSHUTDOWN"))
            .collect();
        assert_eq!(*life, expected, "the life of thread {thread}");
        assert!(n <= 4, "thread {thread} ran {n} requests");
        requests += n;
        full += usize::from(n == 4);
    }
    assert_eq!(requests, 100);
    assert!(full >= lives.len() - 3, "only the last three threads may end before their time: {lives:?}");
}

/// Scripts that end in every way, and what is in their answer.
fn endings(site: &Site) -> Vec<(&'static str, u16, &'static str)> {
    let mut endings = Vec::new();
    let mut ending = |name: &'static str, code: &str, status: u16, text: &'static str| {
        site.file(name, format!("<?php {code}"));
        endings.push((name, status, text));
    };
    ending("end.php", "echo 'ended';", 200, "ended");
    ending("exit.php", "echo 'out'; exit(3);", 200, "out");
    ending("exit-message.php", "exit('message');", 200, "message");
    ending("exception.php", "throw new Exception('thrown');", 500, "");
    ending("fatal.php", "undefined_function();", 500, "");
    ending("error.php", "trigger_error('bad', E_USER_ERROR);", 500, "");
    ending("syntax.php", "this is not PHP;", 500, "");
    ending("memory.php", "$a = []; while (true) $a[] = str_repeat('x', 100000);", 500, "");
    ending("time.php", "set_time_limit(1); while (true);", 500, "");
    ending("shutdown-exit.php", "register_shutdown_function(function () { echo 's'; exit; });", 200, "s");
    ending("shutdown-fatal.php", "register_shutdown_function('f'); function f() { undefined(); }", 500, "");
    ending(
        "shutdown-memory.php",
        "register_shutdown_function('f'); function f() { str_repeat('x', PHP_INT_MAX >> 8); }",
        500,
        "",
    );
    ending("destructor-exit.php", "class D { function __destruct() { echo 'd'; exit; } } $d = new D;", 200, "d");
    ending("destructor-throw.php", "class D { function __destruct() { throw new Exception; } } $d = new D;", 500, "");
    ending("callback-throw.php", "ob_start(function ($b) { throw new Exception; }); echo 'x';", 500, "");
    ending("fiber-exit.php", "(new Fiber(function () { echo 'f'; exit; }))->start();", 200, "f");
    ending("fiber-fatal.php", "(new Fiber(function () { undefined(); }))->start();", 500, "");
    ending("finish.php", "echo 'done'; fastcgi_finish_request(); undefined();", 200, "done");
    endings.push(("none.php", 404, "File not found.\n"));
    endings
}

#[test]
fn hooks_are_called_however_a_script_ends() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    let log = HookLog::new(&site);
    let endings = endings(&site);
    let config = ServerConfig::pool(log.pool("www").children(1)).ini("display_errors = 0").ini("memory_limit = 32M");
    let server = Server::start(&site, config);
    let mut seen = log.next(0, 3);
    assert_eq!(names(&seen), ["GINIT", "MINIT", "GINIT"]);
    let thread = seen[2].thread;
    for (script, status, text) in endings {
        let answer = server.get(&format!("/{script}")).web();
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{script}");
        let new = log.next(seen.len(), 3);
        assert_eq!(names(&new), OF_A_REQUEST, "{script}");
        assert!(new.iter().all(|hook| hook.thread == thread), "{script}: {new:?}");
        seen.extend(new);
    }
    server.stop();
    assert_eq!(names(&log.all()[seen.len()..]), ["GSHUTDOWN", "MSHUTDOWN", "GSHUTDOWN"]);
}

#[test]
fn a_bailout_in_a_hook_harms_no_other_request() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    let log = HookLog::new(&site);
    let bail = "ini_set('ftmhooks.bailout', 'RSHUTDOWN');";
    site.file("rshutdown.php", format!("{PHP_SPOIL}<?php session_start(); {bail} echo 'whole';"));
    site.file("rshutdown-fatal.php", format!("{PHP_SPOIL}<?php {bail} echo 'whole'; undefined();"));
    site.file("whole.php", format!("{PHP_SPOIL}whole"));
    site.file("sound.php", PHP_SOUND);
    let server = Server::start(&site, ServerConfig::pool(log.pool("www").children(1)));
    let post_deactivate = Call::get(&site, "/whole.php").param("PHP_VALUE", "ftmhooks.bailout = POST_DEACTIVATE");
    let calls = [Call::get(&site, "/rshutdown.php"), Call::get(&site, "/rshutdown-fatal.php"), post_deactivate];
    log.next(0, 3); // its thread has booted
    for (n, call) in calls.iter().enumerate() {
        let before = log.all().len();
        let answer = server.call(call);
        assert_eq!(answer.text().trim_start(), "whole", "call {n}");
        assert_eq!(names(&log.next(before, 3)[..3]), OF_A_REQUEST, "call {n}");
        assert_eq!(server.get("/sound.php").text(), "sound", "after call {n}");
    }
    server.stop();
}

#[test]
fn a_bailout_that_breaks_request_shutdown_off_recycles_the_thread() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    let log = HookLog::new(&site);
    let state =
        "ini_set('precision', '3'); set_error_handler(fn() => false); ob_start(); ob_end_flush(); session_start();";
    let fatal = "function left() { echo 'part'; flush(); str_repeat('x', 1 << 29); } left();";
    site.file("break.php", format!("<?php {state} {fatal}"));
    site.file("sound.php", PHP_SOUND);
    site.file("recycles.php", "<?php echo ftm_get_status()['recycles'];");
    let pool = log.pool("www").children(1).set("php_admin_value[ftmhooks.bailout]", "OBSERVER");
    let server = Server::start(&site, ServerConfig::pool(pool).ini("display_errors = 0"));
    let mut seen = log.next(0, 3).len();
    for n in 1..=20 {
        let answer = server.get("/break.php").web();
        assert_eq!((answer.status, answer.text().as_str()), (200, "part"));
        // What was left undone is undone by the end of the thread.
        let new = log.next(seen, 3);
        assert_eq!(names(&new), ["RINIT", "GSHUTDOWN", "GINIT"]);
        assert_ne!(new[1].thread, new[2].thread);
        seen += new.len();
        assert_eq!(server.get("/sound.php").text(), "sound");
        assert_eq!(server.get("/recycles.php").text(), n.to_string());
        seen += log.next(seen, 6).len();
    }
    let process = server.workers();
    assert_eq!(process.len(), 1);
    assert_eq!(process[0], log.all()[0].process, "the process is the first one");
    server.stop();
}

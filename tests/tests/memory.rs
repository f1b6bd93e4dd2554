//! Memory is given back; `pm.max_thread_memory` and `pm.max_memory`: leaks are bounded, and no request is lost.

use ftm_tests::fcgi::{Answer, Call};
use ftm_tests::*;

const MIB: u64 = 1 << 20;

fn site() -> Site {
    let site = Site::new();
    // As much again in a thread_local.
    site.file("leak.php", "<?php ftm_leak(1 << 20); echo 'leaked';");
    site.file("leaked.php", "<?php echo ftm_leaked()['tsrm_bytes'];");
    site.file("recycles.php", "<?php echo ftm_get_status()['recycles'];");
    site
}

fn pool() -> PoolConfig {
    let extension = extension::build("ftmleak");
    PoolConfig::new("www").children(2).set("php_admin_value[extension]", &extension.display().to_string())
}

fn number(server: &Server, uri: &str) -> u64 {
    server.get(uri).text().parse().expect("a number")
}

/// Leaks 32 MiB.
fn leak(site: &Site, server: &Server) {
    let mut conn = server.connect();
    for id in 1..=16 {
        assert_eq!(conn.call(id, &Call::get(site, "/leak.php").keep()).text(), "leaked");
    }
}

#[test]
fn threads_that_keep_too_much_are_recycled() {
    only_php_ftm!("php-fpm has no such directive");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool().set("pm.max_thread_memory", "12M")));
    let before = server.workers();
    let leaked = Call::get(&site, "/leaked.php").keep();
    let load = Load::start_kept(2, server.address(), &leaked, |answer: &Answer| answer.web().status == 200);
    leak(&site, &server);
    eventually("it is freed", || number(&server, "/leaked.php") < 16 * MIB && number(&server, "/recycles.php") > 0);
    server.wait_log("MiB each (pm.max_thread_memory): recycling that of slot");
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    assert_eq!(server.workers(), before, "the same process");
    server.stop();
}

#[test]
fn a_process_that_has_too_much_is_replaced() {
    only_php_ftm!("php-fpm has no such directive");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool().set("pm.max_memory", "32M")));
    let before = server.workers();
    let leaked = Call::get(&site, "/leaked.php").keep();
    let load = Load::start_kept(2, server.address(), &leaked, |answer: &Answer| answer.web().status == 200);
    leak(&site, &server);
    eventually("another process serves", || server.workers().len() == 1 && server.workers() != before);
    assert_eq!(number(&server, "/leaked.php"), 0);
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    server.wait_log("MiB of memory (pm.max_memory)");
    server.stop();
}

/// Takes some MiB of PHP's heap and some of the stack, and defines what a script can, which must not be there yet. Regular
/// expressions are kept with the thread.
const TAKE: &str = r#"<?php
for ($i = 0; $i < 300; $i++) {
    if (function_exists("f$i") || defined("K$i")) die("left: $i");
    define("K$i", $i);
    eval("function f$i() { return $i; } class C$i {}");
}
usleep((int) ($_GET['us'] ?? 0));
$all = [];
for ($i = 0; $i < 100000; $i++) $all[] = [$i];
for ($i = 0; $i < ($_GET['patterns'] ?? 10); $i++) preg_match("/^(a|b)*$i$/", str_repeat('ab', 100));
echo count($all), f299(), K299, get_class(new C299);
"#;

/// All at once, four times: a thread for each.
fn burst(site: &Site, server: &Server, threads: u16, uri: &str) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut conn = server.connect();
                for id in 1..=4 {
                    assert_eq!(conn.call(id, &Call::get(site, uri).keep()).text(), "100000299299C299");
                }
            });
        }
    });
}

#[test]
fn idle_threads_give_back_what_a_burst_took() {
    only_php_ftm!("php-fpm's children keep it");
    let site = Site::new();
    site.file("take.php", TAKE);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(8)));
    burst(&site, &server, 8, "/take.php?us=300000");
    let after = server.memory();
    eventually("most of it is given back", || server.memory() < after / 2);
    burst(&site, &server, 8, "/take.php?us=300000"); // what was given back is missing nowhere
    server.stop();
}

#[test]
fn what_threads_leave_is_given_back() {
    let site = Site::new();
    site.file("take.php", TAKE);
    let pool = PoolConfig::new("www").children(40).set("pm", "ondemand").set("pm.process_idle_timeout", "1s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    burst(&site, &server, 40, "/take.php?us=300000&patterns=1000");
    let after = server.memory();
    eventually("most of it is given back", || server.memory() < after / 2);
    server.stop();
}

//! opcache, pool by pool: with the settings that the pool gives it, and right under load on several threads.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// The opcache beside the PHP inside php-ftm: in the directory of extensions that its own settings name.
fn opcache() -> PathBuf {
    let info = Command::new(Kind::PhpFtm.program()).args(["-n", "-i"]).output().expect("php-ftm -i");
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    // `extension_dir => /a/b => /a/b`, whether as text or in a table.
    let words = info.split(['>', '<', ' ', '\n']).skip_while(|word| *word != "extension_dir").skip(1);
    let mut files = words.filter(|word| word.starts_with('/')).map(|dir| PathBuf::from(dir).join("opcache.so"));
    files.find(|file| file.exists()).expect("an opcache in the directory of extensions")
}

/// Replaces a file whole, by one that was changed at second `second` of some day: opcache looks at full seconds.
fn replace(path: &Path, content: &str, second: u64) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("write");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second);
    File::options().write(true).open(&new).and_then(|file| file.set_modified(time)).expect("set the time");
    fs::rename(&new, path).expect("rename");
}

/// A pool with opcache.
fn cached(name: &str) -> PoolConfig {
    PoolConfig::new(name)
        .set("php_admin_value[zend_extension]", &opcache().display().to_string())
        .set("php_admin_flag[opcache.enable]", "on")
        // Files of a test are younger than the two seconds that opcache lets them ripen.
        .set("php_admin_value[opcache.file_update_protection]", "0")
}

const STATUS: &str = r#"<?php
if (!function_exists('opcache_get_status')) exit('no opcache, ' . var_export(extension_loaded('Zend OPcache'), true));
$status = opcache_get_status(false);
if (!$status) exit('off');
$memory = $status['memory_usage'];
echo 'memory ', ($memory['used_memory'] + $memory['free_memory'] + $memory['wasted_memory']) >> 20,
    ' keys ', $status['opcache_statistics']['max_cached_keys'],
    ' strings ', intdiv($status['interned_strings_usage']['buffer_size'] ?? 0, 1 << 20),
    ' jit ', (int) ($status['jit']['on'] ?? false), ' ', ($status['jit']['buffer_size'] ?? 0) >> 20;"#;

fn ask(site: &Site, server: &Server, pool: &str, uri: &str) -> String {
    Conn::open(server.address_of(pool)).call(1, &Call::get(site, uri)).text()
}

#[test]
fn each_pool_has_its_own_opcache_or_none() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let site = Site::new();
    site.file("status.php", STATUS);
    let small = cached("small")
        .set("php_admin_value[opcache.memory_consumption]", "16")
        .set("php_admin_value[opcache.max_accelerated_files]", "1000");
    let large = cached("large")
        .set("php_admin_value[opcache.memory_consumption]", "64")
        .set("php_admin_value[opcache.max_accelerated_files]", "5000")
        .set("php_admin_value[opcache.jit]", "tracing")
        .set("php_admin_value[opcache.jit_buffer_size]", "8M");
    let off = cached("off").set("php_admin_flag[opcache.enable]", "off");
    let by_name = cached("by_name").set("php_admin_value[zend_extension]", "opcache");
    let config = ServerConfig::pool(small).and_pool(large).and_pool(off).and_pool(by_name);
    let server = Server::start(&site, config.and_pool(PoolConfig::new("none")));
    for _ in 0..3 {
        let small = ask(&site, &server, "small", "/status.php");
        assert!(small.starts_with("memory 16 keys 1979 ") && small.ends_with("jit 0 0"), "{small}");
        let large = ask(&site, &server, "large", "/status.php");
        // Some pages of the buffer are the JIT's own.
        assert!(large.starts_with("memory 64 keys 7963 "), "{large}");
        assert!(large.ends_with("jit 1 7") || large.ends_with("jit 1 8"), "{large}");
        assert_eq!(ask(&site, &server, "off", "/status.php"), "off");
        assert!(ask(&site, &server, "by_name", "/status.php").starts_with("memory 128 "));
        assert_eq!(ask(&site, &server, "none", "/status.php"), "no opcache, false");
    }
    assert!(!server.log().contains("Cannot load"), "{}", server.log());
    server.stop();
}

#[test]
fn scripts_are_cached_for_all_threads() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let site = Site::new();
    let counted = site.file("counted.php", "<?php echo 'counted';");
    let script = format!(
        "<?php $script = opcache_get_status()['scripts']['{}'] ?? null; echo $script['hits'] ?? -1;",
        counted.display()
    );
    site.file("hits.php", script);
    let server = Server::start(&site, ServerConfig::pool(cached("www").children(4)));
    let hits = || -> i64 { server.get("/hits.php").text().parse().expect("a number") };
    assert_eq!(hits(), -1, "not yet");
    assert_eq!(server.get("/counted.php").text(), "counted");
    assert_eq!(hits(), 0);
    for n in 1..=20 {
        assert_eq!(server.get("/counted.php").text(), "counted");
        assert_eq!(hits(), n, "whichever thread ran it");
    }
    server.meet(4);
    // A changed file is noticed (opcache.revalidate_freq is 0 here).
    replace(&counted, "<?php echo 'changed now';", 0);
    assert_eq!(server.get("/counted.php").text(), "changed now");
}

/// Classes, functions and constants from several files, with static state that each request starts anew.
const LIBRARY: [(&str, &str); 4] = [
    (
        "base.php",
        "namespace Lib; abstract class Base { public static int $made = 0; protected array $list = ['a' => [1, 2], 'b' => 'x'];
         function __construct(protected string $tag = self::TAG) { static::$made++; self::$made += 0; }
         abstract function run(int $n): string; const TAG = 'base'; use Counts; }",
    ),
    (
        "counts.php",
        "namespace Lib; trait Counts { private static int $count = 0;
         function count(): int { static $calls = 0; $calls++; self::$count++; return $calls + self::$count; } }",
    ),
    (
        "child.php",
        "namespace Lib; enum Kind: string { case One = '1'; case Two = '2'; function twice() { return $this->value . $this->value; } }
         final class Child extends Base implements \\Countable { const TAG = 'child-' . parent::TAG;
         function run(int $n): string { $this->list['b'] .= $n; $sum = 0; for ($i = 0; $i < $n; $i++) $sum += $i % 7 * 2;
         return $this->tag . self::TAG . $this->list['b'] . $sum . Kind::from('2')->twice(); } }",
    ),
    ("functions.php", "namespace Lib; function total(iterable $all) { $t = 0; foreach ($all as $x) $t += $x; return $t; } const FACTOR = 3;"),
];

/// Runs all of it, hot enough for the JIT; the answer is a function of `n` alone.
const APPLICATION: &str = r#"<?php
spl_autoload_register(fn($class) => require __DIR__ . '/' . strtolower(substr($class, 4)) . '.php');
require_once __DIR__ . '/functions.php';
$n = (int) $_GET['n'];
$out = [];
for ($i = 0; $i < 20; $i++) { $child = new Lib\Child(); $out[] = $child->run($n + $i); $child->count(); }
$total = Lib\total((function () use ($n) { for ($i = 0; $i < 2000; $i++) yield $i * Lib\FACTOR % ($n + 2); })());
echo md5(implode(',', $out)), ' ', Lib\Base::$made, ' ', $child->count(), ' ', $total, ' ', $n;"#;

fn application(site: &Site) {
    for (name, code) in LIBRARY {
        site.file(&format!("app/{name}"), format!("<?php {code}"));
    }
    site.file("app/index.php", APPLICATION);
}

#[test]
fn an_application_runs_right_on_all_threads_with_and_without_jit() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let _alone = heavy();
    let site = Site::new();
    application(&site);
    let jit = |name: &str, mode: &str| {
        cached(name)
            .set("php_admin_value[opcache.jit]", mode)
            .set("php_admin_value[opcache.jit_buffer_size]", "16M")
            .set("php_admin_value[opcache.jit_hot_func]", "5")
            .set("php_admin_value[opcache.jit_hot_loop]", "5")
    };
    // Threads come and go meanwhile.
    let pools = [cached("plain"), jit("tracing", "tracing"), jit("function", "function")];
    let [plain, tracing, function] = pools.map(|pool| pool.children(4).set("pm.max_requests", "40"));
    let config = ServerConfig::pool(PoolConfig::new("none").children(1)).and_pool(plain).and_pool(tracing);
    let server = Server::start(&site, config.and_pool(function));
    let uri = |n: usize| format!("/app/index.php?n={n}");
    let expected: Vec<String> = (0..20).map(|n| ask(&site, &server, "none", &uri(n))).collect();
    assert!(expected[7].ends_with(" 20 42 5997 7"), "{}", expected[7]);
    for pool in ["plain", "tracing", "function"] {
        std::thread::scope(|scope| {
            for client in 0..6 {
                let (server, site, expected) = (&server, &site, &expected);
                scope.spawn(move || {
                    for i in 0..60 {
                        let n = (client * 7 + i) % 20;
                        let answer = Conn::open(server.address_of(pool)).call(1, &Call::get(site, &uri(n)));
                        assert_eq!(answer.text(), expected[n], "{pool}: {}", answer.error_text());
                    }
                });
            }
        });
    }
    assert!(!server.log().contains("exited on signal"), "no process was lost");
    server.stop();
}

#[test]
fn files_that_change_under_load_are_never_half_old() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let _alone = heavy();
    let site = Site::new();
    // Each version says its number in several ways: in constants, code and the strings that opcache shares.
    let version = |n: u32| {
        format!(
            "<?php namespace App; class Version {{ const N = {n}; public $all = ['n{n}', {n}, 'n{n}' => 'v{n}'];
             function get() {{ return 'f{n}'; }} }} function version() {{ static $s = 'n{n}'; return $s . {n} * 2; }}
             return 'v{n}';"
        )
    };
    let path = site.file("version.php", version(1));
    let main = r#"<?php
$returned = include __DIR__ . '/version.php';
$object = new App\Version;
$n = App\Version::N;
$right = $returned === "v$n" && $object->all === ["n$n", $n, "n$n" => "v$n"] && $object->get() === "f$n"
    && App\version() === "n$n" . $n * 2;
echo $right ? 'right' : "WRONG at $n: $returned " . json_encode($object), ' ', $n;"#;
    site.file("main.php", main);
    let server = Server::start(&site, ServerConfig::pool(cached("www").children(4)));
    let right = |answer: &fcgi::Answer| answer.text().starts_with("right ");
    let load = Load::start(6, server.address(), &Call::get(&site, "/main.php"), right);
    const VERSIONS: u32 = 300;
    for n in 2..=VERSIONS {
        replace(&path, &version(n), n.into());
        load.wait_for(5);
    }
    let outcome = load.end();
    assert_eq!((outcome.broken, outcome.failures), (0, Vec::new()));
    assert_eq!(server.get("/main.php").text(), format!("right {VERSIONS}"), "the last one is noticed");
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

#[test]
fn a_fatal_error_in_a_cached_script_harms_no_other() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let site = Site::new();
    application(&site);
    site.file("sound.php", PHP_SOUND);
    site.file(
        "fatal.php",
        "<?php require 'app/functions.php'; class A { function f() { undefined(); } } (new A)->f();",
    );
    site.file("parse.php", "<?php this is no PHP");
    site.file("redeclared.php", "<?php class A {} class A {}");
    site.file("memory.php", "<?php function f() { return str_repeat('x', 1 << 27); } f();");
    site.file(
        "left.php",
        "<?php $f = new Fiber(function () { require 'app/functions.php'; Fiber::suspend(); }); $f->start();",
    );
    let pool = cached("www").children(2).set("php_admin_value[opcache.jit]", "tracing");
    let pool = pool.set("php_admin_value[opcache.jit_buffer_size]", "8M");
    let config = ServerConfig::pool(pool).ini("display_errors = 0").ini("memory_limit = 64M");
    let server = Server::start(&site, config);
    let expected = server.get("/app/index.php?n=5").text();
    for _ in 0..10 {
        for (script, status) in
            [("fatal", 500), ("parse", 500), ("redeclared", 500), ("memory", 500), ("left", 200), ("none", 404)]
        {
            assert_eq!(server.get(&format!("/{script}.php")).web().status, status, "{script}");
            assert_eq!(server.get("/app/index.php?n=5").text(), expected, "after {script}");
            assert_eq!(server.get("/sound.php").text(), "sound", "after {script}");
        }
    }
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

const FIGURES: &str = "<?php echo ftm_get_status()['opcache-restarts'];";

/// Calls that use what is cached: classes, included files, constants, closures, static variables, interned strings.
const CACHED: &str = r#"<?php
require_once __DIR__ . '/cached.inc';
function twice(array $list) { static $f; $f ??= fn($n) => $n * 2; return array_map($f, $list); }
$name = 'Part' . $_GET['n'] % 3;
echo (new Whole)->sum(twice(range(1, 50))), ' ', Whole::NAMES[$name] ?? 'none', ' ', implode(',', Whole::list());
"#;

const INCLUDED: &str = r#"<?php
interface Summing { function sum(array $list): int; }
trait Listing { private static array $seen = ['a']; static function list() { self::$seen[] = 'b'; return self::$seen; } }
class Whole implements Summing {
    use Listing;
    const NAMES = ['Part0' => 'zero', 'Part1' => 'one', 'Part2' => 'two'];
    function sum(array $list): int { $sum = 0; foreach ($list as $n) { $sum += $n; } return $sum; }
}
"#;

fn restarts(server: &Server) -> u32 {
    server.get("/figures.php").text().parse().expect("a number")
}

#[test]
fn resets_under_load_hit_nobody() {
    only_php_ftm!("php-fpm has no threads");
    let _alone = heavy();
    let site = Site::new();
    site.file("cached.inc", INCLUDED);
    site.file("cached.php", CACHED);
    site.file("figures.php", FIGURES);
    site.file("reset.php", "<?php echo json_encode(opcache_reset());");
    let pool = cached("www")
        .children(8)
        .set("php_admin_value[opcache.jit]", "tracing")
        .set("php_admin_value[opcache.jit_buffer_size]", "16M")
        .set("php_admin_value[opcache.jit_hot_func]", "2")
        .set("php_admin_value[opcache.jit_hot_loop]", "2");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let workers = server.workers();
    let call = Call::get(&site, "/cached.php?n=1").keep();
    let load = Load::start(6, server.address(), &call, |answer| answer.text() == "2550 one a,b");
    eventually("opcache has restarted several times", || {
        server.get("/reset.php");
        restarts(&server) >= 3
    });
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0 && outcome.answered > 100, "{outcome:?}");
    assert_eq!(server.workers(), workers, "no crash");
    server.stop();
}

#[test]
fn a_cache_that_overflows_restarts_and_hits_nobody() {
    only_php_ftm!("php-fpm has no threads");
    let _alone = heavy();
    let site = Site::new();
    site.file("figures.php", FIGURES);
    let big = |n: u64| {
        let list: String = (0..1500).map(|i| format!("'key {n} {i}' => ['value {n} {i}', {i}],")).collect();
        format!("<?php $list = [{list}]; echo count($list), $list['key {n} 7'][0];")
    };
    let files: Vec<_> = (0..200).map(|n| site.file(&format!("big/{n}.php"), big(n))).collect();
    let pool = cached("www").children(4).set("php_admin_value[opcache.memory_consumption]", "8");
    // opcache restarts when it is full and something in it is out of date.
    let pool = [("interned_strings_buffer", "1"), ("max_wasted_percentage", "1"), ("revalidate_freq", "0")]
        .into_iter()
        .fold(pool, |pool, (name, value)| pool.set(&format!("php_admin_value[opcache.{name}]"), value));
    let server = Server::start(&site, ServerConfig::pool(pool));
    let workers = server.workers();
    let mut conn = server.connect();
    let mut next = 0u64;
    let first = Call::get(&site, "/big/0.php").keep();
    let load = Load::start(3, server.address(), &first, |answer| answer.text() == "1500value 0 7");
    eventually("the cache has overflowed and restarted", || {
        for _ in 0..50 {
            let n = next % 200;
            next += 1;
            replace(&files[n as usize], &big(n), next);
            let answer = conn.call(1, &Call::get(&site, &format!("/big/{n}.php")).keep());
            assert_eq!(answer.text(), format!("1500value {n} 7"));
        }
        restarts(&server) >= 2
    });
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    assert_eq!(server.workers(), workers, "no crash");
    server.stop();
}

/// Resets opcache beside a request that goes on until there is the file that is returned.
fn reset_beside_a_request(site: &Site, server: &Server) -> (Conn, PathBuf) {
    let dir = site.writable("dir");
    let script = "touch($_GET['dir'] . '/begun'); wait_for($_GET['dir'] . '/go'); echo 'went on';";
    site.file("long.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("figures.php", FIGURES);
    site.file("reset.php", "<?php echo json_encode(opcache_reset());");
    let mut long = server.connect();
    long.send(Call::get(site, &format!("/long.php?dir={}", dir.display())).encode(1));
    eventually("the long request has begun", || dir.join("begun").exists());
    assert_eq!(server.get("/reset.php").text(), "true");
    (long, dir.join("go"))
}

#[test]
fn a_request_that_does_not_end_puts_a_restart_off() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    let pool = cached("www").children(3).set("opcache_restart_timeout", "1s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let (mut long, go) = reset_beside_a_request(&site, &server);
    server.wait_log("opcache is to restart, and requests do not end for it");
    assert_eq!(restarts(&server), 0, "and others are served");
    fs::write(go, "").expect("go");
    assert_eq!(long.answer(1).text(), "went on");
    server.stop();
}

/// The beginning of a POST whose body is larger than what is buffered, and stalls.
fn stalled(site: &Site) -> Vec<u8> {
    let call = Call::post(site, "/figures.php", "text/plain", vec![b'x'; 600_000]);
    let mut bytes = call.encode(1);
    bytes.truncate(bytes.len() / 2);
    bytes
}

#[test]
fn a_request_that_is_ended_while_its_body_arrives_harms_no_other() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    site.file("figures.php", FIGURES);
    let pool = cached("www").children(2).set("request_terminate_timeout", "1s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let workers = server.workers();
    for _ in 0..3 {
        let mut conn = server.connect();
        conn.send(stalled(&site));
        let status = conn.answer(1).web().status;
        assert!([400, 408, 500, 504].contains(&status), "{status}");
        assert_eq!(restarts(&server), 0);
    }
    assert_eq!(server.workers(), workers, "no crash");
    server.stop();
}

#[test]
fn a_restart_does_not_wait_for_a_body() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::pool(cached("www").children(3)));
    let (mut long, go) = reset_beside_a_request(&site, &server);
    let mut slow = server.connect();
    slow.send(stalled(&site));
    fs::write(go, "").expect("go");
    assert_eq!(long.answer(1).text(), "went on");
    eventually("opcache has restarted", || restarts(&server) == 1);
    drop(slow);
    server.stop();
}

#[test]
fn it_does_not_restart_under_a_thread_that_is_left_to_itself_while_it_waits() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file(
        "stuck.php",
        "<?php ini_set('pcre.jit', 0); ini_set('pcre.backtrack_limit', '4000000000');
         touch($_GET['begun']); preg_match('/^(a+)+$/', str_repeat('a', 60) . 'b');",
    );
    site.file("reset.php", "<?php echo (int) opcache_reset();");
    site.file(
        "figures.php",
        "<?php $own = ftm_get_status(); echo $own['abandoned-threads'], $own['opcache-restarts'];",
    );
    let pool = cached("www")
        .set("request_terminate_timeout", "1s")
        .set("force_kill_deadline", "1s")
        .set("opcache_restart_timeout", "20s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let begun = site.writable("dir").join("begun");
    let mut stuck = server.connect();
    stuck.send(Call::get(&site, &format!("/stuck.php?begun={}", begun.display())).encode(1));
    eventually("it runs", || begun.exists());
    assert_eq!(server.get("/reset.php").text(), "1");
    assert_eq!(stuck.answer(1).web().status, 504);
    server.wait_log("opcache is to restart, and requests do not end for it: put off");
    assert_eq!(server.get("/figures.php").text(), "10");
    server.stop();
}

#[test]
fn functions_of_preloaded_scripts_stay_theirs() {
    only_php_ftm!("php-fpm loads no zend_extension for a pool");
    let site = Site::new();
    // A function that PHP has elsewhere, and php-ftm would refuse.
    let preload = "<?php function pcntl_rfork() { return 'its own'; } function id() { return getmypid(); }";
    let preload = site.file("preload.php", preload);
    site.file("use.php", "<?php echo pcntl_rfork(), ' ', id() === posix_getpid() ? 'thread' : 'process';");
    let pool = cached("www").set("php_admin_value[opcache.preload]", &preload.display().to_string());
    let user = if nix::unistd::geteuid().is_root() { "root" } else { "" };
    let server = Server::start(&site, ServerConfig::pool(pool.set("php_admin_value[opcache.preload_user]", user)));
    for _ in 0..8 {
        assert_eq!(server.get("/use.php").text(), "its own thread");
    }
    server.stop();
}

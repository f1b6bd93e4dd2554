//! Many fibers at the same time, on all threads; their stacks are deep enough, and are given back.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// 64 fibers that each suspend, print and count on; `left` of them are still suspended when the request ends.
const MANY: &str = r#"<?php
class Mark { function __construct(public $n) {} function __destruct() { $GLOBALS['destroyed'][] = $this->n; } }
$id = $_GET['id'];
$fibers = [];
for ($n = 0; $n < 64; $n++) {
    $fibers[$n] = new Fiber(function () use ($n, $id) {
        $mark = new Mark($n);
        $local = str_repeat("$id-$n;", 100);
        $depth = fn($f, $d) => $d ? array_map(fn() => $f($f, $d - 1), [1])[0] : Fiber::suspend();
        for ($round = 0; $round < 5; $round++) {
            $depth($depth, 20);
            if ($local !== str_repeat("$id-$n;", 100)) echo 'WRONG ';
            if ($id !== $_GET['id']) echo 'MIXED ';
        }
        return "$id-$n";
    });
}
foreach ($fibers as $fiber) $fiber->start();
$order = range(0, 63);
for ($round = 0; $round < 5; $round++) {
    shuffle($order);
    foreach ($order as $n) {
        if ($round == 4 && $n < $_GET['left']) continue;
        $fibers[$n]->resume();
    }
    if ($round == 2) gc_collect_cycles();
    usleep(100);
}
foreach ($fibers as $n => $fiber) {
    if ($n < $_GET['left'] ? !$fiber->isSuspended() : $fiber->getReturn() !== "$id-$n") echo "STATE $n ";
}
echo "done $id";"#;

#[test]
fn sixty_four_at_once_on_every_thread() {
    let _alone = heavy();
    let site = Site::new();
    site.file("many.php", MANY);
    site.file("sound.php", PHP_SOUND);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(4)));
    server.meet(4);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (server, site) = (&server, &site);
            scope.spawn(move || {
                for n in 0..15 {
                    let left = [0, 1, 64][n % 3];
                    let answer = server.call(&Call::get(site, &format!("/many.php?id={client}.{n}&left={left}")));
                    assert_eq!(answer.text(), format!("done {client}.{n}"), "{}", answer.error_text());
                    assert_eq!(server.call(&Call::get(site, "/sound.php")).text(), "sound");
                }
            });
        }
    });
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

#[test]
fn stacks_of_fibers_are_given_back() {
    let site = Site::new();
    site.file("many.php", MANY);
    let mappings = |server: &Server| -> usize {
        let lines = |pid| fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps").lines().count();
        server.workers().into_iter().map(lines).sum()
    };
    let pool = PoolConfig::new("www").children(2);
    let server = Server::start(&site, ServerConfig::pool(pool));
    let serve = |n: usize| {
        for i in 0..n {
            assert_eq!(server.get(&format!("/many.php?id={i}&left=64")).text(), format!("done {i}"));
        }
    };
    serve(10);
    server.meet(2);
    let before = mappings(&server);
    serve(30);
    server.meet(2);
    // Each stack is two mappings: 30 requests would leave 3,840 behind.
    let after = mappings(&server);
    assert!(after < before + 200, "from {before} to {after} mappings");
}

#[test]
fn threads_end_after_requests_that_left_fibers() {
    only_php_ftm!("php-fpm has no threads");
    let site = Site::new();
    site.file("many.php", MANY);
    let pool = PoolConfig::new("www").children(2).set("pm.max_requests", "2");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let process = server.workers();
    server.meet(2);
    for i in 0..40 {
        assert_eq!(server.get(&format!("/many.php?id={i}&left=64")).text(), format!("done {i}"));
    }
    assert_eq!(server.workers(), process, "the process is the first one");
    server.stop();
}

/// Recursion through C inside a fiber, whose stack has 2 MiB, with at most three quarters of the depth that php-fpm 8.2
/// survives.
const DEEP: [(&str, u32, &str); 9] = [
    ("array_map", 2_400, "function r($n) { return $n ? array_map(fn($x) => r($n - 1), [1]) : []; } r($d);"),
    (
        "usort",
        1_600,
        "function r($n) { if (!$n) return; $a = [1, 2]; usort($a, function () use ($n) { r($n - 1); return 0; }); } r($d);",
    ),
    ("serialize", 970, "$a = []; for ($i = 0; $i < $d; $i++) $a = [$a]; serialize($a);"),
    (
        "unserialize",
        6_400,
        "ini_set('unserialize_max_depth', '0');
         unserialize(str_repeat('a:1:{i:0;', $d) . 'a:0:{}' . str_repeat('}', $d));",
    ),
    ("json", 4_400, "$a = []; for ($i = 0; $i < $d; $i++) $a = [$a]; json_encode($a, 0, $d + 1);"),
    (
        "to-string",
        1_800,
        "class T { function __construct(public $n) {}
         function __toString() { return $this->n ? 'x' . new T($this->n - 1) : ''; } } (string) new T($d);",
    ),
    ("calls", 3_400, "eval(str_repeat('strrev(', $d) . '1' . str_repeat(')', $d) . ';');"),
    ("php", 400_000, "function r($n) { return $n ? r($n - 1) + 1 : 0; } r($d);"),
    ("fibers", 3_000, "function r($n) { if ($n) { $f = new Fiber(fn() => r($n - 1)); $f->start(); } } r($d);"),
];

#[test]
fn deep_recursion() {
    let _alone = heavy();
    let site = Site::new();
    site.file("sound.php", PHP_SOUND);
    for (name, _, code) in DEEP {
        let fiber = format!("$f = new Fiber(function () use ($d) {{ {code} echo 'survived'; }}); $f->start();");
        site.file(&format!("{name}.php"), format!("<?php $d = (int) $_GET['d']; {fiber}"));
    }
    let config = ServerConfig::default().ini("display_errors = 0").ini("memory_limit = 512M");
    let server = Server::start(&site, config);
    // Together, so that each has a stack of its own.
    std::thread::scope(|scope| {
        for (name, depth, _) in DEEP {
            let (server, site) = (&server, &site);
            scope.spawn(move || {
                let answer = server.call(&Call::get(site, &format!("/{name}.php?d={depth}")));
                assert_eq!(answer.text(), "survived", "{name} to a depth of {depth}: {}", answer.error_text());
            });
        }
    });
    for _ in 0..4 {
        assert_eq!(server.get("/sound.php").text(), "sound");
    }
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

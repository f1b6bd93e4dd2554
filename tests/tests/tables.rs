//! Functions, classes and constants that a script defines: its own, however many, and whatever threads begin and end meanwhile.

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// Defines as many of each as asked, after a look for what another request has left, and tells what PHP itself has.
const DEFINE: &str = r#"<?php
$n = (int) $_GET['n'];
$tag = $_GET['tag'];
$internal = count(get_defined_functions()['internal']);
$own = count(get_defined_functions()['user']) + count(get_defined_constants(true)['user'] ?? []);
$classes = count(get_declared_classes());
$constants = count(get_defined_constants());
for ($i = 0; $i < $n; $i++) {
    if (function_exists("f$i") || class_exists("C$i", false) || defined("K$i")) die("left: $i");
}
$code = '';
for ($i = 0; $i < $n; $i++) {
    $code .= "function f$i() { return '$tag-$i'; } class C$i { const K = '$tag-$i'; }";
    define("K$i", "$tag-$i");
}
eval($code);
for ($i = 0; $i < $n; $i++) {
    if (f($i) !== "$tag-$i" || constant("K$i") !== "$tag-$i" || constant("C$i::K") !== "$tag-$i") die("wrong: $i");
}
function f($i) { return "f$i"(); }
if (M_PI < 3 || PHP_EOL !== "\n" || strlen('abc') !== 3 || !(new ArrayObject) instanceof Countable) die('lost');
echo "$internal/", $own > 1 ? 'left' : 'none', "/$classes/$constants";
"#;

/// As many as PHP has itself, and more than twice as many.
const SIZES: [u32; 5] = [0, 10, 500, 9000, 100];

#[test]
fn what_scripts_define_is_their_own() {
    let site = Site::new();
    site.file("define.php", DEFINE);
    let pool = PoolConfig::new("www")
        .children(4)
        .set("pm.max_requests", "7")
        .set("php_admin_value[memory_limit]", "512M")
        .set("php_admin_value[zend_extension]", "opcache")
        .set("php_admin_flag[opcache.enable]", "on");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let counts = server.counts();
    let first = server.get("/define.php?n=0&tag=a").text();
    assert!(first.contains("/none/"), "{first}");
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (site, server, first) = (&site, &server, &first);
            scope.spawn(move || {
                for n in 0..25 {
                    let size = SIZES[(client + n) % SIZES.len()];
                    let uri = format!("/define.php?n={size}&tag={client}x{n}");
                    assert_eq!(&server.connect().call(1, &Call::get(site, &uri)).text(), first, "{uri}");
                }
            });
        }
    });
    server.wait_nothing_lost(&counts);
    server.stop();
}

/// Runs define.php on that many threads at once: each waits for the others.
fn define_at_once(site: &Site, server: &Server, threads: usize, n: u32) {
    let dir = site.unique("met");
    let mut conns: Vec<_> = (0..threads).map(|_| server.connect()).collect();
    for (i, conn) in conns.iter_mut().enumerate() {
        let uri = format!("/at_once.php?n={n}&tag={i}&threads={threads}&dir={}", dir.display());
        conn.send(Call::get(site, &uri).encode(1));
    }
    for mut conn in conns {
        assert_eq!(conn.answer(1).text(), "all");
    }
}

#[test]
fn idle_threads_give_back_what_tables_outgrew_their_place_for() {
    only_php_ftm!("php-fpm's children keep it");
    let site = Site::new();
    site.file("define.php", DEFINE);
    let at_once = r#"ob_start(); include 'define.php'; ob_end_clean(); touch("$_GET[dir]/$_GET[tag]");
        for ($i = 0; $i < $_GET['threads']; $i++) wait_for("$_GET[dir]/$i");
        echo 'all';"#;
    site.file("at_once.php", format!("{PHP_WAIT_FOR}{at_once}"));
    let pool = PoolConfig::new("www").children(16).set("php_admin_value[memory_limit]", "512M");
    let server = Server::start(&site, ServerConfig::pool(pool));
    define_at_once(&site, &server, 16, 10);
    // Not the proportional one, in which what is shared with other servers grows when they end.
    let memory = || proc::tree_rss(server.pid());
    let before = memory();
    let first = server.get("/define.php?n=0&tag=a").text();
    define_at_once(&site, &server, 16, 9000);
    // The tables of one thread have come to take more than 1 MiB.
    eventually("it is given back", || memory() < before + 16 * 640 * 1024);
    define_at_once(&site, &server, 16, 9000); // what was given back is missing nowhere
    assert_eq!(server.get("/define.php?n=100&tag=b").text(), first);
    server.stop();
}

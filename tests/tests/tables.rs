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

//! More requests than processors: all of them run when they have to.

use std::thread::available_parallelism;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// Ends when as many others run, and does not wait for anything meanwhile.
const COMPUTES: &str = r#"<?php
touch("{$_GET['dir']}/{$_GET['i']}");
$deadline = hrtime(true) + 50e9;
for ($i = 0; $i < $_GET['n']; $i++) {
    while (!file_exists("{$_GET['dir']}/$i")) {
        if (hrtime(true) > $deadline) exit('alone');
        clearstatcache();
    }
}
echo 'met';"#;

fn processors() -> usize {
    available_parallelism().map_or(1, |n| n.get())
}

/// A pool with many threads for each processor.
fn server() -> (Server, usize) {
    let threads = 4 * processors() + 4;
    let site = Site::new();
    site.file("computes.php", COMPUTES);
    site.file("hello.php", "<?php echo 'hello';");
    (Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(threads))), threads)
}

/// So many of `n` requests that compute until all are there.
fn computing(server: &Server, dir: &str, n: usize, some: impl Iterator<Item = usize>) -> Vec<Conn> {
    let call = |i| Call::get(server.site(), &format!("/computes.php?n={n}&i={i}&dir={dir}"));
    some.map(|i| {
        let mut conn = server.connect();
        conn.send(call(i).encode(1));
        conn
    })
    .collect()
}

#[test]
fn scripts_that_wait_leave_the_processors_to_others() {
    let (server, threads) = server();
    for _ in 0..3 {
        server.meet(threads);
    }
}

#[test]
fn scripts_that_compute_share_the_processors() {
    let (server, threads) = server();
    let dir = server.site().unique("computes").display().to_string();
    for mut conn in computing(&server, &dir, threads, 0..threads) {
        assert_eq!(conn.answer(1).text(), "met");
    }
}

#[test]
fn scripts_that_compute_for_long_leave_threads_to_others() {
    let (server, threads) = server();
    let dir = server.site().unique("computes").display().to_string();
    let n = threads - 1;
    let long = computing(&server, &dir, n, 0..n - 1);
    for _ in 0..20 {
        assert_eq!(server.connect().call(1, &Call::get(server.site(), "/hello.php")).text(), "hello");
    }
    let last = computing(&server, &dir, n, n - 1..n);
    for mut conn in long.into_iter().chain(last) {
        assert_eq!(conn.answer(1).text(), "met");
    }
}

//! `pm.status_listen`: the status and ping pages at an address of their own.

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

fn pool(site: &Site) -> PoolConfig {
    PoolConfig::new("www")
        .children(1)
        .set("pm.status_listen", &site.dir().join("status.sock").display().to_string())
        .set("pm.status_path", "/status")
        .set("ping.path", "/ping")
        .set("access.log", &site.writable("logs").join("access.log").display().to_string())
}

fn ask(site: &Site, uri: &str) -> String {
    let address = Address::Unix(site.dir().join("status.sock"));
    Conn::open(&address).call(1, &Call::get(site, uri)).text()
}

#[test]
fn it_answers_there_and_counts_nobody_who_asks() {
    let site = Site::new();
    site.file("hello.php", "<?php echo PHP_SAPI;");
    let server = Server::start(&site, ServerConfig::pool(pool(&site)));
    assert_eq!(server.get("/hello.php").text(), "fpm-fcgi");
    eventually("the thread is idle again", || ask(&site, "/status").contains("idle processes:       1\n"));
    let page = ask(&site, "/status");
    for line in ["active processes:     0\n", "total processes:      1\n"] {
        assert!(page.contains(line), "{line} in {page}");
    }
    let accepted = |page: &str| page.lines().find(|line| line.starts_with("accepted conn")).map(str::to_owned);
    assert_eq!(accepted(&ask(&site, "/status")), accepted(&page));
    assert_eq!(ask(&site, "/ping"), "pong");
    assert_eq!(ask(&site, "/hello.php"), "fpm-fcgi", "scripts run there, too");
    assert!(server.get("/status").text().contains("process manager:"), "and the pool's own address answers as well");
    server.stop();
    assert!(!site.dir().join("status.sock").exists());
    let log = std::fs::read_to_string(site.dir().join("logs/access.log")).expect("the log");
    assert_eq!(log.matches("/status").count(), 1, "{log}");
}

#[test]
fn it_answers_while_the_queue_is_full() {
    only_php_ftm!("php-fpm has processes of its own for it");
    let site = Site::new();
    let go = site.writable("dir").join("go");
    site.file("long.php", format!("{PHP_WAIT_FOR}wait_for('{}'); echo 'done';", go.display()));
    let server = Server::start(&site, ServerConfig::pool(pool(&site).set("listen.backlog", "2")));
    let mut busy: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    busy.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/long.php").encode(1)));
    eventually("one runs, the others wait", || ask(&site, "/status").contains("active processes:     1\n"));
    eventually("the queue is full", || !ask(&site, "/status").contains("listen queue:         0\n"));
    std::fs::write(&go, "").expect("go");
    for mut conn in busy {
        assert_eq!(conn.answer(1).text(), "done");
    }
    server.stop();
}

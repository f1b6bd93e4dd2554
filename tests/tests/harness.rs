//! The harness itself: every server starts, answers through every front, and leaves nothing behind.

use ftm_tests::*;

const HELLO: &str = "<?php echo 'Hello ', $_GET['n'];";

#[test]
fn answers_by_fastcgi_on_unix_socket_and_port() {
    let site = Site::new();
    site.file("hello.php", HELLO);
    let config = ServerConfig::default().and_pool(PoolConfig::new("blog").tcp());
    let server = Server::start(&site, config);
    assert_eq!(server.get("/hello.php?n=you").text(), "Hello you");
    let mut conn = fcgi::Conn::open(server.address_of("blog"));
    assert_eq!(conn.call(1, &fcgi::Call::get(&site, "/hello.php?n=all")).text(), "Hello all");
    server.stop();
}

#[test]
fn answers_through_nginx() {
    let site = Site::new();
    site.file("hello.php", HELLO);
    let server = Server::start(&site, ServerConfig::default());
    let answer = Nginx::start(&site, &server).get("/hello.php?n=you");
    assert_eq!((answer.status, answer.text().as_str()), (200, "Hello you"));
}

#[test]
fn answers_through_every_form_of_apache() {
    let site = Site::new();
    site.file("hello.php", HELLO);
    for pool in [PoolConfig::new("www"), PoolConfig::new("www").tcp()] {
        let server = Server::start(&site, ServerConfig::pool(pool));
        for handler in [Handler::SetHandler, Handler::ProxyPassMatch] {
            let answer = Apache::start(&site, &server, handler, "").get("/hello.php?n=you");
            assert_eq!((answer.status, answer.text().as_str()), (200, "Hello you"), "{handler:?}");
        }
    }
}

#[test]
fn dropping_a_server_ends_all_its_processes() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::default());
    assert!(!server.workers().is_empty());
    let tree = proc::tree(server.pid());
    drop(server);
    assert!(!tree.into_iter().any(proc::alive));
}

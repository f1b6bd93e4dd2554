//! `posix_kill()`: a signal that would end a process ends one request, whose id it names, and no other.

use std::fs;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

fn server(site: &Site) -> Server {
    Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(5)).ini("display_errors = 0"))
}

/// Writes its id into the file `$_GET['n']`, and does what would take far longer than any test waits.
fn victim(site: &Site, dir: &std::path::Path, name: &str, what: &str) {
    let begin = format!(
        "file_put_contents('{0}/{name}.new', getmypid()); rename('{0}/{name}.new', '{0}/{name}');",
        dir.display()
    );
    site.file(&format!("{name}.php"), format!("{PHP_WAIT_FOR}{begin} {what} echo 'survived';"));
}

fn ask(server: &Server, site: &Site, uri: &str) -> Conn {
    let mut conn = server.connect();
    conn.send(Call::get(site, uri).encode(1));
    conn
}

#[test]
fn a_signal_to_another_request_ends_that_one() {
    let site = Site::new();
    let dir = site.writable("dir");
    let wait = format!("wait_for('{}/go');", dir.display());
    // Loops, because PHP 8.4 lets what follows C code in a straight line run on for a moment.
    let stuck = [
        ("asleep", "while (true) sleep(600);"),
        ("busy", "set_time_limit(0); while (true) { $x = 1; }"),
        ("reading", "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); while (true) fread($a, 1);"),
    ];
    stuck.iter().for_each(|(name, what)| victim(&site, &dir, name, what));
    victim(&site, &dir, "bystander", &wait);
    site.file(
        "kill.php",
        format!(
            "<?php $id = (int) file_get_contents('{}/' . $_GET['n']); echo json_encode([posix_kill($id, 0), posix_kill($id, 15 /* TERM */)]);",
            dir.display()
        ),
    );
    let server = server(&site);
    let mut bystander = ask(&server, &site, "/bystander.php");
    eventually("it runs", || dir.join("bystander").exists());
    for (name, _) in stuck {
        let mut conn = ask(&server, &site, &format!("/{name}.php"));
        eventually("it runs", || dir.join(name).exists());
        assert_eq!(server.get(&format!("/kill.php?n={name}")).text(), "[true,true]", "{name}");
        // php-fpm's process has ended, and the connection with it.
        let answer = conn.read_answer(1);
        assert!(!answer.as_ref().is_ok_and(|answer| answer.text().contains("survived")), "{name}: {answer:?}");
        if server.kind() == Kind::PhpFtm {
            let answer = answer.expect("a whole answer");
            assert_eq!((answer.web().status, answer.app_status), (500, 1), "{name}: {}", answer.text());
        }
    }
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(bystander.answer(1).text(), "survived");
    if server.kind() == Kind::PhpFtm {
        server.wait_log("Another script has sent this request signal 15 (posix_kill)");
        // One that runs nothing has nothing to end.
        let workers = server.workers();
        site.file(
            "idle.php",
            "<?php $idle = array_filter(fpm_get_status()['procs'], fn($thread) => $thread['state'] === 'Idle');
            echo json_encode($idle && !in_array(false, array_map(fn($thread) => posix_kill($thread['pid'], 15), $idle), true));",
        );
        eventually("some are idle", || server.get("/idle.php").text() == "true");
        assert_eq!(server.workers(), workers);
    }
    server.stop();
}

#[test]
fn what_ends_nothing_is_php_fpms() {
    let site = Site::new();
    let calls = ["0", "17 /* CHLD */", "18 /* CONT */", "23 /* URG */", "28 /* WINCH */", "-1", "100", "3 /* QUIT */"];
    for (n, signal) in calls.iter().enumerate() {
        let call = format!("posix_kill(getmypid(), {signal}) ?: posix_strerror(posix_get_last_error())");
        site.file(&format!("{n}.php"), format!("<?php echo json_encode([{call}]), ' survived';"));
    }
    let answers = |kind| {
        let server = Server::start_as(kind, &site, ServerConfig::default());
        let answers: Vec<String> = (0..calls.len()).map(|n| server.get(&format!("/{n}.php")).text()).collect();
        server.stop();
        answers
    };
    assert_eq!(answers(Kind::under_test()), answers(Kind::PhpFpm));
}

#[test]
fn what_would_reach_other_requests_is_refused() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = Site::new();
    let dir = site.writable("dir");
    victim(&site, &dir, "other", &format!("wait_for('{}/go');", dir.display()));
    let script =
        "<?php echo json_encode([@posix_kill((int) $_GET['id'], SIGINT), posix_strerror(posix_get_last_error()),
        error_get_last()['message'] ?? '']);";
    site.file("kill.php", script);
    let config = ServerConfig::pool(PoolConfig::new("www")).and_pool(PoolConfig::new("other"));
    let server = Server::start(&site, config);
    let before = server.workers();
    let mut other = Conn::open(server.address_of("other"));
    other.send(Call::get(&site, "/other.php").encode(1));
    eventually("it runs", || dir.join("other").exists());
    let id = fs::read_to_string(dir.join("other")).expect("an id");
    let refused = server.get(&format!("/kill.php?id={id}")).text();
    assert!(refused.starts_with("[false,\"Operation not permitted\",\"posix_kill(): Refused: "), "{refused}");
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(other.answer(1).text(), "survived");
    // The group of the pool's process: as 0, it ends the request.
    site.file("group.php", "<?php posix_kill(-posix_getpgrp(), SIGINT); echo 'survived';");
    assert!(!server.get("/group.php").text().contains("survived"));
    assert_eq!(server.workers(), before);
    server.stop();
}

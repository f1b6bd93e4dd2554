//! What no web server would send: it costs the connection it comes on, and nothing else.

use std::io::{ErrorKind, Read, Write};

use ftm_tests::fcgi::{self, Call, Conn, Record, kind};
use ftm_tests::*;

/// Sends `bytes` on a connection of its own, then reads until the server closes it.
fn throw(server: &Server, bytes: &[u8], end_sending: bool) -> Vec<u8> {
    let mut stream = server.address().connect().expect("connect");
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes);
    if end_sending {
        let _ = stream.end_sending();
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset, "after {bytes:?}: {e}"),
    }
    answer
}

/// Requests go on meanwhile, no descriptor and no thread is lost, and nobody panicked.
fn survives(site: &Site, attack: impl FnOnce(&Server)) {
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(2)));
    server.meet(2);
    let before = server.counts();
    let workers = server.workers();
    attack(&server);
    assert_eq!(server.get("/hello.php").text(), "hello");
    server.meet(2);
    assert_eq!(server.workers(), workers, "no process was replaced");
    server.wait_nothing_lost(&before);
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("SIG"), "{log}");
    server.stop();
}

#[test]
fn random_bytes_close_the_connection() {
    let site = Site::new();
    survives(&site, |server| {
        let mut rng = Rng::new(42);
        for round in 0..200 {
            let length = 1 + rng.below(3000);
            throw(server, &rng.bytes(length), true);
            if round % 20 == 0 {
                assert_eq!(server.get("/hello.php").text(), "hello");
            }
        }
    });
}

#[test]
fn requests_with_a_byte_changed_or_cut_off() {
    let site = Site::new();
    survives(&site, |server| {
        let mut rng = Rng::new(43);
        let good = Call::post(&site, "/hello.php", "text/plain", "a body").encode(1);
        for _ in 0..300 {
            let mut bytes = good.clone();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] = rng.bytes(1)[0];
            }
            bytes.truncate(1 + rng.below(bytes.len()));
            throw(server, &bytes, true);
        }
    });
}

#[test]
fn a_wrong_protocol_version_closes_the_connection() {
    let site = Site::new();
    survives(&site, |server| {
        // php-fpm knows newer versions from its own only by what follows.
        let others: &[u8] = if server.kind() == Kind::PhpFtm { &[0, 2, 255] } else { &[] };
        for &version in others {
            let mut bytes = Call::get(&site, "/hello.php").encode(1);
            bytes[0] = version;
            // Without an end of our side: the server closes by itself.
            assert_eq!(throw(server, &bytes, false), []);
        }
        assert_eq!(throw(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false), []);
    });
}

#[test]
fn lengths_beyond_what_is_there() {
    let site = Site::new();
    survives(&site, |server| {
        let begin = Record::begin(1, fcgi::RESPONDER, false).encode();
        let lengths: [&[u8]; 6] = [
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], // name and value of 2 GiB each
            &[0xFF, 0xFF, 0xFF, 0xFF, 1, b'x'],
            &[1, 0xFF, 0xFF, 0xFF, 0xFF, b'x'],
            &[5, 5, b'x'],
            &[0x80],
            &[127],
        ];
        for content in lengths {
            let params = Record::new(kind::PARAMS, 1, content).encode();
            let bytes = [begin.clone(), params, fcgi::end_of(kind::PARAMS, 1), fcgi::end_of(kind::STDIN, 1)].concat();
            let answer = throw(server, &bytes, true);
            assert!(!answer.windows(5).any(|w| w == b"hello"), "{content:?}");
        }
        // A BEGIN_REQUEST of the wrong length.
        for length in [0, 1, 7, 9, 100] {
            throw(server, &Record::new(kind::BEGIN_REQUEST, 1, vec![0; length]).encode(), true);
        }
    });
}

#[test]
fn records_out_of_order() {
    let site = Site::new();
    survives(&site, |server| {
        let call = Call::get(&site, "/hello.php");
        let params = fcgi::records(kind::PARAMS, 1, &call.param_bytes(), 100);
        let (end_params, end_stdin) = (fcgi::end_of(kind::PARAMS, 1), fcgi::end_of(kind::STDIN, 1));
        let begin = Record::begin(1, fcgi::RESPONDER, false).encode();
        for bytes in [
            [&params[..], &end_params, &end_stdin].concat(),
            [&end_stdin[..], &begin, &params].concat(),
            [&begin[..], &begin, &params, &end_params, &end_stdin].concat(),
            [&begin[..], &end_stdin, &params, &end_params].concat(),
            [&begin[..], &params, &end_params, &params, &end_params, &end_stdin].concat(),
            Record::begin(0, fcgi::RESPONDER, false).encode(),
            Record::new(kind::END_REQUEST, 1, [0; 8]).encode(),
            Record::new(kind::STDOUT, 1, &b"from the wrong side"[..]).encode(),
            Record::new(kind::DATA, 1, &b"data"[..]).encode(),
            Record::new(kind::GET_VALUES_RESULT, 0, []).encode(),
            Record::new(kind::GET_VALUES, 0, &b"\x05\x00FCGI"[..]).encode(),
        ] {
            throw(server, &bytes, true);
        }
    });
}

#[test]
fn endless_params_are_refused_before_they_fill_the_memory() {
    only_php_ftm!("php-fpm has a limit on single records only");
    let site = Site::new();
    survives(&site, |server| {
        let before = proc::tree_rss(server.pid());
        let mut stream = server.address().connect().expect("connect");
        let mut reader = Conn { stream: stream.try_clone().expect("a second handle") };
        let part = Record::new(kind::PARAMS, 1, vec![b'p'; fcgi::MAX_CONTENT]).encode();
        // One pair of 2 GiB and 2 GiB.
        let mut pair = vec![0xFF; 8];
        pair.resize(fcgi::MAX_CONTENT, b'p');
        stream.write_all(&Record::begin(1, fcgi::RESPONDER, false).encode()).expect("begin");
        stream.write_all(&Record::new(kind::PARAMS, 1, pair).encode()).expect("the pair's head");
        let mut peak = 0;
        std::thread::scope(|scope| {
            let answer = scope.spawn(move || reader.answer(1));
            // 256 MiB, or until the server has had enough.
            for _ in 0..4096 {
                peak = peak.max(proc::tree_rss(server.pid()));
                if stream.write_all(&part).is_err() {
                    break;
                }
            }
            assert_eq!(answer.join().expect("an answer").web().status, 431);
        });
        assert!(peak.saturating_sub(before) < 32 << 20, "grew by {} MiB", (peak - before) >> 20);
    });
}

#[test]
fn a_connection_with_garbage_does_not_disturb_its_neighbours() {
    let site = Site::new();
    site.file("slow.php", format!("{PHP_WAIT_FOR}wait_for($_GET['file']); echo 'done';"));
    let go = site.writable("state").join("go");
    survives(&site, |server| {
        let mut neighbour = server.connect();
        neighbour.send(Call::get(&site, &format!("/slow.php?file={}", go.display())).encode(1));
        for seed in 0..50 {
            throw(server, &Rng::new(seed).bytes(100), true);
        }
        std::fs::write(&go, "").expect("go");
        assert_eq!(neighbour.answer(1).text(), "done");
    });
}

#[test]
fn garbage_behind_a_request_spares_its_answer_or_ends_the_connection() {
    let site = Site::new();
    survives(&site, |server| {
        for garbage in [&b"\0\0\0\0\0\0\0\0"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x01"] {
            let bytes = [&Call::get(&site, "/hello.php").keep().encode(1), garbage].concat();
            let mut conn = Conn { stream: server.address().connect().expect("connect") };
            conn.send(bytes);
            conn.stream.end_sending().expect("end");
            let mut rest = Vec::new();
            let ended = conn.stream.read_to_end(&mut rest);
            assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
        }
    });
}

#[test]
fn a_path_of_256_kib_is_not_searched_for_long() {
    only_php_ftm!("php-fpm looks at each of its parts");
    let site = Site::new();
    survives(&site, |server| {
        let [pool] = server.workers()[..] else { panic!("one process") };
        let docroot = site.docroot().display().to_string();
        let before = proc::cpu_ticks(pool);
        for path in
            ["/a".repeat(128 << 10), docroot.clone() + &"/a".repeat(128 << 10), docroot + &"/".repeat(256 << 10)]
        {
            for name in ["SCRIPT_FILENAME", "PATH_TRANSLATED"] {
                let mut call = Call::get(&site, "/").param("DOCUMENT_ROOT", "/").param(name, path.as_str());
                call.params.retain(|(param, _)| name == "SCRIPT_FILENAME" || param != b"SCRIPT_FILENAME");
                assert_eq!(server.call(&call).web().status, 404, "{name} {}", &path[..40]);
            }
        }
        // A tick is 10 ms. A search in quadratic time takes some hundred of them for each.
        let used = proc::cpu_ticks(pool) - before;
        assert!(used < 50, "{used} ticks");
    });
}

//! Output through nginx and Apache: buffers and their handlers, compression, flush, answers that end early.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ftm_tests::*;

/// Streams through nginx (`X-Accel-Buffering: no` in the script does it there) and Apache.
fn streaming_fronts(site: &Site) -> Fronts {
    let apache = |address: &Address| match address {
        Address::Unix(path) => {
            format!("<Proxy \"unix:{}|fcgi://localhost/\">\nProxySet flushpackets=on\n</Proxy>", path.display())
        }
        Address::Tcp(address) => {
            format!("<Proxy \"fcgi://{address}\">\nProxySet flushpackets=on\n</Proxy>")
        }
    };
    Fronts::start_with(site, ServerConfig::default(), &NginxConfig::default(), apache)
}

#[test]
fn flushed_output_arrives_before_the_script_goes_on() {
    let site = Site::new();
    let flags = site.writable("flags");
    // The script waits for a file that the client makes when it has seen what was flushed: held back
    // output would be a deadlock, which ends in a timeout on both sides.
    let script = r#"<?php
header('X-Accel-Buffering: no');
foreach (['one', 'two', 'three'] as $part) {
    echo str_pad("$part ", 64, '.'), "\n";
    flush();
    for ($i = 0; !file_exists("{$_GET['dir']}/$part"); $i++) {
        if ($i > 2000) exit('the client has seen nothing');
        usleep(10000);
        clearstatcache();
    }
}
echo 'end';"#;
    site.file("stream.php", script);
    let fronts = streaming_fronts(&site);
    for (front, address) in fronts.each() {
        let dir = site.writable(&format!("flags/{front}"));
        let mut exchange = Request::get(&format!("/stream.php?dir={}", dir.display())).open(address);
        let head = exchange.answer_head().expect("the head arrives before the end");
        let mut text = String::new();
        exchange
            .read_body(&head, |piece| {
                text.push_str(&String::from_utf8_lossy(piece));
                for part in ["one", "two", "three"] {
                    if text.contains(&format!("{part} ")) {
                        std::fs::write(dir.join(part), "").expect("flag");
                    }
                }
            })
            .expect("body");
        assert_eq!(text, format!("{:.<64}\n{:.<64}\n{:.<64}\nend", "one ", "two ", "three "), "{front}");
    }
    drop(flags);
}

#[test]
fn output_buffers_and_handlers() {
    let site = Site::new();
    site.file("ob.php", "<?php eval($_GET['do']);");
    let server = Server::start(&site, ServerConfig::default());
    for (code, expected) in [
        ("ob_start(); echo 'a'; echo strtoupper(ob_get_clean()), 'b';", "Ab"),
        ("ob_start(fn($b) => strrev($b)); echo 'abc'; ob_end_flush(); echo 'd';", "cbad"),
        ("ob_start(fn($b) => strrev($b)); echo 'left open';", "nepo tfel"),
        (
            "ob_start(fn($b) => \"[$b]\"); ob_start(fn($b) => strtoupper($b)); echo 'x'; ob_end_flush(); echo 'y';",
            "[Xy]",
        ),
        ("ob_start(fn($b) => \"[$b]\", 4); echo 'abc'; echo 'def'; echo 'g';", "[abcdef][g]"),
        ("ob_start(); echo 'lost'; ob_end_clean(); echo 'kept';", "kept"),
        ("ob_start(); echo 'a'; header('X-After: 1'); echo ob_get_level(), headers_sent() ? 'sent' : 'not';", "a1not"),
        ("echo 'a'; flush(); echo headers_sent() ? 'sent' : 'not';", "asent"),
        ("register_shutdown_function(function () { echo 'late'; }); echo 'a'; exit('b');", "ablate"),
        ("ob_start(function ($b) { return false; }); echo 'passed';", "passed"),
        ("output_add_rewrite_var('v', '1'); echo '<a href=\"x.php\">y</a>';", "<a href=\"x.php\">y</a>"),
        ("ob_implicit_flush(); echo 'a', 'b'; print 'c'; printf('%s', 'd'); readfile('data:,e');", "abcde"),
    ] {
        let encoded: String = code.bytes().map(|b| format!("%{b:02X}")).collect();
        assert_eq!(server.get(&format!("/ob.php?do={encoded}")).text(), expected, "{code}");
    }
}

#[test]
fn compressed_output() {
    let site = Site::new();
    site.file("handler.php", "<?php ob_start('ob_gzhandler'); for ($i = 0; $i < 5000; $i++) echo \"line $i\\n\";");
    site.file(
        "zlib.php",
        "<?php ini_set('zlib.output_compression', 1); for ($i = 0; $i < 5000; $i++) echo \"line $i\\n\";",
    );
    let fronts = Fronts::start(&site, ServerConfig::default());
    let expected: String = (0..5000).map(|i| format!("line {i}\n")).collect();
    for page in ["/handler.php", "/zlib.php"] {
        for (front, answer) in fronts.send(&Request::get(page)) {
            assert_eq!(answer.header("content-encoding"), None, "{front} {page}");
            assert!(answer.text() == expected, "{front} {page}: {} bytes", answer.body.len());
        }
        for (front, answer) in fronts.send(&Request::get(page).header("Accept-Encoding", "gzip")) {
            assert_eq!(answer.header("content-encoding"), Some("gzip"), "{front} {page}");
            assert!(answer.header("vary").is_some_and(|v| v.contains("Accept-Encoding")), "{front} {page}");
            assert!(answer.body.len() < expected.len() / 2, "{front} {page}");
            assert!(gunzip(&answer.body) == expected.as_bytes(), "{front} {page}");
        }
    }
}

#[test]
fn large_output_in_small_and_large_pieces() {
    let site = Site::new();
    let script = r#"<?php
[$piece, $total] = [$_GET['piece'], 1 << 21];
for ($sent = 0; $sent < $total; $sent += strlen($part)) {
    $part = '';
    while (strlen($part) < min($piece, $total - $sent)) $part .= chr(97 + ($sent + strlen($part)) % 26);
    echo $part;
    if (isset($_GET['flush'])) flush();
}"#;
    site.file("large.php", script);
    let fronts = Fronts::start(&site, ServerConfig::default());
    let expected: Vec<u8> = (0..1usize << 21).map(|i| b'a' + (i % 26) as u8).collect();
    for query in ["piece=1000", "piece=65536", "piece=70001", "piece=2097152", "piece=4000&flush"] {
        for (front, answer) in fronts.send(&Request::get(&format!("/large.php?{query}"))) {
            assert!(answer.body == expected, "{front} {query}: {} bytes", answer.body.len());
        }
    }
}

#[test]
fn content_length_of_the_script_is_kept() {
    let site = Site::new();
    site.file("length.php", "<?php header('Content-Length: 5'); echo 'hello';");
    // Not through Apache, which since 2.4.59 trusts no Content-Length of a script.
    let server = Server::start(&site, ServerConfig::default());
    for answer in [server.get("/length.php").web(), Nginx::start(&site, &server).get("/length.php")] {
        assert_eq!((answer.header("content-length"), answer.text().as_str()), (Some("5"), "hello"));
    }
}

#[test]
fn finish_request_ends_the_answer_and_the_script_goes_on() {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
echo 'answer';
$first = fastcgi_finish_request();
echo 'not sent';
for ($i = 0; !file_exists("{$_GET['dir']}/go") && $i < 2000; $i++) { usleep(10000); clearstatcache(); }
file_put_contents("{$_GET['dir']}/done", json_encode([$first, fastcgi_finish_request(), connection_status()]));"#;
    site.file("finish.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let front = Nginx::start(&site, &server);
    // Complete although the script still waits for what happens only after it.
    let answer = front.get(&format!("/finish.php?dir={}", dir.display()));
    assert_eq!((answer.status, answer.text().as_str()), (200, "answer"));
    assert!(!dir.join("done").exists());
    std::fs::write(dir.join("go"), "").expect("go");
    eventually("the script ends", || std::fs::read_to_string(dir.join("done")).is_ok_and(|s| !s.is_empty()));
    assert_eq!(std::fs::read_to_string(dir.join("done")).expect("state"), "[true,false,0]");
}

#[test]
fn connections_to_the_server_are_kept_and_used_again() {
    let site = Site::new();
    site.file("n.php", "<?php echo $_GET['n'] * 2;");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(8)));
    let pass = format!("upstream php {{ server {}; keepalive 4; }}", server.address().nginx());
    let nginx = NginxConfig {
        http: pass,
        server: format!(
            "location /n {{ fastcgi_pass php; fastcgi_keep_conn on; {} }}",
            ftm_tests::nginx::FASTCGI_PARAMS.replace("$fastcgi_script_name", "$fastcgi_script_name.php")
        ),
        php: String::new(),
    };
    let nginx = Nginx::start_with(&site, &server, &nginx);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let nginx = &nginx;
            scope.spawn(move || {
                for n in (0..100).map(|i| thread * 1000 + i) {
                    let answer = nginx.get(&format!("/n?n={n}"));
                    assert_eq!((answer.status, answer.text()), (200, (n * 2).to_string()));
                }
            });
        }
    });
    assert!(!nginx.log().contains("[error]"), "{}", nginx.log());
}

fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut input = gzip.stdin.take().expect("stdin");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(data).expect("to gzip"));
        gzip.wait_with_output().expect("from gzip")
    });
    assert!(output.status.success());
    output.stdout
}

//! Response heads through nginx and Apache: status lines, redirects, duplicate and large headers.

use ftm_tests::*;

#[test]
fn status_lines_in_every_spelling() {
    let site = Site::new();
    site.file("status.php", "<?php eval($_GET['do']); echo 'body';");
    let fronts = Fronts::start(&site, ServerConfig::default());
    for (code, status) in [
        ("", 200),
        ("header('HTTP/1.1 418 I am a teapot');", 418),
        ("header('HTTP/1.0 404 Lost');", 404),
        ("header('http/1.1 503 lower case');", 503),
        ("header('Status: 403 Forbidden');", 403),
        ("http_response_code(410);", 410),
        ("http_response_code(599);", 599),
        ("header('X-A: b', true, 201);", 201),
        ("header('HTTP/1.1 500 first'); http_response_code(202);", 500),
        ("http_response_code(500); http_response_code(200);", 200),
        ("http_response_code(404); exit('gone');", 404),
        ("header('WWW-Authenticate: Basic realm=\"x\"');", 401),
    ] {
        for (front, answer) in fronts.send(&Request::get(&format!("/status.php?do={}", url(code)))) {
            assert_eq!(answer.status, status, "{front}: {code}");
            assert_eq!(answer.text(), if code.contains("exit") { "gone" } else { "body" }, "{front}: {code}");
        }
    }
    // The reason phrase of the script's own line is passed on.
    for (front, answer) in fronts.send(&Request::get(&format!("/status.php?do={}", url("header('HTTP/1.1 418 X');")))) {
        assert_eq!(answer.status_line, "HTTP/1.1 418 X", "{front}");
    }
}

#[test]
fn answers_without_a_body() {
    let site = Site::new();
    site.file("none.php", "<?php http_response_code($_GET['code']); header('ETag: \"e\"');");
    let fronts = Fronts::start(&site, ServerConfig::default());
    for code in [204, 304] {
        for (front, answer) in fronts.send(&Request::get(&format!("/none.php?code={code}"))) {
            assert_eq!((answer.status, answer.text().as_str()), (code, ""), "{front}");
            assert_eq!(answer.header("etag"), Some("\"e\""), "{front}");
        }
    }
    for (front, answer) in fronts.send(&Request::get("/none.php?code=304")) {
        assert_eq!(answer.header("content-type"), None, "{front}");
    }
}

#[test]
fn redirects() {
    let site = Site::new();
    site.file("go.php", "<?php eval($_GET['do']);");
    let fronts = Fronts::start(&site, ServerConfig::default());
    let absolute = "https://elsewhere.example/a?b=c&d#e";
    for (code, status, location) in [
        (format!("header('Location: {absolute}');"), 302, absolute),
        (format!("header('Location: {absolute}', true, 301);"), 301, absolute),
        (format!("http_response_code(303); header('Location: {absolute}');"), 303, absolute),
        (format!("header('HTTP/1.1 307 T'); header('Location: {absolute}');"), 307, absolute),
        (format!("header('Location: {absolute}'); http_response_code(308);"), 308, absolute),
        (format!("http_response_code(201); header('Location: {absolute}');"), 201, absolute),
        (format!("header('Location: /lost'); header('Location: {absolute}');"), 302, absolute),
    ] {
        for (front, answer) in fronts.send(&Request::get(&format!("/go.php?do={}", url(&code)))) {
            assert_eq!((answer.status, answer.header("location")), (status, Some(location)), "{front}: {code}");
        }
    }
    for (front, answer) in fronts.send(&Request::get(&format!("/go.php?do={}", url("header('Location: /here?x=1');"))))
    {
        let location = answer.header("location").expect("a location");
        assert!(answer.status == 302 && location.ends_with("/here?x=1"), "{front}: {} {location}", answer.status);
    }
    // A POST that is answered by a redirect to a page: the usual form round trip.
    site.file("form.php", "<?php header('Location: http://test.example/seen.php?n=' . $_POST['n'], true, 303);");
    let post = Request::post("/form.php", "application/x-www-form-urlencoded", "n=7");
    for (front, answer) in fronts.send(&post) {
        let location = Some("http://test.example/seen.php?n=7");
        assert_eq!((answer.status, answer.header("location")), (303, location), "{front}");
    }
}

#[test]
fn duplicate_headers_keep_their_number_and_order() {
    let site = Site::new();
    let script = r#"<?php
header('X-One: 1');
header('X-Multi: a');
header('X-Multi: b', false);
header('x-multi: c', false);
header('X-Replaced: old');
header('X-Replaced: old too', false);
header('x-replaced: new');
header('X-Removed: r');
header_remove('X-REMOVED');
header('Link: </a>; rel=preload', false);
header('Link: </b>; rel=preload', false);
header('Set-Cookie: first=1');
header('Set-Cookie: second=2; Path=/', false);
setcookie('third', '3');
header('X-Empty:');
header('X-Colon: a:b: c');
header("X-Latin: \xe4\xff");
echo json_encode(headers_list(), JSON_INVALID_UTF8_SUBSTITUTE);"#;
    site.file("headers.php", script);
    let server = Server::start(&site, ServerConfig::default().ini("expose_php = 0"));
    let listed = r#"["X-One: 1","X-Multi: a","X-Multi: b","x-multi: c","x-replaced: new","Link: <\/a>; rel=preload","Link: <\/b>; rel=preload","Set-Cookie: first=1","Set-Cookie: second=2; Path=\/","Set-Cookie: third=3","X-Empty:","X-Colon: a:b: c","X-Latin: \ufffd"]"#;
    let raw = server.get("/headers.php");
    let head = "X-One: 1\r\nX-Multi: a\r\nX-Multi: b\r\nx-multi: c\r\nx-replaced: new\r\nLink: </a>; rel=preload\r\n\
                Link: </b>; rel=preload\r\nSet-Cookie: first=1\r\nSet-Cookie: second=2; Path=/\r\n\
                Set-Cookie: third=3\r\nX-Empty:\r\nX-Colon: a:b: c\r\nX-Latin: \u{e4}\u{ff}\r\n\
                Content-type: text/html; charset=UTF-8\r\n\r\n";
    let latin: String = raw.stdout.iter().map(|&byte| char::from(byte)).collect();
    assert_eq!(latin, format!("{head}{listed}"));
    let through = Nginx::start(&site, &server).get("/headers.php");
    assert_eq!(through.all("x-multi"), ["a", "b", "c"]);
    assert_eq!(through.all("x-replaced"), ["new"]);
    assert_eq!(through.all("set-cookie"), ["first=1", "second=2; Path=/", "third=3"]);
    assert_eq!(through.all("x-removed"), Vec::<&str>::new());
    let through = Apache::start(&site, &server, Handler::SetHandler, "").get("/headers.php");
    // Apache joins all but cookies, as HTTP allows.
    assert_eq!(through.all("x-multi"), ["a, b, c"]);
    assert_eq!(through.all("set-cookie"), ["first=1", "second=2; Path=/", "third=3"]);
    assert_eq!(through.text(), listed);
}

#[test]
fn default_headers() {
    let site = Site::new();
    site.file("plain.php", "<?php eval($_GET['do'] ?? '');");
    let server = Server::start(&site, ServerConfig::default());
    let version = server.get(&format!("/plain.php?do={}", "header_remove();echo+PHP_VERSION;")).text();
    for (code, head) in [
        ("", format!("X-Powered-By: PHP/{version}\r\nContent-type: text/html; charset=UTF-8\r\n\r\n")),
        ("header_remove();", "Content-type: text/html; charset=UTF-8\r\n\r\n".to_owned()),
        (
            "header_remove();header('Content-Type:+text/css');",
            "Content-type: text/css;charset=UTF-8\r\n\r\n".to_owned(),
        ),
        ("header_remove();header('Content-Type:+image/png');", "Content-Type: image/png\r\n\r\n".to_owned()),
        (
            "header_remove();ini_set('default_charset','latin1');",
            "Content-type: text/html; charset=latin1\r\n\r\n".to_owned(),
        ),
        (
            "header_remove();http_response_code(404);",
            "Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\n".to_owned(),
        ),
        (
            "header_remove();header_register_callback(function(){header('X-Late:+1');});",
            "Content-type: text/html; charset=UTF-8\r\nX-Late: 1\r\n\r\n".to_owned(),
        ),
    ] {
        // Sent as they are: eval() gets the query's '+' as blanks.
        let answer = server.get(&format!("/plain.php?do={}", code.replace(' ', "+")));
        assert_eq!(String::from_utf8_lossy(&answer.stdout), head, "{code}");
    }
}

#[test]
fn large_headers_pass_in_both_directions() {
    let site = Site::new();
    let script = r#"<?php
header('X-Length: ' . strlen($_SERVER['HTTP_X_LARGE']) . ' ' . crc32($_SERVER['HTTP_X_LARGE']));
for ($i = 0; $i < $_GET['n']; $i++) header("X-Big-$i: " . str_repeat(chr(97 + $i % 26), $_GET['size']));
echo 'body';"#;
    site.file("large.php", script);
    site.file("crc.php", "<?php echo crc32(str_repeat('v', 7000));");
    let nginx = NginxConfig { php: "fastcgi_buffer_size 128k; fastcgi_buffers 8 128k;".into(), ..Default::default() };
    let fronts = Fronts::start_with(&site, ServerConfig::default(), &nginx, |_| String::new());
    let crc = fronts.server.get("/crc.php").text();
    let request = Request::get("/large.php?n=30&size=3000").header("X-Large", &"v".repeat(7000));
    for (front, answer) in fronts.send(&request) {
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"), "{front}");
        assert_eq!(answer.header("x-length"), Some(format!("7000 {crc}").as_str()), "{front}");
        for i in 0..30u8 {
            let value = char::from(b'a' + i % 26).to_string().repeat(3000);
            assert_eq!(answer.header(&format!("x-big-{i}")), Some(value.as_str()), "{front}");
        }
    }
    // Without a web server's limits.
    let large = fcgi::Call::get(&site, "/large.php?n=3&size=100000").param("HTTP_X_LARGE", "w".repeat(60_000));
    let answer = fronts.server.call(&large).web();
    assert!(answer.header("x-length").is_some_and(|v| v.starts_with("60000 ")));
    assert_eq!(answer.header("x-big-2"), Some("c".repeat(100_000).as_str()));
}

#[test]
fn scripts_that_are_missing_or_not_allowed() {
    let site = Site::new();
    site.file("page.html", "<?php echo 'never run';");
    site.file("dir.php/x.txt", "a directory with a script's name");
    let server = Server::start(&site, ServerConfig::default());
    let missing = server.get("/missing.php");
    assert_eq!((missing.web().status, missing.text().as_str()), (404, "File not found.\n"));
    assert_eq!(missing.error_text(), "Primary script unknown");
    let denied = server.get("/page.html");
    assert_eq!((denied.web().status, denied.text().as_str()), (403, "Access denied.\n"));
    let name = site.docroot().join("page.html");
    let said = format!("Access to the script '{}' has been denied (see security.limit_extensions)", name.display());
    assert_eq!(denied.error_text(), said);
    let dir = server.get("/dir.php");
    assert_eq!((dir.web().status, dir.text().as_str()), (404, "No input file specified.\n"));
    for (front, answer) in Fronts::start(&site, ServerConfig::default()).send(&Request::get("/missing.php")) {
        assert_eq!((answer.status, answer.text().as_str()), (404, "File not found.\n"), "{front}");
    }
}

/// Percent-encodes everything but letters and digits.
fn url(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

//! What requests leave in the access log and in the error log.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::{Cases, Sent};

/// Requests that the access log tells apart.
pub fn access(cases: &mut Cases<'_>) {
    let get = |uri: &str| Call::get(cases.site, uri);
    let hello = get("/hello.php");
    for (name, call) in [
        ("plain", hello.clone()),
        ("query", get("/hello.php?n=1&x=%20<\"'\\>")),
        ("empty query", get("/hello.php?")),
        ("path info", hello.clone().param("PATH_INFO", "/x").param("SCRIPT_NAME", "/hello.php/x")),
        ("HEAD", hello.clone().param("REQUEST_METHOD", "HEAD")),
        ("no method", hello.clone().without("REQUEST_METHOD")),
        ("no name", hello.clone().without("SCRIPT_NAME")),
        ("no uri", hello.clone().without("REQUEST_URI")),
        ("no QUERY_STRING", hello.clone().without("QUERY_STRING")),
        ("user by authorization", hello.clone().param("HTTP_AUTHORIZATION", "Basic dXNlcjpwYXNz")),
        ("user with blanks", hello.clone().param("HTTP_AUTHORIZATION", "Basic dSBzIGU6cA==")),
        ("digest user", hello.clone().param("HTTP_AUTHORIZATION", "Digest username=\"u\"")),
        ("user of the web server", hello.clone().param("REMOTE_USER", "remote").param("AUTH_TYPE", "Basic")),
        ("remote address", hello.clone().param("REMOTE_ADDR", "203.0.113.9")),
        ("missing", get("/missing.php?x=1")),
        ("denied", get("/page.txt")),
        ("header in the request", hello.clone().param("HTTP_X_TEST", "of \"the\" request")),
        ("long query", get(&format!("/hello.php?{}", "q".repeat(3000)))),
        ("long name", hello.clone().param("SCRIPT_NAME", format!("/{}", "n".repeat(300)))),
        (
            "long user",
            hello.clone().param(
                "HTTP_AUTHORIZATION",
                "Basic YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE6cA==",
            ),
        ),
        ("form", Call::post(cases.site, "/hello.php", "application/x-www-form-urlencoded", "a=1&b=2")),
        ("long form", Call::post(cases.site, "/hello.php", "a/b", "x".repeat(300_000))),
        ("settings", hello.clone().param("PHP_VALUE", "no.such=1")),
        ("status page", get("/status?json")),
        ("ping page", get("/ping")),
        ("ping page, HEAD", get("/ping").param("REQUEST_METHOD", "HEAD")),
    ] {
        cases.call(name, call);
    }
    for (name, code) in [
        ("status of the script", "http_response_code(418); header('X-Test: of the script');"),
        ("status line of the script", "header('HTTP/1.1 404 Nothing');"),
        ("status header of the script", "header('Status: 403 Own');"),
        ("header twice", "header('X-Test: one'); header('X-Test: two', false);"),
        ("header in another case", "header('x-test: lower');"),
        ("header that was removed", "header('X-Test: one'); header_remove();"),
        ("redirect", "header('Location: /x');"),
        ("fatal error", "undefined();"),
        ("fatal error after output", "echo 'x'; flush(); undefined();"),
        ("exit", "exit(3);"),
        ("finished early", "echo 'x'; fastcgi_finish_request(); http_response_code(500); header('X-Test: late');"),
        ("environment changed", "putenv('HTTP_X_TEST=changed'); $_SERVER['REQUEST_METHOD'] = 'CHANGED';"),
        ("no output", ""),
    ] {
        cases.php(&format!("access, {name}"), code);
    }
    let call = get("/hello.php?kept").keep();
    cases.add("access, kept", Sent::Kept(vec![call.clone(), call, hello]));
}

/// Requests with characters that would make other lines of the access log.
pub fn access_of_odd_characters(cases: &mut Cases<'_>) {
    let hello = Call::get(cases.site, "/hello.php");
    for (name, call) in [
        ("odd method", hello.clone().param("REQUEST_METHOD", "O \"D\tD")),
        ("odd name", hello.clone().param("SCRIPT_NAME", "/\"quoted\"\\ \u{e4}\u{1}\t%41")),
        ("name with a line break", hello.clone().param("SCRIPT_NAME", "/a\nb")),
    ] {
        cases.call(name, call);
    }
}

/// Requests that `access.suppress_path` may be about.
pub fn suppressed(cases: &mut Cases<'_>) {
    for path in ["/ping", "/status", "/hello.php", "/missing.php", "/other.php", "/hello.php/info"] {
        for method in ["GET", "HEAD", "POST"] {
            for query in ["", "?json"] {
                let call = Call::get(cases.site, &format!("{path}{query}")).param("REQUEST_METHOD", method);
                cases.call(&format!("{method} {path}{query}"), call.clone());
                if query.is_empty() {
                    cases.call(&format!("{method} {path} of length 0"), call.param("CONTENT_LENGTH", "0"));
                }
            }
        }
    }
    let mut body = Call::get(cases.site, "/hello.php").param("CONTENT_LENGTH", "1");
    body.body = b"x".to_vec();
    cases.call("GET with a body", body);
    let code = "http_response_code((int) $_GET['c']);";
    cases.site.file("code.php", format!("<?php {code}"));
    for code in [200, 204, 299, 301, 404, 500] {
        let call = Call::get(cases.site, "/code.php").param("SCRIPT_NAME", "/hello.php");
        cases.site.file(&format!("code{code}.php"), format!("<?php http_response_code({code});"));
        let script = cases.site.docroot().join(format!("code{code}.php"));
        cases.call(&format!("status {code}"), call.param("SCRIPT_FILENAME", script.display().to_string()));
    }
}

/// What goes to stdout, which is a pipe of its own: between the lines of stderr it has no certain place.
pub fn on_stdout(cases: &mut Cases<'_>) {
    cases.php("on stdout", r#"file_put_contents('php://stdout', "line\nanother\n");"#);
    cases.php("program on stdout", "exec('echo from the program >&1', $lines); echo $lines[0];");
}

/// What scripts and the programs that they start write.
pub fn written(cases: &mut Cases<'_>) {
    for (name, code) in [
        ("line on stderr", r#"file_put_contents('php://stderr', "line\n");"#),
        ("two lines on stderr", r#"file_put_contents('php://stderr', "one\ntwo\n");"#),
        ("no newline on stderr", r#"file_put_contents('php://stderr', 'open');"#),
        (
            "pieces on stderr",
            r#"$f = fopen('php://stderr', 'w'); fwrite($f, 'one, '); fwrite($f, 'two'); fwrite($f, "\nthree\n");"#,
        ),
        ("empty lines", r#"file_put_contents('php://stderr', "\n\nx\n\n");"#),
        ("bytes on stderr", r#"file_put_contents('php://stderr', "\x01\xff \"quoted\" \\ \t%s\n");"#),
        ("long line on stderr", r#"file_put_contents('php://stderr', str_repeat('x', 3000) . "\n");"#),
        ("long line of a program", r#"system('head -c 3000 /dev/zero | tr "\0" y >&2; echo >&2');"#),
        ("program on stderr", "system('echo from the program >&2');"),
        ("message of several lines", r#"error_log("one\ntwo\n\nthree\n");"#),
        ("message of 480", "error_log(str_repeat('x', 480));"),
    ] {
        cases.php(name, code);
    }
}

/// Messages that are longer than a line of the log.
pub fn long_messages(cases: &mut Cases<'_>) {
    for (name, code) in [
        ("message of 1000", "error_log(str_repeat('x', 1000));"),
        ("message of 5000", "error_log(str_repeat('x', 5000));"),
        ("two long messages", "error_log(str_repeat('x', 3000)); error_log(str_repeat('y', 3000));"),
    ] {
        cases.php(name, code);
    }
}

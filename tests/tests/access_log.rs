//! `access.log`: the same requests give the same lines as under php-fpm.

use std::fs;
use std::path::Path;

use ftm_tests::fcgi::Call;
use ftm_tests::*;
use nix::sys::signal::Signal;
use regex_lite::Regex;

fn pool(site: &Site, format: Option<&str>) -> PoolConfig {
    let log = site.dir().join("logs").join("$pool-access.log");
    let pool = PoolConfig::new("www").children(1).set("access.log", &log.display().to_string());
    let pool = pool.set("pm.status_path", "/status").set("ping.path", "/ping");
    match format {
        Some(format) => pool.set("access.format", &format!("\"{}\"", format.replace('"', "\\\""))),
        None => pool,
    }
}

fn site() -> Site {
    let site = Site::new();
    site.writable("logs");
    site.file("hello.php", "<?php header('X-Own: own value'); header('x-lower: l'); echo 'hello';");
    site.file("status.php", "<?php http_response_code((int) $_GET['s']); flush();");
    site.file("exit.php", "<?php header('Content-Type: text/plain'); exit('bye');");
    site.file("fatal.php", "<?php nothing();");
    site.file("finish.php", "<?php echo 'x'; fastcgi_finish_request(); http_response_code(500);");
    site.file("denied.txt", "no script");
    site
}

fn log_file(site: &Site) -> String {
    fs::read_to_string(site.dir().join("logs/www-access.log")).unwrap_or_default()
}

/// Sends the requests, and returns the lines that the log then holds.
fn lines(site: &Site, kind: Kind, config: ServerConfig, calls: &[Call]) -> Vec<String> {
    let _ = fs::remove_file(site.dir().join("logs/www-access.log"));
    let server = Server::start_as(kind, site, config);
    for call in calls {
        server.call(call);
    }
    server.stop();
    log_file(site).lines().map(str::to_owned).collect()
}

fn calls(site: &Site) -> Vec<Call> {
    let get = |uri: &str| Call::get(site, uri);
    let mut calls = vec![
        get("/hello.php"),
        get("/hello.php?a=1&b=%20"),
        get("/status.php?s=204"),
        get("/status.php?s=503"),
        get("/exit.php"),
        get("/fatal.php"),
        get("/missing.php"),
        get("/denied.txt"),
        get("/hello.php/path/info"),
        get("/status"),
        get("/status?json&full"),
        get("/ping"),
        get("/hello.php").param("REQUEST_METHOD", "HEAD"),
        get("/hello.php").param("REQUEST_METHOD", "PROPFIND").param("REMOTE_USER", "x"),
        get("/hello.php").param("HTTP_AUTHORIZATION", "Basic ZnJlZDpwdw=="),
        Call::post(site, "/hello.php", "application/x-www-form-urlencoded", b"a=b"),
        get(&format!("/hello.php?{}", "q".repeat(700))),
        get("/hello.php").param("QUERY_STRING", "\u{e4}=%C3%A4"),
    ];
    // From PHP 8.3 on, the status stays when the headers are sent. Not as the last: its line is written after its answer.
    if Kind::PhpFpm.php_version() == Kind::under_test().php_version() {
        calls.insert(6, get("/finish.php"));
    }
    calls
}

#[track_caller]
fn compare(site: &Site, config: &ServerConfig, calls: &[Call], normal: impl Fn(&str) -> String) {
    let [reference, tested] = [Kind::PhpFpm, Kind::under_test()].map(|kind| {
        let lines: Vec<_> = lines(site, kind, config.clone(), calls).iter().map(|line| normal(line)).collect();
        lines
    });
    assert!(reference.len() > 10, "{reference:#?}");
    for (at, (reference, tested)) in reference.iter().zip(&tested).enumerate() {
        assert_eq!(reference, tested, "line {at}");
    }
    assert_eq!(reference.len(), tested.len());
}

#[test]
fn the_default_format_gives_php_fpms_lines() {
    let site = site();
    let time = Regex::new(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}").expect("a pattern");
    let calls = calls(&site);
    compare(&site, &ServerConfig::pool(pool(&site, None)), &calls, |line| time.replace_all(line, "TIME").into_owned());
}

#[test]
fn every_specifier_gives_php_fpms_text() {
    let site = site();
    let format = "%% f=%f l=%l m=%m n=%n q=%q Q=%Q r=%r R=%R s=%s u=%u own=%{X-Own}o lower=%{X-Lower}o type=%{Content-Type}o \
                  e=%{SCRIPT_FILENAME}e none=%{NO_SUCH}e role=%{FCGI_ROLE}e y=%{%Y}t Y=%{%Y}T [%t] p=%p d=%d %{milli}d %{micro}d \
                  C=%C %{user}C %{system}C M=%M %{kilo}M %{mega}M";
    let figures = Regex::new(r" \[.*").expect("a pattern");
    let shape = Regex::new(
        r" \[\d\d/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] p=\d+ d=\d+\.\d{3} \d+\.\d{3} \d+ C=[\d.]+ [\d.]+ [\d.]+ M=\d+ \d+ \d+$",
    )
    .expect("a pattern");
    let calls = calls(&site);
    compare(&site, &ServerConfig::pool(pool(&site, Some(format)).tcp()), &calls, |line| {
        // A long query cuts the line.
        assert!(shape.is_match(line) || line.len() >= 1023, "{line}");
        // php-fpm leaves the NUL of its buffer in a cut line.
        let line = line.trim_end_matches('\0');
        figures.replace(&line[..line.len().min(1023)], "").replace(&site.dir().display().to_string(), "SITE")
    });
}

#[test]
fn suppressed_paths_are_left_out_only_where_all_is_well() {
    let site = site();
    let mut calls = calls(&site);
    calls.extend([Call::get(&site, "/status.php"), Call::get(&site, "/hello.php"), Call::get(&site, "/ping")]);
    let pool = pool(&site, Some("%m %r%Q%q %s"));
    let config = ["/hello.php", "/status.php", "/ping", "/status", "/missing.php", "/fatal.php"]
        .into_iter()
        .fold(pool, |pool, path| pool.add("access.suppress_path[]", path));
    compare(&site, &ServerConfig::pool(config), &calls, str::to_owned);
}

#[test]
fn nobody_writes_a_line_of_his_own() {
    only_php_ftm!("php-fpm writes what it was sent");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool(&site, Some("%r %q %u %{HTTP_X}e"))));
    let forged = "x\n/forged - -\r\x1b[31m";
    let call = Call::get(&site, "/hello.php").param("QUERY_STRING", forged).param("HTTP_X", forged);
    server.call(&call.param("HTTP_AUTHORIZATION", "Basic YQpiOmM="));
    eventually("a line is there", || log_file(&site).ends_with('\n'));
    let escaped = "x\\x0A/forged - -\\x0D\\x1B[31m";
    assert_eq!(log_file(&site), format!("/hello.php {escaped} a\\x0Ab {escaped}\n"));
    server.stop();
}

#[test]
fn usr1_opens_it_again_while_requests_run() {
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool(&site, Some("%r %s"))));
    let log = site.dir().join("logs/www-access.log");
    let moved = log.with_extension("1");
    let load = Load::start(2, server.address(), &Call::get(&site, "/hello.php"), |answer| answer.text() == "hello");
    load.wait_for(20);
    fs::rename(&log, &moved).expect("rename");
    server.signal(Signal::SIGUSR1);
    server.wait_log("access log file re-opened");
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    eventually("the new one is written to", || size(&log) > 0);
    let outcome = load.end();
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    if Kind::under_test() == Kind::PhpFtm {
        assert_eq!(outcome.broken, 0, "no process was replaced");
        eventually("each request has its line", || {
            let text = fs::read_to_string(&moved).expect("the former log") + &log_file(&site);
            text.lines().filter(|line| *line == "/hello.php 200").count() == outcome.answered
        });
    }
    server.stop();
}

#[test]
fn the_file_is_its_owners_alone() {
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(pool(&site, None)));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(site.dir().join("logs/www-access.log")).expect("the log").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    server.stop();
}

//! `slowlog`: a backtrace of each slow request, without stopping or disturbing it.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::*;
use regex_lite::Regex;

fn pool(site: &Site) -> PoolConfig {
    site.writable("logs");
    PoolConfig::new("www")
        .children(2)
        .set("slowlog", &site.dir().join("logs/slow.log").display().to_string())
        .set("request_slowlog_timeout", "1s")
        .set("pm.status_path", "/status")
}

fn slow_log(site: &Site) -> String {
    fs::read_to_string(site.dir().join("logs/slow.log")).unwrap_or_default()
}

/// The frames of the last whole entry, each as `function() FILE:line`, files without their directory.
fn frames(site: &Site) -> Option<Vec<String>> {
    let text = slow_log(site);
    let entry = text.rsplit("\n\n").next()?;
    let frame = Regex::new(r"^\[0x[0-9a-f]{16}\] (\S+\(\)) (?:.*/)?([^/]+:\d+)$").expect("a pattern");
    let lines: Vec<&str> = entry.lines().filter(|line| line.starts_with("[0x")).collect();
    (!lines.is_empty() && text.ends_with('\n'))
        .then(|| lines.iter().map(|line| frame.replace(line, "$1 $2").into_owned()).collect())
}

/// Runs a script that is slow, and returns its answer and the frames that were logged meanwhile or right after.
fn slow(site: &Site, server: &Server, uri: &str) -> (String, Vec<String>) {
    let _ = fs::write(site.dir().join("logs/slow.log"), "");
    let answer = server.get(uri).text();
    let found = wait::eventually_some(DEADLINE, || frames(site));
    (answer, found.unwrap_or_else(|| panic!("no entry for {uri} in {:?}", slow_log(site))))
}

#[test]
fn an_entry_is_php_fpms() {
    let site = Site::new();
    site.file("inc.php", "<?php\n$f = function () { usleep(2500000); };\n$f();\n");
    site.file(
        "slow.php",
        "<?php\nclass A {\n  static function run() {\n    include 'inc.php';\n  }\n}\nA::run(); echo 'done';",
    );
    let server = Server::start(&site, ServerConfig::pool(pool(&site)));
    let (answer, frames) = slow(&site, &server, "/slow.php?x=1");
    assert_eq!(answer, "done");
    // From PHP 8.4 on, a closure's name holds its place.
    let place = Regex::new(r"^\{closure.*\}").expect("a pattern");
    let frames: Vec<_> = frames.iter().map(|frame| place.replace(frame, "{closure}")).collect();
    assert_eq!(
        frames,
        ["usleep() inc.php:2", "{closure}() inc.php:3", "[INCLUDE_OR_EVAL]() slow.php:4", "run() slow.php:7"]
    );
    let script = site.docroot().join("slow.php").display().to_string();
    let head = Regex::new(&format!(
        r"^\n\[\d\d-\w{{3}}-\d{{4}} \d\d:\d\d:\d\d\]  \[pool www\] pid \d+\nscript_filename = {}\n\[0x",
        script.replace('.', "\\.")
    ));
    assert!(head.expect("a pattern").is_match(&slow_log(&site)), "{:?}", slow_log(&site));
    let warning = Regex::new(&format!(
        r#"WARNING: \[pool www\] child \d+, script '{script}' \(request: "GET /slow.php\?x=1"\) executing too slow \(1\.\d{{6}} sec\), logging"#
    ));
    let warning = warning.expect("a pattern");
    eventually("the warning", || warning.is_match(&server.log()));
    eventually("the end of the trace", || server.log().contains("NOTICE: finished trace of "));
    assert!(server.get("/status").text().contains("slow requests:        1\n"));
    server.stop();
}

#[test]
fn nobody_is_disturbed() {
    only_php_ftm!("php-fpm stops the process");
    let site = Site::new();
    site.file("sleep.php", "<?php $left = sleep(3); $t = microtime(true); usleep(10); echo 'left ', $left;");
    site.file("select.php", "<?php [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); $r = [$a]; $w = $e = [];\necho json_encode(stream_select($r, $w, $e, 3)), json_encode(error_get_last());");
    site.file("loop.php", "<?php\nfunction spin($end) { for ($n = 0; microtime(true) < $end; $n++); return $n; }\nspin(microtime(true) + 3); echo 'looped';");
    site.file("regex.php", "<?php ini_set('pcre.jit', 0); ini_set('pcre.backtrack_limit', '100000000000'); $s = str_repeat('a', 29);\nfunction search($s) { return \\preg_match('/^(a+)+$/', $s); }\nsearch($s . 'b');");
    site.file("fiber.php", "<?php\nfunction inner() { sleep(3); }\n$f = new Fiber(function () {\n  inner();\n});\n$f->start(); echo 'resumed';");
    let server = Server::start(&site, ServerConfig::pool(pool(&site)));
    for (uri, answer, first) in [
        ("/sleep.php", "left 0", "sleep() sleep.php:1"),
        ("/select.php", "0null", "stream_select() select.php:2"),
        ("/fiber.php", "resumed", "sleep() fiber.php:2"),
    ] {
        let (text, frames) = slow(&site, &server, uri);
        assert_eq!((text.as_str(), frames[0].as_str()), (answer, first), "{uri}");
    }
    let (text, frames) = slow(&site, &server, "/loop.php");
    assert_eq!(text, "looped");
    assert_eq!(frames.last().map(String::as_str), Some("spin() loop.php:3"), "{frames:?}");
    let (_, frames) = slow(&site, &server, "/regex.php");
    // From PHP 8.4 on, some functions are called without a frame of their own.
    assert_eq!(frames.last().map(String::as_str), Some("search() regex.php:3"), "{frames:?}");
    server.stop();
}

#[test]
fn the_depth_is_limited_and_each_request_logged_once() {
    let site = Site::new();
    site.file("deep.php", "<?php\nfunction deep($n) { if ($n) deep($n - 1); else sleep(4); }\ndeep(100);");
    let server = Server::start(&site, ServerConfig::pool(pool(&site).set("request_slowlog_trace_depth", "3")));
    let (_, frames) = slow(&site, &server, "/deep.php");
    assert_eq!(frames, ["sleep() deep.php:2", "deep() deep.php:2", "deep() deep.php:2"]);
    assert_eq!(slow_log(&site).matches("script_filename").count(), 1);
    server.stop();
}

#[test]
fn quick_requests_beside_it_are_not_logged() {
    let site = Site::new();
    site.file("slow.php", "<?php sleep(3); echo 'slow';");
    site.file("quick.php", "<?php echo 'quick';");
    let server = Server::start(&site, ServerConfig::pool(pool(&site)));
    let mut slow = server.connect();
    slow.send(Call::get(&site, "/slow.php").encode(1));
    let load = Load::start(1, server.address(), &Call::get(&site, "/quick.php"), |answer| answer.text() == "quick");
    assert_eq!(slow.answer(1).text(), "slow");
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    eventually("an entry", || slow_log(&site).contains("slow.php:1"));
    assert!(!slow_log(&site).contains("quick.php"));
    server.stop();
}

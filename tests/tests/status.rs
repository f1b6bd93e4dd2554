//! The status and ping pages, beside php-fpm's and where php-ftm goes further: they need no PHP thread.

use std::io::Write as _;

use ftm_tests::compare::Pair;
use ftm_tests::fcgi::{Call, Conn, kind};
use ftm_tests::nginx::FASTCGI_PARAMS;
use ftm_tests::*;
use regex_lite::Regex;

fn pool(children: usize) -> PoolConfig {
    PoolConfig::new("www").children(children).set("pm.status_path", "/status").set("ping.path", "/ping")
}

fn page(answer: &fcgi::Answer) -> String {
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

/// Replaces what no two servers have in common: times, ids, versions, durations, whether a connection was ever seen before
/// it was accepted, and figures named by `names`.
fn normal(text: &str, names: &str) -> String {
    let always = "pid|start.time|start.since|start_since|request.duration|last.request.cpu|max.active.processes|\
                  max_active_processes|max.listen.queue|max_listen_queue|listen.queue.len|listen_queue_length";
    let names = if names.is_empty() { always.to_owned() } else { format!("{always}|{names}") };
    let figure = Regex::new(&format!(r#"((?:{names})(?:"?:\s*|</th><td>|>| ))[^<>,\n}}]+"#)).expect("a pattern");
    let version = Regex::new(r"PHP/[0-9.]+\S*").expect("a pattern");
    version.replace_all(&figure.replace_all(text, "${1}N"), "PHP/N").into_owned()
}

/// Without what php-ftm adds.
fn theirs(text: &str) -> String {
    let own = Regex::new(r#"(?:(?:# (?:HELP|TYPE) )?phpftm_.*\n|, "php-ftm":\{.*\}(\}))"#).expect("a pattern");
    own.replace_all(text, "${1}").into_owned()
}

#[test]
fn pages_are_php_fpms_to_the_byte() {
    let site = Site::new();
    let pair = Pair::start(&site, &ServerConfig::pool(pool(2).set("ping.response", "\"<alive> & well\"")));
    if !pair.same_version() {
        return;
    }
    for uri in [
        "/status",
        "/status?",
        "/status?html",
        "/status?xml",
        "/status?json",
        "/status?openmetrics",
        "/status?JSON",
        "/status?openmetrics&full",
        "/status?xml&html",
        "/status?json=0&x=1",
        "/status?j",
        "/status?xm",
        "/status?x",
        "/status?=json",
        "/status?%6aso%6e",
        "/status?json[]=1",
        "/status?+json",
        "/status?.",
        "/ping",
        "/ping?full",
    ] {
        // A worker of php-fpm is active for a moment after it has answered.
        let mut last = [String::new(), String::new()];
        let same = wait::eventually_some(DEADLINE, || {
            last = pair.both().map(|server| normal(&theirs(&page(&server.get(uri))), "accepted.conn\\w*"));
            (last[0] == last[1]).then_some(())
        });
        assert!(same.is_some(), "{uri}:\nreference: {}\ntested:    {}", last[0], last[1]);
    }
}

#[test]
fn only_headers_answer_head() {
    let site = Site::new();
    for ini in ["", "expose_php = 0\ndefault_charset = latin1", "default_charset =", "cgi.nph = 1"] {
        let pair = Pair::start(&site, &ServerConfig::pool(pool(2)).ini(ini));
        for uri in ["/status", "/status?json", "/status?json&full", "/ping"] {
            let head = Call::get(&site, uri).param("REQUEST_METHOD", "HEAD");
            let [reference, tested] = pair.both().map(|server| normal(&page(&server.call(&head)), ""));
            assert_eq!(reference, tested, "{ini}: HEAD {uri}");
            assert!(tested.ends_with("\r\n\r\n"), "{tested}");
            // The headers of the others obey php.ini, too.
            let [reference, tested] = pair.both().map(|server| server.get(uri).web().headers);
            assert_eq!(reference.len(), tested.len(), "{ini}: {uri}");
            for (theirs, ours) in reference.iter().zip(&tested).filter(|(theirs, _)| theirs.0 != "X-Powered-By") {
                assert_eq!(theirs, ours, "{ini}: {uri}");
            }
        }
    }
}

#[test]
fn a_row_shows_the_last_request_as_php_fpms_does() {
    let site = Site::new();
    site.file("dir/page.php", "<?php echo strlen(str_repeat('x', 8 << 20));");
    let pair = Pair::start(&site, &ServerConfig::pool(pool(2)));
    if !pair.same_version() {
        return;
    }
    let call = Call::post(&site, "/dir/page.php?a=b\"c&<d>=\u{e4}/", "text/plain", "12345")
        .param("HTTP_AUTHORIZATION", "Basic YWxpY2U6c2VjcmV0")
        .param("REMOTE_USER", "somebody");
    for (format, separator) in [("", "****\n"), ("html", "<tr>"), ("xml", "<process>"), ("json", "{")] {
        let row = |server: &Server| {
            let row = wait::eventually_some(DEADLINE, || {
                assert_eq!(server.call(&call).text(), "8388608");
                // One of php-fpm's two workers answers this.
                let status = theirs(&page(&server.get(&format!("/status?full&{format}"))));
                let rows = status.split(separator);
                let idle = rows.filter(|row| row.contains("page.php") && row.contains("Idle"));
                idle.map(|row| row.trim_end_matches([']', '}', ',', '\n', '*']).to_owned()).next()
            });
            let row = normal(&row.expect("an idle row with the request"), "requests");
            let end = if format == "html" { "</tr>" } else { "</process>" };
            let row = row.split(end).next().expect("a first part");
            // Cells have no names: pid, times, counts and cpu go by their place.
            let cells = row.split("</td>").enumerate();
            let cells = cells.map(|(i, cell)| if [0, 2, 3, 4, 5, 11].contains(&i) { "N" } else { cell });
            if format == "html" { cells.collect::<Vec<_>>().join("|") } else { row.to_owned() }
        };
        let [reference, tested] = pair.both().map(row);
        assert_eq!(reference, tested, "{format}");
    }
}

#[test]
fn they_answer_while_every_thread_is_busy() {
    only_php_ftm!("php-fpm's status page needs a free worker");
    let site = Site::new();
    let dir = site.writable("dir");
    site.file("wait.php", format!("{PHP_WAIT_FOR}wait_for('{}/go'); echo 'went';", dir.display()));
    let server = Server::start(&site, ServerConfig::pool(pool(2)));
    let mut kept = server.connect();
    let ping = Call::get(&site, "/ping").keep();
    assert_eq!(kept.call(1, &ping).text(), "pong");
    let mut waiting: Vec<Conn> = (0..5).map(|_| server.connect()).collect();
    for conn in &mut waiting {
        conn.send(Call::get(&site, "/wait.php?q").encode(1));
    }
    eventually("two run and three wait", || {
        let status = server.get("/status").text();
        ["active processes:     2", "idle processes:       0", "total processes:      2", "listen queue:         3"]
            .iter()
            .all(|figure| status.contains(figure))
    });
    let script = format!("script:               {}\n", site.docroot().join("wait.php").display());
    eventually("both threads, woken, show what they run", || {
        let rows = server.get("/status?full").text();
        ["state:                Running\n", "request URI:          /wait.php?q\n", &script]
            .iter()
            .all(|line| rows.matches(line).count() == 2)
    });
    assert_eq!(kept.call(1, &ping).text(), "pong");
    assert_eq!(server.call(&Call::get(&site, "/ping").param("REQUEST_METHOD", "POST")).text(), "pong");
    std::fs::write(dir.join("go"), "").expect("write");
    for conn in &mut waiting {
        assert_eq!(conn.answer(1).text(), "went");
    }
    let metrics = server.get("/status?openmetrics").text();
    // More of them may have waited for a moment, while a thread was on its way.
    let most = (3..=5).any(|most| metrics.contains(&format!("\nphpfpm_max_listen_queue {most}\n")));
    assert!(most, "{metrics}");
    assert!(metrics.contains("\nphpftm_queue_seconds_count 5\n"), "{metrics}");
    server.stop();
}

#[test]
fn each_request_for_a_page_is_an_accepted_connection() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::pool(pool(2)));
    let accepted = || {
        let status = server.get("/status").text();
        let line = status.lines().find_map(|line| line.strip_prefix("accepted conn:")).expect("the line").to_owned();
        line.trim().parse::<u64>().expect("a number")
    };
    let before = accepted();
    for _ in 0..3 {
        server.get("/ping");
    }
    assert_eq!(accepted(), before + 4);
}

#[test]
fn bodies_of_requests_for_pages_are_dropped() {
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    let server = Server::start(&site, ServerConfig::pool(pool(1)));
    let form = "application/x-www-form-urlencoded";
    let post = |uri: &str, length: usize| Call::post(&site, uri, form, format!("json={}", "1".repeat(length))).keep();
    let mut conn = server.connect();
    for length in [7, 700_000] {
        let answer = conn.call(1, &post("/status", length));
        assert!(answer.text().starts_with("pool:                 www\n"), "only the query counts: {}", answer.text());
        assert_eq!(conn.call(1, &post("/ping", length)).text(), "pong");
        assert_eq!(conn.call(2, &Call::get(&site, "/hello.php").keep()).text(), "hello");
    }
}

#[test]
fn a_page_does_not_wait_for_a_body_that_does_not_come() {
    only_php_ftm!("php-fpm reads a form first");
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::pool(pool(1)));
    let mut conn = server.connect();
    let call =
        Call::post(&site, "/ping", "application/x-www-form-urlencoded", "a=1").param("CONTENT_LENGTH", "1000000");
    conn.send(call.encode_head(1));
    assert_eq!(conn.answer(1).text(), "pong");
}

#[test]
fn pages_go_before_scripts_of_their_name_and_nothing_else_is_one() {
    let site = Site::new();
    site.file("page.php", "<?php echo 'the script';");
    site.file("index.php", "<?php echo $_SERVER['SCRIPT_NAME'];");
    let config =
        pool(2).set("pm.status_path", "/page.php").set("ping.path", "/index.php").set("ping.response", "alive");
    let pair = Pair::start(&site, &ServerConfig::pool(config));
    let get = |uri: &str| Call::get(&site, uri);
    let action = get("/interpreter").param("REDIRECT_URL", "/page.php");
    for (what, call, wanted) in [
        ("the status path", get("/page.php"), "pool:"),
        ("the ping path", get("/index.php?x"), "alive"),
        ("another file, same name", get("/index.php").param("SCRIPT_NAME", "/page.php"), "pool:"),
        ("same file, another name", get("/index.php").param("SCRIPT_NAME", "/x"), "/x"),
        ("another case", get("/Page.php"), "File not found.\n"),
        ("below it", get("/page.php/").param("PATH_INFO", "/"), "the script"),
        ("a blank behind it", get("/page.php").param("SCRIPT_NAME", "/page.php "), "the script"),
        ("a NUL behind it", get("/page.php").param("SCRIPT_NAME", "/page.php\0x"), "pool:"),
        ("no SCRIPT_NAME", get("/nothing").param("SCRIPT_NAME", ""), "File not found.\n"),
        ("an action", action.param("PATH_TRANSLATED", site.docroot().join("page.php").display().to_string()), "pool:"),
    ] {
        for server in pair.both() {
            let answer = server.call(&call).text();
            assert!(answer.starts_with(wanted), "{what}: {:?}: {answer}", server.kind());
        }
    }
    for missing in ["SCRIPT_FILENAME", "REQUEST_METHOD"] {
        let mut call = get("/page.php");
        call.params.retain(|(name, _)| name != missing.as_bytes());
        let [reference, tested] = pair.both().map(|server| normal(&page(&server.call(&call)), ""));
        assert_eq!(reference, tested, "without {missing}");
    }
}

#[test]
fn without_the_directives_there_are_no_pages() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::default());
    for uri in ["/status", "/ping", "/"] {
        assert_eq!(server.get(uri).text(), "File not found.\n", "{uri}");
    }
}

#[test]
fn web_servers_pass_them_on() {
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::pool(pool(1)));
    let pass = format!("location ~ ^/(status|ping)$ {{ {FASTCGI_PARAMS} fastcgi_pass {}; }}", server.address().nginx());
    let nginx = Nginx::start_with(&site, &server, &NginxConfig { server: pass, ..Default::default() });
    let Address::Unix(socket) = server.address() else { panic!("a unix socket") };
    let handler = format!("SetHandler \"proxy:unix:{}|fcgi://localhost/\"", socket.display());
    let extra = format!("<LocationMatch \"^/(status|ping)$\">\n{handler}\n</LocationMatch>");
    let apache = Apache::start(&site, &server, Handler::SetHandler, &extra);
    for (front, address) in [("nginx", nginx.address()), ("apache", apache.address())] {
        let ping = Request::get("/ping").send(address);
        assert_eq!((ping.status, ping.text().as_str()), (200, "pong"), "{front}");
        assert_eq!(ping.header("content-type"), Some("text/plain;charset=UTF-8"), "{front}");
        let json = Request::get("/status?json").send(address);
        assert_eq!(json.header("content-type"), Some("application/json"), "{front}");
        assert_eq!(json.header("expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), "{front}");
        assert!(
            json.text().starts_with("{\"pool\":\"www\",\"process manager\":\"static\""),
            "{front}: {}",
            json.text()
        );
        let head = Request::new("HEAD", "/status").send(address);
        assert_eq!((head.status, head.text().as_str()), (200, ""), "{front}");
        let post =
            Request::post("/status?xml", "application/x-www-form-urlencoded", "x=".repeat(100_000)).send(address);
        assert!(
            post.text().starts_with("<?xml version=\"1.0\" ?>\n<status>\n<pool>www</pool>"),
            "{front}: {}",
            post.text()
        );
    }
}

#[test]
fn scripts_see_the_same_figures() {
    let site = Site::new();
    let code = "<?php $s = fpm_get_status(); $types = fn($a) => array_map(gettype(...), $a);
        echo json_encode([$types($s), $types($s['procs'][0]), count($s['procs']), $s['listen-queue'],
            $s['max-children-reached'], $s['slow-requests'], array_column($s['procs'], 'request-method')]);";
    site.file("figures.php", code);
    let pair = Pair::start(&site, &ServerConfig::pool(pool(1)));
    if pair.same_version() {
        let [reference, tested] = pair.both().map(|server| server.get("/figures.php").text());
        assert_eq!(reference, tested);
    }
    site.file(
        "counts.php",
        "<?php $s = fpm_get_status(); echo $s['idle-processes'], $s['active-processes'], $s['total-processes'];",
    );
    // php-fpm counts a worker twice after FCGI_GET_VALUES, with which these tests ask whether it is up.
    if pair.tested.kind() == Kind::PhpFtm {
        assert_eq!(pair.tested.get("/counts.php").text(), "011");
        assert!(!pair.tested.log().contains("pm.status_path"), "acted on: {}", pair.tested.log());
    }
}

#[test]
fn the_last_requests_cpu_and_memory_are_shown() {
    let site = Site::new();
    let script = "<?php $x = str_repeat('x', 64 << 20); unset($x);
        for ($end = hrtime(true) + 100_000_000; hrtime(true) < $end;);";
    site.file("work.php", script);
    site.file(
        "figures.php",
        "<?php $p = fpm_get_status()['procs'][0]; echo $p['last-request-cpu'] + $p['last-request-memory'];",
    );
    only_php_ftm!("php-fpm's single worker would show the request for the page");
    let server = Server::start(&site, ServerConfig::pool(pool(1)));
    server.get("/work.php");
    let mut last = String::new();
    let cpu = Regex::new(r"last request cpu: +([0-9.]+)\n").expect("a pattern");
    let memory = Regex::new(r"last request memory: +([0-9]+)\n").expect("a pattern");
    let shown = wait::eventually_some(DEADLINE, || {
        last = server.get("/status?full").text();
        if !last.contains("state:                Idle\n") {
            return None;
        }
        let number = |figure: &Regex| figure.captures(&last)?[1].parse::<f64>().ok();
        number(&cpu).zip(number(&memory))
    });
    let (cpu, memory) = shown.unwrap_or_else(|| panic!("no idle row: {last}"));
    assert!(cpu > 0.0 && memory > f64::from(64 << 20), "{last}");
    assert_eq!(server.get("/figures.php").text(), "0", "they are 0 while a request runs");
}

#[test]
fn a_client_that_reads_nothing_gets_no_endless_answers() {
    only_php_ftm!("php-fpm serves one request of a connection at a time");
    let site = Site::new();
    let server = Server::start(&site, ServerConfig::pool(pool(16).set("response_buffer", "4K")));
    let all: Vec<u8> = (1..=128).flat_map(|id| Call::get(&site, "/status?full&html").keep().encode(id)).collect();
    let mut conn = server.connect();
    // The server stops reading from it, so that this waits until somebody reads.
    let mut sender = conn.stream.try_clone().expect("clone");
    let sending = std::thread::spawn(move || sender.write_all(&all).expect("send"));
    let (mut pages, mut refused) = (0, 0);
    eventually("another client is served", || server.get("/ping").text() == "pong");
    while pages + refused < 128 {
        let record = conn.record();
        match record.kind {
            kind::END_REQUEST => pages += 1,
            kind::STDOUT if record.content.starts_with(b"Status: 503 ") => {
                refused += 1;
                pages -= 1;
            }
            _ => {}
        }
    }
    sending.join().expect("sent");
    assert_eq!(conn.call(200, &Call::get(&site, "/ping").keep()).text(), "pong");
    server.stop();
}

//! What params do to a request, sent as no web server would: script resolution (`cgi.fix_pathinfo`), odd names and
//! values, ini settings in params. php-fpm is the reference, case by case.

use ftm_tests::compare::{Pair, VARS_SCRIPT, difference, fcgi_text};
use ftm_tests::fcgi::{Call, RESPONDER};
use ftm_tests::*;

/// How many differing cases a failure prints.
const SHOWN: usize = 5;

fn config() -> ServerConfig {
    ServerConfig::pool(PoolConfig::new("www").children(1)).ini("variables_order = EGPCS").ini("expose_php = 0")
}

fn call(params: Vec<(Vec<u8>, Vec<u8>)>) -> Call {
    Call { params, body: Vec::new(), role: RESPONDER, keep_conn: false }
}

/// Sends every call to both servers and compares STDOUT, STDERR and END_REQUEST.
fn compare(what: &str, servers: &Pair, calls: &[Call]) {
    let mut failures = Vec::new();
    for call in calls {
        let answers = servers.both().map(|server| server.call(call));
        let texts = answers.map(|answer| {
            let text = fcgi_text(&answer);
            assert!(!text.contains("Fatal error"), "{what}: {text}");
            // Why a file cannot be opened depends on what php-fpm looked up before it.
            let why = ["No such file or directory", "Not a directory", "Success"];
            why.iter().fold(text, |text, why| text.replace(why, "(why)"))
        });
        if let Some(difference) = difference(&texts[0], &texts[1]) {
            let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(80).collect::<String>();
            let params: Vec<_> = call.params.iter().map(|(n, v)| format!("{}={:?}", show(n), show(v))).collect();
            failures.push(format!("{params:?}\n{difference}"));
        }
    }
    let shown = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{what}: {} of {} differ:\n{shown}", failures.len(), calls.len());
}

fn site() -> Site {
    let site = Site::new();
    for name in ["v.php", "sub/v.php", "a b.php", "page.txt"] {
        site.file(name, VARS_SCRIPT);
    }
    site
}

/// Random combinations of what decides which script runs and how it sees its path.
fn path_calls(site: &Site, count: usize, seed: u64) -> Vec<Call> {
    let root = site.docroot().display().to_string();
    let choices: [(&str, &[&str]); 8] = [
        (
            "SCRIPT_FILENAME",
            &[
                "-",
                "",
                "D/v.php",
                "D/v.php",
                "D/v.php/foo/bar",
                "D/v.php/",
                "D/",
                "D",
                "D/missing.php",
                "D/missing.php/x",
                "D/sub/../v.php",
                "D/sub/v.php/foo",
                "D//v.php",
                "D/v.php?x=1",
                "v.php",
                "D/page.txt",
                "D/page.txt/foo",
                "D/a b.php/foo",
                "proxy:fcgi://localhostD/v.php",
                "proxy:fcgi://localhostD/v.php/foo?x=1",
                "proxy:fcgi://127.0.0.1:9000D/v.php/foo/bar",
                "PROXY:BALANCER://xD/v.php/foo%20bar",
                "proxy:fcgi://",
                "proxy:fcgi://localhostD/a b.php/foo bar",
                "proxy:fcgi://localhostD/missing.php",
            ],
        ),
        ("SCRIPT_NAME", &["-", "", "/v.php", "/v.php", "/v.php/foo/bar", "/alias/v.php/foo", "/v.php/foo%20bar"]),
        ("PATH_INFO", &["-", "-", "", "/foo", "/v.php/foo", "/foo/bar", "/foo bar"]),
        ("PATH_TRANSLATED", &["-", "-", "", "D/v.php", "D/v.php/foo", "D/foo", "D/missing.php"]),
        ("REDIRECT_URL", &["-", "-", "/pretty"]),
        ("DOCUMENT_ROOT", &["D", "D", "-", "", "/elsewhere"]),
        ("REQUEST_METHOD", &["GET", "GET", "GET", "GET", "POST", "-", ""]),
        ("ORIG_PATH_INFO", &["-", "-", "-", "/given"]),
    ];
    let mut rng = Rng::new(seed);
    let one = |rng: &mut Rng| {
        let mut params = Vec::new();
        for (name, values) in &choices {
            let value = values[rng.below(values.len())];
            if value != "-" {
                // D stands for the docroot.
                params.push((name.as_bytes().to_vec(), value.replace('D', &root).into_bytes()));
            }
        }
        params.push((b"QUERY_STRING".to_vec(), b"q=1".to_vec()));
        call(params)
    };
    std::iter::repeat_with(|| one(&mut rng)).filter(|call| !forgets_the_script(call)).take(count).collect()
}

/// php-fpm answers 403 where PATH_TRANSLATED is SCRIPT_FILENAME with path info: it finds the script, and goes on with
/// the long name because what it found is no change. php-ftm runs the script.
fn forgets_the_script(call: &Call) -> bool {
    let value = |name: &str| call.params.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_slice());
    let (script, translated) = (value("SCRIPT_FILENAME"), value("PATH_TRANSLATED"));
    let tail = translated.and_then(|t| t.strip_prefix(script?));
    value("REDIRECT_URL").is_some() && tail.is_some_and(|tail| tail.starts_with(b"/"))
}

#[test]
fn script_and_path_info_are_found_as_php_fpm_finds_them() {
    let site = site();
    let servers = Pair::start(&site, &config());
    let mut calls = path_calls(&site, 2000, 1);
    if !servers.same_version() {
        // PHP 8.4 decodes the path info that it finds in Apache's SCRIPT_FILENAME.
        let encoded = |call: &Call| call.params.iter().any(|(n, v)| n == b"SCRIPT_FILENAME" && v.contains(&b'%'));
        calls.retain(|call| !encoded(call));
    }
    compare("fix_pathinfo = 1", &servers, &calls);
}

#[test]
fn script_without_fix_pathinfo() {
    let site = site();
    for line in ["cgi.discard_path = 0", "cgi.discard_path = 1"] {
        let config = config().ini("cgi.fix_pathinfo = 0").ini(line);
        compare(line, &Pair::start(&site, &config), &path_calls(&site, 500, 2));
    }
    let config = config().ini(&format!("doc_root = {}", site.docroot().display()));
    compare("doc_root", &Pair::start(&site, &config), &path_calls(&site, 300, 3));
}

#[test]
fn odd_names_and_values() {
    let site = site();
    // php-fpm cannot find names of three bytes or with bytes above 127 again: no such ones here.
    let names: [&[u8]; 40] = [
        b"lower",
        b"Mixed-Case",
        b"dot.ted",
        b"sp ace",
        b" leading",
        b"trailing ",
        b"",
        b"[",
        b"]",
        b"a[",
        b"ab[c",
        b"a[b]",
        b"a[b][c]",
        b"ab[]",
        b"ab[]",
        b"[x]y",
        b"ab]c",
        b"1digit",
        b"nul\0inside",
        b"\0",
        b"=",
        b"ab=c",
        b"tab\there",
        b"line\nbreak",
        b"HTTP_",
        b"HTTP_X",
        b"http_x",
        b"HTTP_A_B_C",
        b"HTTP_A__B",
        b"HTTP_PROXY",
        b"http_proxy",
        b"HTTP_PRO",
        b"GLOBALS",
        b"_SERVER",
        b"this",
        b"argv",
        b"argc",
        b"PHP_SELF",
        b"REQUEST_TIME",
        b"FCGI_ROLE",
    ];
    let values: [&[u8]; 10] =
        [b"", b"v", b"0", b"a b", b"nul\0inside", b"\xff\xfe", b"'\"<>&\\", b"line\r\nbreak", b"=;,", &[b'x'; 3000]];
    let mut rng = Rng::new(11);
    let mut calls = Vec::new();
    for _ in 0..600 {
        let base = Call::get(&site, "/v.php?q=1&r=2");
        let mut params = base.params;
        for _ in 0..1 + rng.below(8) {
            let name = names[rng.below(names.len())].to_vec();
            let at = rng.below(params.len() + 1);
            params.insert(at, (name, values[rng.below(values.len())].to_vec()));
        }
        calls.push(call(params));
    }
    compare("odd names", &Pair::start(&site, &config()), &calls);
}

#[test]
fn names_given_twice() {
    let site = site();
    let mut calls = Vec::new();
    for name in ["X", "HTTP_X", "QUERY_STRING", "SCRIPT_NAME", "SCRIPT_FILENAME", "REQUEST_METHOD", "HTTP_COOKIE"] {
        for values in [["one", "two"], ["", "two"], ["one", ""]] {
            let mut params = Call::get(&site, "/v.php?q=1").params;
            let at = params.len() / 2;
            for value in values {
                params.insert(at, (name.into(), value.into()));
            }
            calls.push(call(params.clone()));
            params.reverse();
            calls.push(call(params));
        }
    }
    compare("duplicates", &Pair::start(&site, &config()), &calls);
}

#[test]
fn many_params() {
    let site = site();
    let mut rng = Rng::new(5);
    let mut calls = Vec::new();
    for count in [100, 127, 128, 129, 500, 1000] {
        let mut params = Call::get(&site, "/v.php").params;
        for i in 0..count {
            params.push((format!("HTTP_X_{}_{i}", rng.below(1000)).into_bytes(), format!("value {i}").into_bytes()));
        }
        calls.push(call(params));
    }
    compare("many params", &Pair::start(&site, &config()), &calls);
}

#[test]
fn authorization_is_parsed() {
    let site = site();
    let header = |value: &str| Call::get(&site, "/v.php").param("HTTP_AUTHORIZATION", value);
    let calls: Vec<_> = [
        "Basic dXNlcjpwYXNz",
        "basic dXNlcjpwYXNz",
        "Basic  dXNlcjpwYXNz",
        "Basic dXNlcg==",
        "Basic Og==",
        "Basic ",
        "Basic",
        "Basic dXNlcjpwYTpzcw==",
        "Basic dXNlcjpw\u{e4}",
        "Digest a=\"b\"",
        "digest x",
        "Digest ",
        "Bearer t",
        "Negotiate x",
        "",
    ]
    .map(header)
    .to_vec();
    compare("authorization", &Pair::start(&site, &config()), &calls);
}

#[test]
fn ini_settings_in_params_hold_for_their_request() {
    let site = Site::new();
    site.file("ini.php", "<?php foreach (explode(',', $_GET['k']) as $k) echo $k, '=', ini_get($k), ';';");
    let pool = PoolConfig::new("www").children(1).set("php_value[memory_limit]", "100M");
    let server = Server::start(&site, ServerConfig::pool(pool).ini("user_agent = from-ini"));
    let uri = "/ini.php?k=memory_limit,user_agent,precision,include_path";
    let plain = "memory_limit=100M;user_agent=from-ini;precision=14;include_path=.:/usr/share/php;";
    let default_path = server.get("/ini.php?k=include_path").text();
    let plain = plain.replace("include_path=.:/usr/share/php;", &default_path);
    assert_eq!(server.get(uri).text(), plain);
    let set = Call::get(&site, uri)
        .param("PHP_VALUE", "memory_limit=90M\nuser_agent = \"two words\"\ninclude_path=/from/value")
        .param("PHP_ADMIN_VALUE", "precision=9");
    let expected = "memory_limit=90M;user_agent=two words;precision=9;include_path=/from/value;";
    assert_eq!(server.call(&set).text(), expected);
}

#[test]
fn ini_settings_in_params_do_not_leak_into_the_next_request() {
    only_php_ftm!("php-fpm keeps PHP_VALUE for the worker's later requests");
    let site = Site::new();
    site.file("ini.php", "<?php echo ini_get('memory_limit'), ini_get('user_agent'), ini_get('precision');");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let before = server.get("/ini.php").text();
    let set = Call::get(&site, "/ini.php")
        .param("PHP_VALUE", "memory_limit=90M\nuser_agent=x")
        .param("PHP_ADMIN_VALUE", "precision=9");
    assert_eq!(server.call(&set).text(), "90Mx9");
    assert_eq!(server.get("/ini.php").text(), before);
}

#[test]
fn a_folder_is_not_found_whatever_was_forbidden_before() {
    let site = site();
    let locked = site.file("locked.php", "<?php echo 'secret';");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
    std::fs::set_permissions(&locked, mode).expect("chmod");
    ftm_tests::site::mkdir(&site.docroot().join("folder.php"));
    // Where messages cannot be written, php-fpm takes the error of that for the script's.
    let ini: &[&str] = match Kind::under_test() {
        Kind::PhpFtm => &["", "error_log = /no/such/file", "error_log = /root/forbidden"],
        Kind::PhpFpm => &[""],
    };
    for line in ini {
        let server = Server::start(&site, config().ini(line));
        for _ in 0..2 {
            let answer = server.get("/folder.php");
            assert_eq!((answer.web().status, answer.text().as_str()), (404, "No input file specified.\n"), "{line}");
            let answer = server.get("/locked.php");
            assert_eq!((answer.web().status, answer.text().as_str()), (403, "Access denied.\n"), "{line}");
        }
    }
}

//! Requests through nginx and Apache: methods, bodies, uploads, cookies, sessions.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

const ECHO: &str = r#"<?php
echo $_SERVER['REQUEST_METHOD'], "|", http_build_query($_GET), "|", http_build_query($_POST), "|",
    $_SERVER['CONTENT_TYPE'] ?? '', "|", file_get_contents('php://input');"#;

#[test]
fn methods_and_bodies_reach_the_script() {
    let site = Site::new();
    site.file("echo.php", ECHO);
    let fronts = Fronts::start(&site, ServerConfig::default());
    let form = "application/x-www-form-urlencoded";
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "REPORT"] {
        for (front, answer) in fronts.send(&Request::new(method, "/echo.php?a=1&b[]=2&b[]=%C3%A4")) {
            let expected = format!("{method}|a=1&b%5B0%5D=2&b%5B1%5D=%C3%A4|||");
            assert_eq!((answer.status, answer.text()), (200, expected), "{front}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request = Request::new(method, "/echo.php").header("Content-Type", form).body("x=1&y[k]=a+b");
        let post = if method == "POST" { "x=1&y%5Bk%5D=a+b" } else { "" };
        for (front, answer) in fronts.send(&request) {
            assert_eq!(answer.text(), format!("{method}||{post}|{form}|x=1&y[k]=a+b"), "{front}");
        }
    }
    let json = Request::new("POST", "/echo.php").header("Content-Type", "application/json").body("{\"a\":1}");
    for (front, answer) in fronts.send(&json) {
        assert_eq!(answer.text(), "POST|||application/json|{\"a\":1}", "{front}");
    }
}

#[test]
fn head_sends_the_headers_of_get_without_a_body() {
    let site = Site::new();
    site.file("page.php", "<?php header('X-Method: ' . $_SERVER['REQUEST_METHOD']); echo 'a body';");
    let fronts = Fronts::start(&site, ServerConfig::default());
    for (front, address) in fronts.each() {
        let head = Request::new("HEAD", "/page.php").send(address);
        let get = Request::get("/page.php").send(address);
        assert_eq!((head.status, head.text().as_str()), (200, ""), "{front}");
        assert_eq!((get.status, get.text().as_str()), (200, "a body"), "{front}");
        assert_eq!((head.header("x-method"), get.header("x-method")), (Some("HEAD"), Some("GET")), "{front}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{front}");
    }
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let site = Site::new();
    site.file("hash.php", "<?php $b = file_get_contents('php://input'); echo strlen($b), ' ', crc32($b);");
    site.file("crc.php", "<?php echo strlen($_POST['b']), ' ', crc32($_POST['b']);");
    let config = ServerConfig::default().ini("post_max_size = 16M");
    let server_block = "client_max_body_size 16m;".to_owned();
    let nginx = NginxConfig { server: server_block, ..NginxConfig::default() };
    let fronts = Fronts::start_with(&site, config, &nginx, |_| String::new());
    // Around the sizes of buffers and records on the way, and well past any of them.
    for size in [0, 1, 4095, 8192, 16_384, 65_535, 65_536, 131_071, 262_143, 262_144, 262_145, 3_000_000] {
        let body: Vec<u8> = Rng::new(size as u64).bytes(size).into_iter().map(|b| b'a' + b % 26).collect();
        let expected = format!("{size} {}", crc32(&body));
        let raw = Request::post("/hash.php", "application/octet-stream", body.clone());
        let form = Request::post("/crc.php", "application/x-www-form-urlencoded", [b"b=", &body[..]].concat());
        for (front, answer) in fronts.send(&raw).into_iter().chain(fronts.send(&form)) {
            assert_eq!(answer.text(), expected, "{front}, {size} bytes");
        }
    }
}

#[test]
fn multipart_uploads_fill_post_and_files() {
    let site = Site::new();
    let kept = site.writable("kept").join("moved");
    let script = r#"<?php
foreach ($_FILES as $field => $file) {
    foreach ((array) $file['name'] as $i => $name) {
        $get = fn($key) => is_array($file[$key]) ? $file[$key][$i] : $file[$key];
        $tmp = $get('tmp_name');
        $sum = is_uploaded_file($tmp) ? crc32(file_get_contents($tmp)) : '-';
        echo "{$field}[$i] $name {$get('full_path')} {$get('type')} {$get('size')} {$get('error')} $sum\n";
        $temps[] = $tmp;
    }
}
echo http_build_query($_POST), "\n";
echo implode(',', array_filter($temps)), "\n";
if (isset($_GET['keep'])) echo move_uploaded_file($_FILES['one']['tmp_name'], $_GET['keep']) ? 'moved' : 'not moved';
"#;
    site.file("upload.php", script);
    let config = ServerConfig::default().ini("upload_max_filesize = 400K");
    let fronts = Fronts::start(&site, config);
    let mut rng = Rng::new(7);
    let (one, two, big) = (rng.bytes(300_000), rng.bytes(1), rng.bytes(400 * 1024 + 1));
    let body = multipart(&[
        ("title", None, "Ünïcode & more".as_bytes()),
        ("list[k]", None, b"v1"),
        ("one", Some("first name.bin"), &one),
        ("many[]", Some("a/b/two.bin"), &two),
        ("many[]", Some("empty.bin"), b""),
        ("none", Some(""), b""),
        ("big", Some("big.bin"), &big),
    ]);
    let expected = format!(
        "one[0] first name.bin first name.bin application/x-test 300000 0 {}\nmany[0] two.bin a/b/two.bin application/x-test 1 0 {}\n\
         many[1] empty.bin empty.bin application/x-test 0 0 0\nnone[0]    0 4 -\nbig[0] big.bin big.bin  0 1 -\n\
         title=%C3%9Cn%C3%AFcode+%26+more&list%5Bk%5D=v1\n",
        crc32(&one),
        crc32(&two),
    );
    let target = format!("/upload.php?keep={}", kept.display());
    let request = Request::post(&target, &format!("multipart/form-data; boundary={BOUNDARY}"), body);
    for (front, answer) in fronts.send(&request) {
        let text = answer.text();
        let (head, tail) = text.split_at(expected.len().min(text.len()));
        assert_eq!(head, expected, "{front}");
        let (temps, moved) = tail.split_once('\n').expect("temp files");
        assert_eq!(moved, "moved", "{front}");
        assert_eq!(fs::read(&kept).expect("the moved file"), one, "{front}");
        assert_eq!(temps.split(',').count(), 3, "{front}: {temps}");
        eventually("upload files are removed", || temps.split(',').all(|t| !std::path::Path::new(t).exists()));
    }
}

#[test]
fn uploaded_files_are_whole_whatever_their_size() {
    let site = Site::new();
    let script = "<?php foreach ($_FILES as $f) echo $f['size'], ' ', $f['error'], ' ', crc32(file_get_contents($f['tmp_name'])), '\n';";
    site.file("upload.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let mut rng = Rng::new(11);
    let sizes = [0, 1, 5119, 5120, 5121, 61_440, 65_535, 65_536, 65_537, 131_072, 700_001];
    let files: Vec<Vec<u8>> = sizes.iter().map(|&size| rng.bytes(size)).collect();
    let names: Vec<String> = (0..sizes.len()).map(|n| format!("f{n}")).collect();
    let parts: Vec<_> = names.iter().zip(&files).map(|(name, file)| (&name[..], Some(&name[..]), &file[..])).collect();
    let call =
        Call::post(&site, "/upload.php", &format!("multipart/form-data; boundary={BOUNDARY}"), multipart(&parts));
    let expected: String = files.iter().map(|file| format!("{} 0 {}\n", file.len(), crc32(file))).collect();
    assert_eq!(server.call(&call).text(), expected);
}

#[test]
fn a_file_that_the_disk_has_no_room_for_is_no_upload() {
    let site = Site::new();
    site.file(
        "upload.php",
        "<?php echo $_FILES['f']['error'], ' ', $_FILES['f']['size'], ' ', $_FILES['f']['tmp_name'];",
    );
    let limited = site.dir().join("limited");
    // What is beyond 40 KiB of a file cannot be written.
    let program = Kind::under_test().program();
    let script = format!("#!/bin/sh\nulimit -f 80\ntrap '' XFSZ\nexec {} \"$@\"\n", program.display());
    fs::write(&limited, script).expect("a program");
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).expect("chmod");
    let server = Server::start(&site, ServerConfig::default().program(&limited));
    for (size, expected) in [(41_000, "7 0 "), (110_000, "7 0 "), (300_000, "7 0 "), (40_900, "0 40900 /")] {
        let body = multipart(&[("f", Some("f.bin"), &Rng::new(3).bytes(size))]);
        let call = Call::post(&site, "/upload.php", &format!("multipart/form-data; boundary={BOUNDARY}"), body);
        let text = server.call(&call).text();
        assert!(text.starts_with(expected) && (expected.ends_with('/') || text == expected), "{size} bytes: {text}");
    }
}

#[test]
fn a_body_over_post_max_size_empties_post() {
    let site = Site::new();
    site.file("count.php", "<?php echo count($_POST), ' ', $_SERVER['CONTENT_LENGTH'];");
    let config = ServerConfig::default().ini("post_max_size = 10K").ini("display_errors = 0");
    let fronts = Fronts::start(&site, config);
    for (size, count) in [(10_000, 1), (11_000, 0)] {
        let body = format!("a={:x>1$}", "", size - 2);
        for (front, answer) in fronts.send(&Request::post("/count.php", "application/x-www-form-urlencoded", body)) {
            assert_eq!(answer.text(), format!("{count} {size}"), "{front}");
        }
    }
}

#[test]
fn cookies_go_both_ways() {
    let site = Site::new();
    let script = r#"<?php
setcookie('plain', 'v 1');
setcookie('full', 'ü;', ['expires' => 2000000000, 'path' => '/p', 'domain' => 'test.example', 'secure' => true,
    'httponly' => true, 'samesite' => 'Strict']);
setrawcookie('raw', 'a%20b');
setcookie('gone', '');
echo json_encode($_COOKIE), $_SERVER['HTTP_COOKIE'];"#;
    site.file("cookie.php", script);
    let fronts = Fronts::start(&site, ServerConfig::default());
    let header = "a=1; b=x%20y+z; c[]=1; c[k]=2; a=ignored; d.e=dot; empty=; noequals; last=\"q\"";
    let request = Request::get("/cookie.php").header("Cookie", header);
    for (front, answer) in fronts.send(&request) {
        let json = r#"{"a":"1","b":"x y+z","c":{"0":"1","k":"2"},"d_e":"dot","empty":"","noequals":"","last":"\"q\""}"#;
        assert_eq!(answer.text(), format!("{json}{header}"), "{front}");
        let expected = [
            "plain=v%201",
            "full=%C3%BC%3B; expires=Wed, 18 May 2033 03:33:20 GMT; Max-Age=*; path=/p; domain=test.example; secure; \
             HttpOnly; SameSite=Strict",
            "raw=a%20b",
            "gone=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0",
        ];
        let got: Vec<String> = answer.all("set-cookie").iter().map(|c| without_age(c)).collect();
        assert_eq!(got, expected, "{front}");
    }
}

#[test]
fn sessions_last_from_request_to_request() {
    let site = Site::new();
    let script = r#"<?php
session_start();
if (isset($_GET['new'])) session_regenerate_id(true);
if (isset($_GET['end'])) { session_destroy(); exit('ended'); }
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
echo $_SESSION['n'], ' ', session_id();"#;
    site.file("session.php", script);
    let fronts = Fronts::start(&site, ServerConfig::default());
    let mut ids = HashSet::new();
    for (front, address) in fronts.each() {
        let get = |id: Option<&str>, query: &str| {
            let request = Request::get(&format!("/session.php{query}"));
            match id {
                Some(id) => request.header("Cookie", &format!("PHPSESSID={id}")).send(address),
                None => request.send(address),
            }
        };
        for _ in 0..2 {
            let first = get(None, "");
            let text = first.text();
            let (count, id) = text.split_once(' ').expect("count and id");
            assert_eq!(count, "1", "{front}");
            assert_eq!(first.all("set-cookie"), [format!("PHPSESSID={id}; path=/")], "{front}");
            assert_eq!(first.header("cache-control"), Some("no-store, no-cache, must-revalidate"), "{front}");
            assert!(ids.insert(id.to_owned()), "{front}: the id {id} was given twice");
            for n in 2..10 {
                let next = get(Some(id), "");
                assert_eq!(next.text(), format!("{n} {id}"), "{front}");
                assert_eq!(next.all("set-cookie"), Vec::<&str>::new(), "{front}");
            }
            let renewed = get(Some(id), "?new");
            let text = renewed.text();
            let (count, new_id) = text.split_once(' ').expect("count and id");
            assert_eq!(count, "10", "{front}");
            assert!(ids.insert(new_id.to_owned()), "{front}");
            assert_eq!(get(Some(new_id), "?end").text(), "ended", "{front}");
            assert!(get(Some(new_id), "").text().starts_with("1 "), "{front}");
        }
    }
}

#[test]
fn one_session_is_counted_right_by_concurrent_requests() {
    let site = Site::new();
    site.file("count.php", "<?php session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;");
    let server = Server::start(&site, ServerConfig::default());
    let nginx = Nginx::start(&site, &server);
    let request = Request::get("/count.php").header("Cookie", "PHPSESSID=abcdefghijklmnopqrstuvwxyz");
    let mut seen: Vec<u32> = std::thread::scope(|scope| {
        let ask = || (0..25).map(|_| nginx.send(&request).text().parse().expect("a count")).collect::<Vec<u32>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("thread")).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (1..=200).collect::<Vec<u32>>());
}

const BOUNDARY: &str = "----boundary7d";

/// A multipart/form-data body of (field, file name, content).
fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, file, content) in parts {
        let head = match file {
            Some(file) => format!("; filename=\"{file}\"\r\nContent-Type: application/x-test"),
            None => String::new(),
        };
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"{head}\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// The CRC that PHP's crc32() computes.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

/// A cookie with the number of its Max-Age, which depends on the clock, replaced; 0 stays.
fn without_age(cookie: &str) -> String {
    let age = |part: &str| part.starts_with("Max-Age=") && part != "Max-Age=0";
    cookie.split("; ").map(|part| if age(part) { "Max-Age=*" } else { part }).collect::<Vec<_>>().join("; ")
}

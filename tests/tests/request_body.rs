//! Bodies that come by another way, or are read at another time, than usual.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ftm_tests::compare::{Pair, difference};
use ftm_tests::fcgi::{self, Call};
use ftm_tests::*;

const FORM: &str = "application/x-www-form-urlencoded";

/// What a script sees of its body.
const SHOW: &str = r#"<?php
$files = array_map(fn($f) => [$f['name'], $f['error'], $f['size'], @md5_file($f['tmp_name'])], $_FILES);
$input = file_get_contents('php://input');
echo json_encode(['post' => $_POST, 'files' => $files, 'length' => strlen($input), 'md5' => md5($input),
    'announced' => $_SERVER['CONTENT_LENGTH'] ?? null]);"#;

/// Answers of both servers to the same request, which are to be equal; php-ftm's is returned.
fn same(servers: &Pair, what: &str, call: &Call) -> String {
    let [reference, tested] = servers.both().map(|server| {
        let answer = server.call(call);
        let stderr = answer.error_text();
        format!("{} {}\n{stderr}\n{}", answer.web().status, answer.text(), answer.protocol_status)
    });
    assert_eq!(difference(&reference, &tested), None, "{what}");
    tested
}

/// A file that the pool may read.
fn body_file(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).expect("write the body");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    path
}

#[test]
fn a_body_in_a_file_is_read_from_there() {
    let site = Site::new();
    site.file("show.php", SHOW);
    let dir = site.unique("bodies");
    let servers = Pair::start(&site, &ServerConfig::default().ini("display_errors = 0"));
    let call = |content_type: &str, length: usize, file: &Path| {
        // STDIN stays empty.
        Call::post(&site, "/show.php", content_type, "")
            .param("CONTENT_LENGTH", length.to_string())
            .param("REQUEST_BODY_FILE", file.display().to_string())
    };
    let form = b"a=1&b[]=2&b[]=3&c=%C3%A4";
    let multipart = b"--b\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\ntext\r\n\
--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n\r\n0123456789\r\n--b--\r\n";
    // Beyond any buffer.
    let long = Rng::new(7).bytes(3_000_000);
    for (name, content_type, content) in [
        ("form", FORM, &form[..]),
        ("multipart", "multipart/form-data; boundary=b", multipart),
        ("json", "application/json", b"{\"a\": 1}"),
        ("long", "application/octet-stream", &long),
        ("nothing", FORM, b""),
    ] {
        let file = body_file(&dir, name, content);
        let seen = same(&servers, name, &call(content_type, content.len(), &file));
        assert!(seen.starts_with("200 ") && seen.contains(&format!("\"announced\":\"{}\"", content.len())), "{seen}");
        let expected = match name {
            "form" => "\"post\":{\"a\":\"1\",\"b\":[\"2\",\"3\"],\"c\":\"\\u00e4\"}".to_owned(),
            "multipart" => "\"post\":{\"t\":\"text\"},\"files\":{\"f\":[\"x.bin\",0,10,".to_owned(),
            _ => format!("\"length\":{}", content.len()),
        };
        assert!(seen.contains(&expected), "{name}: {seen}");
    }
    // The file and the announced length disagree.
    let file = body_file(&dir, "a", b"a=1&b=2");
    same(&servers, "longer than announced", &call(FORM, 3, &file));
    same(&servers, "shorter than announced", &call(FORM, 100, &file));
    // php-fpm takes a missing file for an empty body.
    if servers.tested.kind() == Kind::PhpFtm {
        assert_eq!(servers.tested.call(&call(FORM, 7, &dir.join("missing"))).web().status, 400);
    }
    // And a file named in vain.
    let plain = Call::post(&site, "/show.php", FORM, "a=1");
    same(&servers, "an empty name", &plain.clone().param("REQUEST_BODY_FILE", ""));
    same(&servers, "a body in both places", &plain.param("REQUEST_BODY_FILE", file.display().to_string()));
}

#[test]
fn nginx_may_pass_bodies_in_files() {
    let site = Site::new();
    site.file("show.php", SHOW);
    let bodies = site.unique("bodies");
    let server = Server::start(&site, ServerConfig::default());
    let php = "client_body_in_file_only clean; fastcgi_pass_request_body off; \
               fastcgi_param REQUEST_BODY_FILE $request_body_file;";
    let config = NginxConfig {
        server: format!("client_body_temp_path {};", bodies.display()),
        php: php.into(),
        ..NginxConfig::default()
    };
    let nginx = Nginx::start_with(&site, &server, &config);
    let text = Request::post("/show.php", FORM, "a=1&b=2").send(nginx.address()).text();
    assert!(text.contains("\"post\":{\"a\":\"1\",\"b\":\"2\"}") && text.contains("\"length\":7"), "{text}");
    let text = Request::post("/show.php", "text/plain", vec![b'x'; 500_000]).send(nginx.address()).text();
    assert!(text.contains("\"length\":500000"), "{text}");
    assert!(nginx.get("/show.php").text().contains("\"length\":0"));
}

#[test]
fn a_shutdown_function_may_be_the_first_to_read_the_body() {
    let site = Site::new();
    let read = "$b = file_get_contents('php://input'); echo 'read ', strlen($b), ' ', md5($b);";
    site.file("shutdown.php", format!("<?php register_shutdown_function(function () {{ {read} }}); echo 'ran, ';"));
    site.file("exit.php", format!("<?php register_shutdown_function(function () {{ {read} }}); exit('left, ');"));
    site.file("destructor.php", format!("<?php class D {{ function __destruct() {{ {read} }} }} $d = new D;"));
    site.file(
        "buffer.php",
        "<?php ob_start(fn($out) => $out . strlen(file_get_contents('php://input'))); echo 'read ';",
    );
    let servers = Pair::start(&site, &ServerConfig::default());
    for script in ["shutdown", "exit", "destructor", "buffer"] {
        for method in ["PUT", "POST"] {
            for size in [5, 100_000, 1_000_000] {
                let body = Rng::new(size as u64).bytes(size);
                let call = Call::post(&site, &format!("/{script}.php"), "application/octet-stream", body);
                let seen = same(&servers, &format!("{script} {method} {size}"), &call.param("REQUEST_METHOD", method));
                assert!(seen.contains(&format!("read {size}")), "{script}: {seen}");
            }
        }
    }
}

#[test]
fn a_form_that_does_not_fit_into_memory_costs_its_request_only() {
    only_php_ftm!("php-fpm's worker ends, and sends nothing");
    let site = Site::new();
    site.file("show.php", SHOW);
    site.file("sound.php", PHP_SOUND);
    let pool = PoolConfig::new("www").children(1);
    let config = ServerConfig::pool(pool).ini("post_max_size = 64M").ini("max_input_vars = 1000000");
    let server = Server::start(&site, config);
    let message = "Allowed memory size of 2097152 bytes exhausted";
    let keys: String = (0..400_000).map(|n| format!("k{n}=v&")).collect();
    for (what, body) in [("one value", format!("a={}", "x".repeat(6_000_000))), ("many keys", keys)] {
        // PHP answers a fatal error that it displays with 200, wherever it comes from.
        for (display, status) in [(0, 500), (1, 200)] {
            let what = format!("{what}, display_errors={display}");
            let ini = format!("memory_limit=2M\ndisplay_errors={display}");
            let answer = server.call(&Call::post(&site, "/show.php", FORM, body.as_str()).param("PHP_VALUE", ini));
            assert_eq!((answer.web().status, answer.text().contains(message)), (status, display == 1), "{what}");
            assert!(!answer.text().contains("announced"), "{what}: the script has not run");
            assert!(answer.error_text().contains(message), "{what}");
            assert_eq!(server.get("/sound.php").text(), "sound", "after {what}");
        }
    }
}

#[test]
fn after_the_response_has_ended_no_more_of_the_body_comes() {
    only_php_ftm!("php-fpm's script waits for the rest");
    let site = Site::new();
    let file = site.writable("dir").join("read");
    let script = "<?php echo 'ended'; fastcgi_finish_request();
        file_put_contents($_GET['file'] . '.new', strlen(file_get_contents('php://input')) < 400000 ? 'part' : 'all');
        rename($_GET['file'] . '.new', $_GET['file']);";
    site.file("finish.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let call = Call::post(&site, &format!("/finish.php?file={}", file.display()), "text/plain", vec![b'x'; 400_000]);
    let call = call.param("REQUEST_METHOD", "PUT");
    let mut conn = server.connect();
    conn.send(call.encode_head(1));
    conn.send(fcgi::records(fcgi::kind::STDIN, 1, &call.body[..300_000], 50_000));
    assert_eq!(conn.answer(1).text(), "ended");
    eventually("the script goes on", || file.exists());
    assert_eq!(fs::read_to_string(&file).expect("what it has read"), "part");
}

//! Through real web servers: the whole HTTP answer.

use ftm_tests::Request;
use ftm_tests::parity::{Cases, Sent};

fn requests(script: &str) -> Vec<(&'static str, Request)> {
    let get = |rest: &str| Request::get(&format!("/{script}{rest}"));
    let form = "application/x-www-form-urlencoded";
    vec![
        ("plain", get("?q=1")),
        ("path info", get("/a/b%20c?q=1")),
        ("HEAD", Request::new("HEAD", &format!("/{script}"))),
        ("form", Request::post(&format!("/{script}"), form, "a=1&b=2")),
        ("PUT", Request::new("PUT", &format!("/{script}")).header("Content-Type", "a/b").body("put")),
        ("DELETE", Request::new("DELETE", &format!("/{script}"))),
        ("authorization", get("").header("Authorization", "Basic dXNlcjpwYXNz")),
        ("missing", Request::get("/missing.php")),
        ("missing with info", Request::get("/missing.php/x")),
        ("redirect", Request::get("/cases/front.php?do=location")),
        ("own status", Request::get("/cases/front.php?do=status")),
        ("not modified", Request::get("/cases/front.php?do=304")),
        ("fatal error", Request::get("/cases/front.php?do=fatal")),
        ("cookies", Request::get("/cases/front.php?do=cookies").header("Cookie", "a=1; b=2")),
        ("gzip", Request::get("/cases/front.php?do=gzip").header("Accept-Encoding", "gzip")),
        ("length", Request::get("/cases/front.php?do=length")),
        ("finish", Request::get("/cases/front.php?do=finish")),
        ("HEAD of a length", Request::new("HEAD", "/cases/front.php?do=length")),
        ("large", Request::get("/cases/front.php?do=large")),
        ("HTTP/1.0 status", Request::get("/cases/front.php?do=old")),
        ("many headers", Request::get("/cases/front.php?do=headers")),
        ("nothing", Request::get("/empty.php")),
    ]
}

const FRONT: &str = "switch ($_GET['do']) {
    case 'location': header('Location: /elsewhere?x=1'); exit;
    case 'status': header('Status: 403 Own'); exit('own');
    case '304': header('ETag: \"e\"'); http_response_code(304); exit;
    case 'fatal': undefined();
    case 'cookies': setcookie('a', 'b'); setcookie('c', 'd'); echo json_encode($_COOKIE); exit;
    case 'gzip': ob_start('ob_gzhandler'); echo str_repeat('x', 1000); exit;
    case 'length': header('Content-Length: 5'); exit('hello');
    case 'finish': echo 'a'; fastcgi_finish_request(); exit('b');
    case 'large': echo str_repeat(\"0123456789\\n\", 50000); exit;
    case 'old': header('HTTP/1.0 404 Gone Away'); exit('old');
    case 'headers': for ($i = 0; $i < 50; $i++) header(\"X-$i: $i\"); exit;
}";

pub fn nginx(cases: &mut Cases<'_>) {
    cases.script("front", FRONT);
    requests("vars.php")
        .into_iter()
        .for_each(|(name, request)| cases.add(&format!("nginx, {name}"), Sent::Nginx(request)));
}

pub fn apache(cases: &mut Cases<'_>) {
    cases.script("front", FRONT);
    requests("vars.php")
        .into_iter()
        .for_each(|(name, request)| cases.add(&format!("Apache, {name}"), Sent::Apache(request)));
    cases.add("Apache, rewritten", Sent::Apache(Request::get("/pretty/x/y?q=1")));
}

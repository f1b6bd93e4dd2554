//! What a script sends: statuses, headers, cookies, types, buffers.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

const SCRIPTS: &[(&str, &str)] = &[
    ("status 404", "http_response_code(404); echo 'x';"),
    ("status 418", "http_response_code(418);"),
    ("status 200 set", "header('HTTP/1.1 200 Fine'); echo 'x';"),
    ("status 299", "http_response_code(299);"),
    ("status 999", "http_response_code(999);"),
    ("status 99", "http_response_code(99);"),
    ("status 1000", "http_response_code(1000);"),
    ("status -1", "var_dump(http_response_code(-1));"),
    ("status 0", "var_dump(http_response_code(0), http_response_code());"),
    ("status 100", "http_response_code(100); echo 'x';"),
    ("status 204 with a body", "http_response_code(204); echo 'x';"),
    (
        "status 304 with a type",
        "header('Content-Type: text/x'); header('ETag: \"e\"'); http_response_code(304); echo 'x';",
    ),
    ("status line", "header('HTTP/1.1 404 Nothing Here');"),
    ("status line, lower case", "header('http/1.0 503 later');"),
    ("status line of an unknown code", "header('HTTP/1.1 460 Own');"),
    ("status line without a reason", "header('HTTP/1.1 403');"),
    ("status line without a code", "header('HTTP/1.1');"),
    ("status line of HTTP/2", "header('HTTP/2 404 Not Found');"),
    ("status line and another code", "header('HTTP/1.1 404 Nothing'); http_response_code(500);"),
    ("status line, then Location", "header('HTTP/1.1 404 Nothing'); header('Location: /x');"),
    ("long status line", "header('HTTP/1.1 404 ' . str_repeat('x', 3000));"),
    ("status header", "header('Status: 403 Own Words');"),
    ("status header, lower case", "header('status: 403');"),
    ("status header and a code", "header('Status: 403 Own'); http_response_code(404);"),
    ("status header and a status line", "header('Status: 403 Own'); header('HTTP/1.1 404 Other');"),
    ("two status headers", "header('Status: 403 A'); header('Status: 404 B', false);"),
    ("location", "header('Location: /elsewhere'); echo 'x';"),
    ("location and 201", "http_response_code(201); header('Location: /new');"),
    ("location with a code", "header('Location: /x', true, 307);"),
    ("location of a POST", "$_SERVER['REQUEST_METHOD'] = 'POST'; header('Location: /x');"),
    ("location and 200", "header('Location: /x'); http_response_code(200);"),
    ("www-authenticate", "header('WWW-Authenticate: Basic realm=\"r\"');"),
    ("header twice", "header('X-A: 1'); header('X-A: 2');"),
    ("header added", "header('X-A: 1'); header('X-A: 2', false); header('x-a: 3', false);"),
    ("header replaced in another case", "header('X-A: 1'); header('x-a: 2');"),
    ("header removed", "header('X-A: 1'); header('X-B: 2'); header_remove('x-a');"),
    ("all headers removed", "header('X-A: 1'); header_remove(); echo 'x';"),
    ("own header removed", "header_remove('X-Powered-By'); header_remove('Content-Type'); echo 'x';"),
    (
        "order of headers",
        "header('B: 1'); header('Content-Type: a/b'); header('A: 2'); setcookie('c', 'd'); header('B: 3');",
    ),
    ("header without a value", "header('X-A:'); header('X-B: '); header('X-C');"),
    ("header with blanks", "header('  X-A  :  v  '); header(\"X-B:\\tw\\t\");"),
    ("header of nothing", "header(''); header(' '); header(':'); header(': x');"),
    ("header with a line break", "header(\"X-A: 1\\r\\nX-B: 2\"); header(\"X-C: 1\\n 2\"); echo 'x';"),
    ("header with a NUL", "header(\"X-A: 1\\0 2\"); echo 'x';"),
    ("header with bytes", "header(\"X-A: \\xff\\x7f\\x01\"); header('X-\u{e4}: \u{f6}');"),
    ("long header", "header('X-A: ' . str_repeat('x', 20000));"),
    ("many headers", "for ($i = 0; $i < 500; $i++) header(\"X-$i: $i\");"),
    ("header with a percent sign", "header('X-A: %s%n%d'); header('HTTP/1.1 404 %s%n');"),
    ("type", "header('Content-Type: text/plain'); echo 'x';"),
    ("type with a charset", "header('Content-Type: text/html; charset=iso-8859-1'); echo 'x';"),
    ("type text without a charset", "header('content-type: text/css'); echo 'x';"),
    ("empty type", "header('Content-Type:'); echo 'x';"),
    ("default type", "ini_set('default_mimetype', 'a/b'); ini_set('default_charset', ''); echo 'x';"),
    ("length", "header('Content-Length: 3'); echo 'abcdef';"),
    (
        "cookies",
        "setcookie('a', 'b c', 2000000000, '/p', 'd', true, true); setrawcookie('r', 'x%20y'); setcookie('gone');",
    ),
    ("cookie options", "setcookie('a', 'b', ['samesite' => 'Lax', 'expires' => 2000000000, 'path' => '/']);"),
    ("headers after output", "echo 'x'; flush(); header('X-A: 1'); http_response_code(404);"),
    ("headers sent where", "echo 'x'; flush(); headers_sent($f, $l); echo basename($f), $l; var_dump(headers_list());"),
    (
        "header callback",
        "header_register_callback(function () { header('X-Callback: 1'); header_remove('X-A'); }); header('X-A: 1'); echo 'x';",
    ),
    ("header callback, no output", "header_register_callback(function () { header('X-Callback: 1'); echo 'y'; });"),
    ("flush before output", "flush(); header('X-A: 1'); echo 'x';"),
    ("flush in a buffer", "ob_start(); echo 'a'; flush(); header('X-A: 1'); ob_flush(); flush(); echo 'b';"),
    ("nothing", ""),
    ("only a newline", "?>\n\n<?php"),
    ("output after finish", "echo 'a'; var_dump(fastcgi_finish_request()); echo 'b'; error_log('after');"),
    (
        "finish with buffers",
        "ob_start(); echo 'a'; ob_start(fn($b) => strtoupper($b)); echo 'b'; fastcgi_finish_request(); echo 'c';",
    ),
    ("finish without output", "header('X-A: 1'); http_response_code(201); fastcgi_finish_request();"),
    ("large output", "for ($i = 0; $i < 3000; $i++) echo str_repeat(chr(65 + $i % 26), 100), \"\\n\";"),
    ("one large piece", "echo str_repeat('0123456789', 20000);"),
    (
        "session",
        "session_id('parity'); session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo json_encode($_SESSION), session_status(); session_destroy();",
    ),
    (
        "session without cookies",
        "ini_set('session.use_cookies', 0); session_id('parity'); session_start(); echo SID, json_encode($_SESSION); session_destroy();",
    ),
    (
        "session limiter",
        "session_cache_limiter('private_no_expire'); session_cache_expire(5); session_id('parity'); session_start(); header_remove('Last-Modified');",
    ),
    ("gzip", "ob_start('ob_gzhandler'); echo str_repeat('x', 1000);"),
    ("rewriting of urls", "output_add_rewrite_var('v', '1'); echo '<a href=\"/x\">y</a><form></form>';"),
    ("header after an error", "ini_set('display_errors', 1); echo $undefined; header('X-A: 1');"),
];

pub fn cases(cases: &mut Cases<'_>) {
    SCRIPTS.iter().for_each(|(name, code)| cases.php(name, code));
    let uri = cases.script("negotiated", "ob_start('ob_gzhandler'); echo str_repeat('x', 1000);");
    for encoding in ["gzip", "deflate, gzip", "br", "x-gzip", "gzip;q=0"] {
        cases
            .call(&format!("encoding {encoding}"), Call::get(cases.site, &uri).param("HTTP_ACCEPT_ENCODING", encoding));
    }
}

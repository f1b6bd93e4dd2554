//! Scripts that end in every way: each answers as under php-fpm, and the next request on the same thread is unharmed.

use ftm_tests::fcgi::Call;
use ftm_tests::script::{Script, check_scripts, script};
use ftm_tests::*;

/// Runs the scripts, with some files beside them to include.
fn check(scripts: &[Script]) {
    let site = Site::new();
    site.file("include-fatal.php", "<?php undefined_in_include();");
    site.file("include-exit.php", "<?php echo 'included'; exit(2); echo 'no';");
    site.file("include-parse.php", "<?php this is no PHP");
    check_scripts(&site, scripts);
}

#[test]
fn exit_everywhere() {
    check(&[
        script("function", 200, "a", "function f() { echo 'a'; exit; } f(); echo 'no';"),
        script("include", 200, "included", "include 'include-exit.php'; echo 'no';"),
        script(
            "generator",
            200,
            "1b",
            "function g() { try { yield 1; echo 'b'; exit; } finally { echo 'f'; } } foreach (g() as $x) echo $x;",
        ),
        script("error-handler", 200, "h", "set_error_handler(function () { echo 'h'; exit; }); echo $undef; echo 'no';"),
        script(
            "exception-handler",
            200,
            "h",
            "set_exception_handler(function ($e) { echo 'h'; exit(4); }); throw new Exception('e');",
        ),
        script("output-callback", 200, "", "ob_start(function ($b) { exit('z'); }); echo 'x';"),
        script(
            "shutdown",
            200,
            "xs",
            "register_shutdown_function(function () { echo 's'; exit; });
             register_shutdown_function(function () { echo 'no'; }); echo 'x';",
        ),
        script(
            "destructor",
            200,
            "xd",
            "class D { function __destruct() { echo 'd'; exit; } } $a = new D; $b = new D; echo 'x';",
        ),
        script("to-string", 200, "t", "class D { function __toString() { exit('t'); } } echo new D; echo 'no';"),
        script("autoload", 200, "auto", "spl_autoload_register(function ($c) { exit('auto'); }); new Foo;"),
        script("sort", 200, "cmp", "$a = [3, 2, 1]; usort($a, function () { exit('cmp'); }); echo 'no';"),
        script("unserialize", 200, "wake", "class U { function __wakeup() { exit('wake'); } } unserialize('O:1:\"U\":0:{}');"),
        script("preg", 200, "cb", "preg_replace_callback('/a/', function () { exit('cb'); }, 'aaa'); echo 'no';"),
        script(
            "iterator",
            200,
            "it",
            "foreach (new CallbackFilterIterator(new ArrayIterator([1, 2]), fn($x) => exit('it')) as $v) echo 'no';",
        ),
        script(
            "tick",
            200,
            "012tick",
            "declare(ticks=1); register_tick_function(function () { static $n; if ($n++ == 3) exit('tick'); });
             for ($i = 0; $i < 10; $i++) echo $i;",
        ),
        script(
            "stream",
            200,
            "read",
            "class W { public $context; function stream_open($p, $m, $o, &$q) { return true; }
             function stream_read($n) { exit('read'); } function stream_eof() { return false; }
             function stream_stat() { return []; } }
             stream_wrapper_register('wrap', 'W'); file_get_contents('wrap://x'); echo 'no';",
        ),
        script(
            "session-write",
            200,
            "xw",
            "class H implements SessionHandlerInterface { function open($a, $b): bool { return true; }
             function close(): bool { return true; } function read($i): string|false { return ''; }
             function write($i, $d): bool { echo 'w'; exit; } function destroy($i): bool { return true; }
             function gc($m): int|false { return 0; } }
             session_set_save_handler(new H); session_start(); $_SESSION['a'] = 1; echo 'x';",
        ),
        script(
            "xml",
            200,
            "xml",
            "$p = xml_parser_create(); xml_set_element_handler($p, function () { exit('xml'); }, fn() => 1);
             xml_parse($p, '<a><b/></a>', true); echo 'no';",
        ),
        script(
            "curl",
            200,
            "curl",
            "$c = curl_init('file://' . __FILE__); curl_setopt($c, CURLOPT_WRITEFUNCTION, function () { exit('curl'); });
             curl_exec($c); echo 'no';",
        ),
        script(
            "sqlite",
            200,
            "sql",
            "$d = new SQLite3(':memory:'); $d->createFunction('f', fn() => exit('sql'));
             $d->querySingle('select f()'); echo 'no';",
        ),
        script("status", 503, "down", "http_response_code(503); exit('down');"),
        script("code", 200, "", "exit(255);"),
    ]);
}

#[test]
fn errors_everywhere() {
    check(&[
        script("uncaught", 500, "", "throw new Exception('thrown');"),
        script("undefined", 500, "", "undefined();"),
        script("silent", 500, "", "ini_set('error_reporting', 0); undefined();"),
        script("user-error", 500, "", "trigger_error('bad', E_USER_ERROR);"),
        script("compile", 500, "", "class A { function f() {} function f() {} }"),
        script("parse", 500, "", "echo 'never'; this is no PHP"),
        script("abstract", 200, "x", "echo 'x'; flush(); interface I { function f(); } class B implements I {}"),
        script("include-undefined", 200, "x", "echo 'x'; include 'include-fatal.php'; echo 'no';"),
        script("include-buffered", 500, "x", "ob_start(); echo 'x'; include 'include-parse.php'; echo 'no';"),
        script(
            "include-caught",
            200,
            "ok",
            "try { include 'include-parse.php'; } catch (ParseError $e) { echo 'ok'; }",
        ),
        script("after-output", 200, "out", "echo 'out'; flush(); throw new Exception('e');"),
        script("after-status", 404, "", "http_response_code(404); throw new Exception('e');"),
        script(
            "handler",
            500,
            "",
            "set_exception_handler(function ($e) { throw new Exception('again'); }); undefined();",
        ),
        script(
            "callback",
            200,
            "x",
            "ob_start(function ($b) { throw new Exception('z'); }); echo 'x'; ob_end_flush(); echo 'no';",
        ),
        script("callback-at-end", 500, "", "ob_start(function ($b) { throw new Exception('z'); }); echo 'x';"),
        script(
            "callback-buffers",
            200,
            "",
            "ob_start(function ($b) { ob_start(); return 'z'; }); echo 'x'; ob_end_flush(); echo 'no';",
        ),
        script(
            "shutdown",
            200,
            "x",
            "register_shutdown_function(function () { throw new Exception('s'); });
             register_shutdown_function(function () { echo 'no'; }); echo 'x';",
        ),
        script("shutdown-first", 500, "", "register_shutdown_function(function () { undefined(); });"),
        script(
            "shutdown-chain",
            200,
            "012345",
            "function a() { static $n = 0; echo $n; if ($n++ < 5) register_shutdown_function('a'); }
             register_shutdown_function('a');",
        ),
        script(
            "shutdown-after",
            500,
            "1",
            "register_shutdown_function(function () { echo error_get_last()['type']; }); undefined();",
        ),
        script(
            "destructor",
            200,
            "x",
            "class D { function __destruct() { throw new Exception('d'); } } $a = new D; echo 'x';",
        ),
        script(
            "destructor-after",
            500,
            "d",
            "class D { function __destruct() { echo 'd'; } } $a = new D; undefined();",
        ),
        script(
            "session-read",
            500,
            "",
            "class H implements SessionHandlerInterface { function open($a, $b): bool { return true; }
             function close(): bool { return true; } function read($i): string|false { undefined(); }
             function write($i, $d): bool { return true; } function destroy($i): bool { return true; }
             function gc($m): int|false { return 0; } }
             session_set_save_handler(new H); session_start(); echo 'x';",
        ),
        script(
            "sqlite",
            500,
            "",
            "$d = new SQLite3(':memory:'); $d->createFunction('f', function () { throw new Exception('sql'); });
             $d->querySingle('select f()'); echo 'no';",
        ),
        script("finished", 200, "done", "echo 'done'; fastcgi_finish_request(); echo 'lost'; undefined();"),
        script(
            "finished-buffered",
            200,
            "aB",
            "ob_start(); echo 'a'; ob_start(fn($b) => strtoupper($b)); echo 'b'; fastcgi_finish_request(); echo 'c';",
        ),
    ]);
}

#[test]
fn memory_runs_out() {
    const LIMIT: &str = "ini_set('memory_limit', '16M');";
    let exhaust = [
        ("string", "str_repeat('x', 1 << 25);"),
        ("objects", "$a = []; while (true) $a[] = new stdClass;"),
        ("strings", "$a = []; while (true) $a[] = str_repeat('x', 1000);"),
        ("recursion", "function r() { r(); } r();"),
        (
            "magic",
            "class M { function __get($n) { return $this->$n(); } function __call($n, $a) { return $this->{$n . 'x'}; } } (new M)->a;",
        ),
        ("fiber", "(new Fiber(function () { str_repeat('x', 1 << 25); }))->start();"),
        ("destructor", "class D { function __destruct() { str_repeat('x', 1 << 25); } } $d = new D; unset($d);"),
    ];
    let site = Site::new();
    site.file("sound.php", PHP_SOUND);
    for (name, code) in exhaust {
        site.file(&format!("{name}.php"), format!("<?php {LIMIT} {code}"));
    }
    let config = ServerConfig::pool(PoolConfig::new("www").children(1)).ini("display_errors = 0");
    let server = Server::start(&site, config);
    for _ in 0..3 {
        for (name, _) in exhaust {
            let answer = server.get(&format!("/{name}.php"));
            let said = answer.error_text();
            assert_eq!((answer.web().status, answer.text().as_str()), (500, ""), "{name}: {said}");
            assert!(said.contains("Allowed memory size of 16777216 bytes exhausted"), "{name}: {said}");
            assert_eq!(server.get("/sound.php").text(), "sound", "after {name}");
        }
    }
}

/// Recursion through C, with at most three quarters of the depth that php-fpm 8.2 survives on a stack of 8 MiB.
const DEEP: [(&str, u32, &str); 12] = [
    ("array_map", 9_600, "function r($n) { return $n ? array_map(fn($x) => r($n - 1), [1]) : []; } r($d);"),
    (
        "usort",
        6_400,
        "function r($n) { if (!$n) return; $a = [1, 2]; usort($a, function () use ($n) { r($n - 1); return 0; }); } r($d);",
    ),
    ("serialize", 3_800, "$a = []; for ($i = 0; $i < $d; $i++) $a = [$a]; serialize($a);"),
    (
        "unserialize",
        25_000,
        "ini_set('unserialize_max_depth', '0');
         unserialize(str_repeat('a:1:{i:0;', $d) . 'a:0:{}' . str_repeat('}', $d));",
    ),
    ("json", 17_500, "$a = []; for ($i = 0; $i < $d; $i++) $a = [$a]; json_encode($a, 0, $d + 1);"),
    ("compare", 38_000, "$a = $b = []; for ($i = 0; $i < $d; $i++) { $a = [$a]; $b = [$b]; } $a == $b;"),
    (
        "free",
        63_000,
        "class L { public $n; } $l = null; for ($i = 0; $i < $d; $i++) { $o = new L; $o->n = $l; $l = $o; } unset($l, $o);",
    ),
    (
        "to-string",
        7_300,
        "class T { function __construct(public $n) {}
         function __toString() { return $this->n ? 'x' . new T($this->n - 1) : ''; } } (string) new T($d);",
    ),
    ("negations", 7_300, "eval('$x = ' . str_repeat('!', $d) . '1;');"),
    ("sum", 10_000, "eval('$x = $d' . str_repeat(' . $d', $d) . ';');"),
    ("calls", 3_600, "eval(str_repeat('strrev(', $d) . '1' . str_repeat(')', $d) . ';');"),
    ("php", 400_000, "function r($n) { return $n ? r($n - 1) + 1 : 0; } r($d);"),
];

#[test]
fn deep_recursion() {
    let site = Site::new();
    for (name, _, code) in DEEP {
        site.file(&format!("{name}.php"), format!("<?php $d = (int) $_GET['d']; {code} echo 'survived';"));
    }
    let config = ServerConfig::default().ini("display_errors = 0").ini("memory_limit = 512M");
    let server = Server::start(&site, config);
    // Together, so that each has a stack of its own.
    std::thread::scope(|scope| {
        for (name, depth, _) in DEEP {
            let (server, site) = (&server, &site);
            scope.spawn(move || {
                let answer = server.connect().call(1, &Call::get(site, &format!("/{name}.php?d={depth}")));
                assert_eq!(answer.text(), "survived", "{name} to a depth of {depth}: {}", answer.error_text());
            });
        }
    });
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

#[test]
fn what_is_logged_reaches_the_web_server() {
    let site = Site::new();
    site.file("uncaught.php", "<?php\nthrow new Exception('thrown');");
    site.file("log.php", "<?php error_log('one'); error_log(\"two\\nlines\"); echo 'logged';");
    site.file("shown.php", "<?php ini_set('display_errors', '1'); throw new Exception('thrown');");
    let server = Server::start(&site, ServerConfig::default().ini("display_errors = 0"));
    let path = site.docroot().join("uncaught.php").display().to_string();
    let expected = format!(
        "PHP message: PHP Fatal error:  Uncaught Exception: thrown in {path}:2\nStack trace:\n#0 {{main}}\n  thrown in \
         {path} on line 2"
    );
    assert_eq!(server.get("/uncaught.php").error_text(), expected);
    let answer = server.get("/log.php");
    assert_eq!(
        (answer.text().as_str(), answer.error_text().as_str()),
        ("logged", "PHP message: one; PHP message: two\nlines")
    );
    let answer = server.get("/shown.php").web();
    assert_eq!(answer.status, 200, "what is shown goes out with the status of a page");
    assert!(answer.text().contains("Fatal error: Uncaught Exception: thrown in"), "{}", answer.text());
}

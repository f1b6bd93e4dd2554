//! Scripts and files that fail: what the client, the web server's log and the next request get to see.

use ftm_tests::parity::Cases;

const SCRIPTS: &[(&str, &str)] = &[
    ("notice", "echo $undefined, 'x';"),
    ("warnings", "echo 1 <=> [], 'x' . [], hex2bin('abc');"),
    ("deprecated", "function f($a = 1, $b) {} echo strlen(null);"),
    ("fatal error", "echo 'before'; undefined();"),
    ("fatal error before output", "undefined();"),
    ("parse error", "this is no code"),
    ("compile error", "class A { function f(); }"),
    ("uncaught exception", "throw new DomainException(\"two\\nlines & <b>\", 5, new Exception('previous'));"),
    ("uncaught after headers", "header('X-A: 1'); http_response_code(202); throw new Exception('late');"),
    ("uncaught after a flush", "echo 'x'; flush(); throw new Exception('late');"),
    ("type error", "function f(int $a) {} f('x');"),
    (
        "trigger_error",
        "foreach ([E_USER_NOTICE, E_USER_WARNING, E_USER_DEPRECATED, E_USER_ERROR] as $l) trigger_error(\"level $l\", $l); echo 'not reached';",
    ),
    ("error in an include", "include 'no/such/file.php'; require 'no/such/file.php';"),
    ("error in a shutdown function", "register_shutdown_function(function () { undefined(); }); echo 'x';"),
    (
        "error in a destructor",
        "class D { function __destruct() { throw new Exception('d'); } } $GLOBALS['d'] = new D; echo 'x';",
    ),
    ("error in a buffer callback", "ob_start(function ($b) { ob_start(); return $b; }); echo 'x';"),
    (
        "error handler",
        "set_error_handler(function ($n, $m) { echo \"[$m]\"; return true; }); echo $undefined; error_log('from me');",
    ),
    (
        "exception handler",
        "set_exception_handler(function ($e) { http_response_code(503); echo get_class($e); }); throw new Exception('x');",
    ),
    ("memory limit", "ini_set('memory_limit', '8M'); $a = str_repeat('x', 50 << 20);"),
    ("stack of calls", "function f($n) { return $n ? f($n - 1) : throw new Exception('deep'); } f(3);"),
    ("exit", "echo 'a'; exit;"),
    ("exit with text", "exit('bye');"),
    ("exit with a code", "echo 'a'; exit(255);"),
    ("exit with a code before output", "exit(255);"),
    ("exit in a buffer", "ob_start(); echo 'a'; exit(1);"),
    (
        "error_log",
        "error_log('one'); error_log(\"two\\nlines\"); error_log(''); error_log(\"bytes \\x01\\xff\\t%s\"); error_log('last');",
    ),
    ("error_log to the server", "var_dump(error_log('sapi', 4)); echo 'x';"),
    (
        "error_log to a file",
        "$f = sys_get_temp_dir() . '/parity-log'; var_dump(error_log(\"file\\n\", 3, $f), file_get_contents($f)); unlink($f);",
    ),
    (
        "error_log by ini",
        "$f = sys_get_temp_dir() . '/parity-log'; ini_set('error_log', $f); error_log('file'); echo substr(file_get_contents($f), -5); unlink($f);",
    ),
    ("stderr stream", "file_put_contents('php://stderr', \"to stderr\\n\"); echo 'x';"),
    ("silenced", "@undefined_constant_ok(...); "),
    ("silenced warning", "@hex2bin('abc'); echo error_get_last()['message'];"),
    ("assertion", "ini_set('assert.exception', 0); assert(false); echo 'x';"),
    ("error shown", "ini_set('display_errors', 1); echo 'a'; echo $undefined; undefined();"),
    ("error shown on stderr", "ini_set('display_errors', 'stderr'); echo $undefined, 'x';"),
    ("error not logged", "ini_set('log_errors', 0); echo $undefined, 'x'; undefined();"),
    ("time limit of the error reporting", "error_reporting(0); echo $undefined; undefined();"),
    (
        "errors in html",
        "ini_set('html_errors', 1); ini_set('display_errors', 1); hex2bin('abc'); throw new Exception('<b>');",
    ),
    (
        "prepended",
        "ini_set('error_prepend_string', '[['); ini_set('error_append_string', ']]'); ini_set('display_errors', 1); hex2bin('abc');",
    ),
    ("repeated", "ini_set('ignore_repeated_errors', 1); for ($i = 0; $i < 3; $i++) hex2bin('abc');"),
    ("backtrace", "function f() { debug_print_backtrace(); } f();"),
    ("execution time", "ini_set('max_execution_time', 1); while (true);"),
    ("many messages", "for ($i = 0; $i < 300; $i++) error_log(\"message $i\");"),
];

/// Messages that php-fpm cuts.
pub fn long_messages(cases: &mut Cases<'_>) {
    cases.php("long error_log", "error_log(str_repeat('x', 5000));");
    cases.php("very long error_log", "error_log(str_repeat('x', 100000)); echo 'x';");
}

pub fn cases(cases: &mut Cases<'_>) {
    SCRIPTS.iter().for_each(|(name, code)| cases.php(name, code));
    let locked = cases.site.file("locked.php", "<?php echo 'secret';");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
    std::fs::set_permissions(&locked, mode).expect("chmod");
    cases.get("unreadable", "/locked.php");
    ftm_tests::site::mkdir(&cases.site.docroot().join("folder.php"));
    cases.get("a folder", "/folder.php");
    std::os::unix::fs::symlink("vars.php", cases.site.docroot().join("link.php")).expect("symlink");
    cases.get("a link", "/link.php");
    std::os::unix::fs::symlink("nowhere.php", cases.site.docroot().join("dangling.php")).expect("symlink");
    cases.get("a dangling link", "/dangling.php");
    cases.site.file("bom.php", "\u{feff}<?php header('X-A: 1'); echo 'x';");
    cases.get("a byte order mark", "/bom.php");
    cases.site.file("shebang.php", "#!/usr/bin/php\n<?php echo __LINE__;");
    cases.get("a shebang", "/shebang.php");
    cases.site.file(
        "halt.php",
        "<?php echo file_get_contents(__FILE__, false, null, __COMPILER_HALT_OFFSET__); __halt_compiler();data",
    );
    cases.get("halted compiler", "/halt.php");
    cases.get("hello after errors", "/hello.php");
}

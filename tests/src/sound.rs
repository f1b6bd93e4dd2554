//! Two scripts that belong together: what a request leaves behind when it ends badly, and whether the next one on the
//! same thread notices.

/// The start of a PHP script: changes whatever ends with a request, and would be seen by the next one if it did not.
pub const PHP_SPOIL: &str = r#"<?php
define('LEFT', 1);
function left() {}
class Left { static $value = 1; }
ini_set('precision', '3');
ini_set('memory_limit', ini_get('memory_limit'));
ini_set('display_errors', '0');
error_reporting(E_ALL & ~E_NOTICE);
set_error_handler(fn() => false);
set_exception_handler(null);
spl_autoload_register(fn($class) => null);
header('X-Left: 1');
setcookie('left', '1');
setlocale(LC_NUMERIC, 'C.UTF-8');
date_default_timezone_set('Asia/Tokyo');
mb_internal_encoding('ISO-8859-1');
libxml_use_internal_errors(true);
umask(0077);
chdir('/');
gc_disable();
ignore_user_abort(true);
$GLOBALS['left'] = fopen('php://temp', 'r+');
assert(true);
?>
"#;

/// A PHP script that prints `sound`, or what it finds in a state that no new request should be in.
pub const PHP_SOUND: &str = r#"<?php
$wrong = [];
$check = function (string $what, bool $right) use (&$wrong) { if (!$right) $wrong[] = $what; };
$check('constant', !defined('LEFT'));
$check('function', !function_exists('left'));
$check('class', !class_exists('Left'));
$check('variable', !isset($GLOBALS['left']));
foreach (['precision', 'memory_limit', 'display_errors', 'error_reporting', 'max_execution_time', 'date.timezone'] as $name) {
    $all = ini_get_all(null, true);
    $check("ini $name", $all[$name]['global_value'] === $all[$name]['local_value']);
}
$check('error handler', set_error_handler(null) === null);
$check('exception handler', set_exception_handler(null) === null);
$check('autoload', spl_autoload_functions() === []);
$check('error', error_get_last() === null);
$check('headers', preg_grep('/left/i', headers_list()) === [] && !headers_sent() && http_response_code() === 200);
$check('buffers', ob_get_level() === 0);
$check('connection', connection_status() === CONNECTION_NORMAL && !ignore_user_abort());
$check('session', session_status() === PHP_SESSION_NONE);
$check('locale', setlocale(LC_NUMERIC, 0) === 'C');
$check('timezone', date_default_timezone_get() === 'UTC');
$check('encoding', mb_internal_encoding() === 'UTF-8');
$check('libxml', libxml_use_internal_errors() === false);
$check('umask', umask() !== 0077);
$check('directory', getcwd() === __DIR__);
$check('collector', gc_enabled());
$check('fiber', Fiber::getCurrent() === null);
// And the engine does its work.
ob_start(fn($text) => strtoupper($text));
echo 'shouted';
$check('output', ob_get_clean() === 'shouted');
try { throw new Exception('caught'); } catch (Exception $e) { $check('exceptions', $e->getMessage() === 'caught'); }
$fiber = new Fiber(fn($n) => Fiber::suspend($n) + 1);
$check('fibers', $fiber->start(1) === 1 && $fiber->resume(2) === null && $fiber->getReturn() === 3);
$check('compiler', eval('class Fresh { function f() { return 7; } } return (new Fresh)->f();') === 7);
$check('memory', strlen(str_repeat('x', 1 << 20)) === 1 << 20);
session_id('sound' . bin2hex(random_bytes(8)));
$check('sessions', session_start(['use_cookies' => false]) && ($_SESSION['n'] = 1) && session_destroy());
echo $wrong ? implode(', ', $wrong) : 'sound';
"#;

//! What belongs to one request and is never another one's: each client has a secret, and puts it everywhere.

use std::collections::BTreeSet;

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Failure, Outcome, World, ask, wrong};

/// A script that prints everything it sees, checks that it finds everything as the pool has it, puts the secret everywhere, waits,
/// checks that all of that is still its own, and prints everything again.
const SCRIPT: &str = r#"<?php
function everything(): string {
    return json_encode([
        'env' => getenv(), 'SOAK' => getenv('SOAK'), '_ENV' => $_ENV, '_SERVER' => $_SERVER, '_GET' => $_GET, '_POST' => $_POST,
        '_COOKIE' => $_COOKIE, '_FILES' => $_FILES, '_REQUEST' => $_REQUEST, '_SESSION' => $_SESSION ?? null,
        'cwd' => getcwd(), 'umask' => umask(), 'locale' => setlocale(LC_ALL, 0), 'zone' => date_default_timezone_get(),
        'ini' => ini_get_all(null, false), 'path' => get_include_path(), 'pid' => getmypid(),
        'headers' => headers_list(), 'error' => error_get_last(), 'body' => file_get_contents('php://input'),
        'constants' => get_defined_constants(true)['user'] ?? null, 'functions' => get_defined_functions()['user'],
        'classes' => array_slice(get_declared_classes(), -3), 'wrappers' => stream_get_wrappers(), 'files' => get_included_files(),
        'globals' => array_keys($GLOBALS), 'buffers' => ob_list_handlers(), 'resources' => count(get_resources()),
    ], JSON_PARTIAL_OUTPUT_ON_ERROR);
}
/** Runs a program in each of PHP's ways; what they print. */
function programs(string $command, string $file): array {
    exec($command, $lines);
    $popen = popen($command, 'r');
    $proc = proc_open($command, [1 => ['pipe', 'w']], $pipes);
    // sendmail_path is a program that writes the variable SOAK to the file that the variable SOAK_MAIL names.
    putenv("SOAK_MAIL=$file");
    mail('a@example.org', 'subject', 'body');
    $said = ['exec' => $lines[0], 'shell_exec' => shell_exec($command), 'popen' => stream_get_contents($popen),
        'proc_open' => stream_get_contents($pipes[1]), 'mail' => file_get_contents($file)];
    pclose($popen); proc_close($proc); unlink($file);
    return $said;
}
$secret = $_POST['secret'];
$number = hexdec(substr($secret, 8, 6));
$wrong = [];
$check = function (string $what, mixed $got, mixed $wanted) use (&$wrong) {
    if ($got !== $wanted) $wrong[] = "$what is " . ($GLOBALS["handled"] ?? "") . json_encode($got) . ', not ' . json_encode($wanted);
};
$seen = everything();
// As the pool has it, whatever those before and beside have done.
$check('SOAK', getenv('SOAK'), 'of the pool');
$check('cwd', getcwd(), __DIR__);
$check('umask', umask(), 022);
$check('locale', [setlocale(LC_NUMERIC, 0), setlocale(LC_TIME, 0)], ['C', 'C']);
foreach (ini_get_all() as $name => $ini) $check("ini $name", $ini['local_value'], $ini['global_value']);
$check('zone', date_default_timezone_get(), 'UTC');
$check('encoding', mb_internal_encoding(), 'UTF-8');
$check('error handler', set_error_handler(null), null);
$check('exception handler', set_exception_handler(null), null);
$check('autoloaders', spl_autoload_functions(), []);
$check('wrapper', in_array('soak', stream_get_wrappers()), false);
$check('libxml', libxml_use_internal_errors(), false);
$check('default context', stream_context_get_options(stream_context_get_default()), []);
$check('Locale', in_array(Locale::getDefault(), ['de_DE', 'fr_FR', 'ja_JP']), false);
$check('session', [session_status(), session_id()], [PHP_SESSION_NONE, '']);
// Everything becomes the request's own.
$fixed = ['pid' => getmypid(), 'file' => $_SERVER['SCRIPT_FILENAME'], 'time' => $_SERVER['REQUEST_TIME_FLOAT']];
$lock = fopen("$_GET[dir]/pid-$fixed[pid]", 'c');
$check('nobody else has this id', flock($lock, LOCK_EX | LOCK_NB), true);
$zone = ['Asia/Tokyo', 'Europe/Paris', 'America/Lima'][$number % 3];
$locale = ['C.UTF-8', 'POSIX', 'C'][$number % 3];
putenv("SOAK=$secret"); putenv("SOAK_$secret=1"); chdir($_GET['dir']); umask($number % 077);
date_default_timezone_set($zone); set_include_path("/$secret"); define('SECRET', $secret);
mb_internal_encoding('ISO-8859-1'); header("X-Secret: $secret"); http_response_code(200 + $number % 50);
$set = [setlocale(LC_NUMERIC, $locale), setlocale(LC_TIME, $locale)];
$ini = ['user_agent' => $secret, 'precision' => (string) (3 + $number % 9), 'memory_limit' => (string) ((100 << 20) + $number),
    'default_socket_timeout' => (string) (100 + $number), 'sendmail_from' => $secret];
foreach ($ini as $name => $value) ini_set($name, $value);
set_time_limit(100 + $number);
error_reporting($number | E_USER_NOTICE);
mt_srand($number); $draw = mt_rand(); mt_srand($number);
Locale::setDefault(['de_DE', 'fr_FR', 'ja_JP'][$number % 3]);
libxml_use_internal_errors(true);
stream_context_set_default(['http' => ['user_agent' => $secret]]);
class Soak { public $context; static $secret; function stream_open() { return true; } }
Soak::$secret = $secret;
stream_wrapper_register('soak', 'Soak');
spl_autoload_register(fn($class) => class_alias('Soak', $class));
set_error_handler(function ($level, $message) use ($secret) { $GLOBALS['handled'] = "$message $secret"; return true; });
register_shutdown_function(function () use ($secret) { echo "
shut down $secret"; });
ob_start(fn($text) => $text);
if (function_exists('textdomain')) textdomain($secret);
openlog($secret, LOG_PERROR, LOG_USER);
if (function_exists('pcntl_alarm')) { @pcntl_alarm(1); @pcntl_signal(SIGTERM, SIG_IGN); }
session_id($_GET['session']); session_start(['use_cookies' => false]); $_SESSION['secret'] = $secret; session_write_close();
$GLOBALS['trace'] = @$undefined[$secret];
$until = microtime(true) + $_GET['wait'] / 1e6;
do { usleep((int) ($_GET['wait'] / 4)); } while (microtime(true) < $until);
// It still is.
$check('fixed', ['pid' => getmypid(), 'file' => $_SERVER['SCRIPT_FILENAME'], 'time' => $_SERVER['REQUEST_TIME_FLOAT']], $fixed);
$check('SOAK', getenv('SOAK'), $secret);
$check('cwd', getcwd(), $_GET['dir']);
$check('umask', umask(), $number % 077);
$check('zone', date_default_timezone_get(), $zone);
$check('locale', [setlocale(LC_NUMERIC, 0), setlocale(LC_TIME, 0)], $set);
foreach ($ini as $name => $value) $check($name, ini_get($name), $value);
$check('time limit', ini_get('max_execution_time'), (string) (100 + $number));
$check('error_reporting', error_reporting(), $number | E_USER_NOTICE);
$check('mt_rand', mt_rand(), $draw);
$check('Locale', Locale::getDefault(), ['de_DE', 'fr_FR', 'ja_JP'][$number % 3]);
$check('encoding', mb_internal_encoding(), 'ISO-8859-1');
$check('status', http_response_code(), 200 + $number % 50);
$check('libxml', libxml_use_internal_errors(), true);
$check('default context', stream_context_get_options(stream_context_get_default()), ['http' => ['user_agent' => $secret]]);
$check('static', Soak::$secret, $secret);
$check('autoloader', (new ReflectionClass('Made' . $number))->getName(), 'Soak');
trigger_error('told');
$check('error handler', $handled ?? null, "told $secret");
if (function_exists('textdomain')) $check('textdomain', textdomain(null), $secret);
$check('get', $_GET['secret'], $secret);
$check('cookie', $_COOKIE['secret'], $secret);
$check('param', $_SERVER['HTTP_X_SECRET'], $secret);
session_id($_GET['session']); session_start(['use_cookies' => false]);
$check('session', $_SESSION['secret'], $secret);
session_destroy();
umask(022);
if ($_GET['shell']) {
    // It is the system's, so only now and then.
    if ($number % 50 === 0) syslog(LOG_DEBUG, "by $secret");
    foreach (programs('printf %s "$SOAK:$PWD:$(umask)"', "$_GET[dir]/mail-$secret") as $way => $said)
        $check($way, $said, "$secret:$_GET[dir]:0022");
    $p = proc_open('env', [1 => ['pipe', 'w']], $pipes);
    $seen .= stream_get_contents($pipes[1]);
    proc_close($p);
}
echo $seen, everything(), "\n";
if (($_GET['end'] ?? '') === 'fatal') undefined();
if (($_GET['end'] ?? '') === 'timeout') { set_time_limit(1); while (true); }
echo $wrong ? 'WRONG ' . implode('; ', $wrong) : 'alone';
"#;

/// A program that stands for sendmail: it tells what the programs of other functions print.
const SENDMAIL: &str = r#"cat >/dev/null; printf %s "$SOAK:$PWD:$(umask)" >"$SOAK_MAIL""#;

pub fn write(site: &Site) {
    site.file("isolation.php", SCRIPT);
    site.file("sendmail", SENDMAIL);
}

/// The pool's sendmail_path.
pub fn sendmail(site: &Site) -> String {
    format!("/bin/sh {}/sendmail", site.docroot().display())
}

/// Everything in `text` that looks like a secret.
pub fn secrets(text: &str) -> BTreeSet<&str> {
    text.match_indices("secret-").filter_map(|(at, _)| text.get(at..at + 23)).collect()
}

/// Puts the secret everywhere, and looks for others.
pub fn isolation(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let secret = format!("secret-{:016x}", rng.next_u64());
    let end = match rng.below(400) {
        0 => "timeout",
        1..50 => "fatal",
        _ => "",
    };
    let uri = format!(
        "/isolation.php?secret={secret}&session=soak{:016x}&wait={}&shell={}&dir={}&end={end}",
        rng.next_u64(),
        rng.below(40_000),
        u8::from(rng.below(10) == 0),
        world.dir.display(),
    );
    let body = format!("secret={secret}&pad={}", "x".repeat(rng.below(5000)));
    let call = Call::post(&world.site, &uri, "application/x-www-form-urlencoded", body)
        .param("HTTP_X_SECRET", secret.clone())
        .param("HTTP_COOKIE", format!("secret={secret}"));
    let answer = ask(address, &call)?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned() + &answer.error_text();
    let seen = secrets(&text);
    if seen.iter().any(|&one| one != secret) {
        return Err(Failure(format!("{secret} has seen {seen:?}")));
    }
    let own = text.contains(&format!("\nshut down {secret}")) && !text.contains("WRONG");
    if own && (!end.is_empty() || text.contains("\nalone")) {
        return Ok(());
    }
    Err(match text.split_once("WRONG ") {
        Some((_, what)) => Failure(what.to_owned()),
        None => wrong(&format!("no end, {end}"), &answer),
    })
}

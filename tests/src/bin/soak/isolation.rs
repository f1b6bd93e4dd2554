//! What belongs to one request and is never another one's: each client has a secret, and puts it everywhere.

use std::collections::BTreeSet;

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Failure, Outcome, World, ask, wrong};

/// A script that prints everything it sees, puts the secret everywhere, waits, and prints everything again.
const SCRIPT: &str = r#"<?php
function everything(): string {
    return json_encode([
        'env' => getenv(), 'SOAK' => getenv('SOAK'), '_ENV' => $_ENV, '_SERVER' => $_SERVER, '_GET' => $_GET, '_POST' => $_POST,
        '_COOKIE' => $_COOKIE, '_FILES' => $_FILES, '_REQUEST' => $_REQUEST, '_SESSION' => $_SESSION ?? null,
        'cwd' => getcwd(), 'umask' => umask(), 'locale' => setlocale(LC_ALL, 0), 'zone' => date_default_timezone_get(),
        'agent' => ini_get('user_agent'), 'path' => get_include_path(), 'pid' => getmypid(),
        'headers' => headers_list(), 'error' => error_get_last(), 'body' => file_get_contents('php://input'),
        'constants' => get_defined_constants(true)['user'] ?? null, 'encoding' => mb_internal_encoding(),
    ]);
}
$secret = $_POST['secret'];
$wrong = [];
$check = function (string $what, mixed $got, mixed $wanted) use (&$wrong) {
    if ($got !== $wanted) $wrong[] = "$what is " . json_encode($got) . ', not ' . json_encode($wanted);
};
$seen = everything();
$check('SOAK', getenv('SOAK'), 'of the pool');
$check('cwd', getcwd(), __DIR__);
$check('locale', setlocale(LC_NUMERIC, 0), 'C');
$check('agent', ini_get('user_agent'), '');
$check('zone', date_default_timezone_get(), 'UTC');
$umask = umask();
$mine = 020 + ord($secret[9]) % 8;
$zone = ['Asia/Tokyo', 'Europe/Paris', 'America/Lima'][ord($secret[8]) % 3];
$locale = ['C.UTF-8', 'POSIX'][ord($secret[10]) % 2];
putenv("SOAK=$secret"); putenv("SOAK_$secret=1"); chdir($_GET['dir']); umask($mine);
date_default_timezone_set($zone); ini_set('user_agent', $secret); set_include_path("/$secret"); define('SECRET', $secret);
mb_internal_encoding('ISO-8859-1'); header("X-Secret: $secret");
$set = setlocale(LC_NUMERIC, $locale);
session_id($_GET['session']); session_start(['use_cookies' => false]); $_SESSION['secret'] = $secret; session_write_close();
$GLOBALS['trace'] = @$undefined[$secret];
$until = microtime(true) + $_GET['wait'] / 1e6;
do { usleep((int) ($_GET['wait'] / 4)); } while (microtime(true) < $until);
$check('SOAK', getenv('SOAK'), $secret);
$check('cwd', getcwd(), $_GET['dir']);
$check('umask', umask(), $mine);
$check('zone', date_default_timezone_get(), $zone);
$check('agent', ini_get('user_agent'), $secret);
$check('locale', setlocale(LC_NUMERIC, 0), $set);
$check('get', $_GET['secret'], $secret);
$check('cookie', $_COOKIE['secret'], $secret);
$check('param', $_SERVER['HTTP_X_SECRET'], $secret);
session_id($_GET['session']); session_start(['use_cookies' => false]);
$check('session', $_SESSION['secret'], $secret);
session_destroy();
if ($_GET['shell']) {
    $check('program', shell_exec('printf %s "$SOAK"'), $secret);
    $p = proc_open('env; pwd; umask', [1 => ['pipe', 'w']], $pipes);
    $seen .= stream_get_contents($pipes[1]);
    proc_close($p);
}
echo $seen, everything(), "\n";
if (($_GET['end'] ?? '') === 'fatal') undefined();
echo $wrong ? 'WRONG ' . implode('; ', $wrong) : 'alone';
"#;

pub fn write(site: &Site) {
    site.file("isolation.php", SCRIPT);
}

/// Everything in `text` that looks like a secret.
fn secrets(text: &str) -> BTreeSet<&str> {
    text.match_indices("secret-").filter_map(|(at, _)| text.get(at..at + 23)).collect()
}

/// Puts the secret everywhere, and looks for others.
pub fn isolation(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let secret = format!("secret-{:016x}", rng.next_u64());
    let fatal = rng.below(8) == 0;
    let uri = format!(
        "/isolation.php?secret={secret}&session=soak{:016x}&wait={}&shell={}&dir={}{}",
        rng.next_u64(),
        rng.below(40_000),
        u8::from(rng.below(10) == 0),
        world.dir.display(),
        if fatal { "&end=fatal" } else { "" }
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
    let right = if fatal { seen.contains(&secret[..]) && !text.contains("WRONG") } else { text.contains("\nalone") };
    if right {
        return Ok(());
    }
    Err(Failure(match text.split_once("WRONG ") {
        Some((_, what)) => what.to_owned(),
        None => return Err(wrong(if fatal { "fatal" } else { "no end" }, &answer)),
    }))
}

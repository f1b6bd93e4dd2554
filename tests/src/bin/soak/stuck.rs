//! Scripts that would never end: the server ends them, and their clients get whole answers.

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Failure, Outcome, World, ask, wrong};

/// By name, what each does.
const SCRIPTS: &[(&str, &str)] = &[
    ("sleep", "sleep(600);"),
    ("usleep", "while (true) usleep(100000);"),
    ("loop", "set_time_limit(0); while (true) { $x = 1; }"),
    ("calls", "set_time_limit(0); function f() { return 1; } while (true) f();"),
    ("memory", "set_time_limit(0); while (true) { $a = range(1, 10000); }"),
    (
        "flock",
        "$f = tempnam(sys_get_temp_dir(), 'f'); $a = fopen($f, 'r'); flock($a, LOCK_EX); $b = fopen($f, 'r'); unlink($f); flock($b, LOCK_EX);",
    ),
    ("socket", "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($a, 1);"),
    (
        "select",
        "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); $r = [$a]; $w = $e = [];
        while (true) stream_select($r, $w, $e, 600);",
    ),
    ("accept", "$s = stream_socket_server('tcp://127.0.0.1:0'); stream_socket_accept($s, 600);"),
    (
        "http",
        "$s = stream_socket_server('tcp://127.0.0.1:0'); file_get_contents('http://' . stream_socket_get_name($s, false));",
    ),
    (
        "curl",
        "$s = stream_socket_server('tcp://127.0.0.1:0'); $c = curl_init('http://' . stream_socket_get_name($s, false));
        curl_exec($c);",
    ),
    (
        "curl_multi",
        "$s = stream_socket_server('tcp://127.0.0.1:0'); $c = curl_init('http://' . stream_socket_get_name($s, false));
        $m = curl_multi_init(); curl_multi_add_handle($m, $c); do { curl_multi_exec($m, $on); curl_multi_select($m); } while ($on);",
    ),
    ("shell", "shell_exec('sleep 60');"),
    ("proc_open", "$p = proc_open('sleep 60', [1 => ['pipe', 'w']], $pipes); stream_get_contents($pipes[1]);"),
    ("proc_close", "proc_close(proc_open('sleep 60', [], $pipes));"),
    ("popen", "putenv('SOAK=mine'); $p = popen('sleep 60', 'r'); fgets($p);"),
    ("fork", "exec('sleep 60');"),
    ("ignored", "ignore_user_abort(true); try { while (true) usleep(50000); } finally { echo 'x'; }"),
    ("caught", "while (true) { try { sleep(600); } catch (Throwable) {} }"),
    ("shutdown", "register_shutdown_function(function () { sleep(600); });"),
    ("shutdown_loop", "register_shutdown_function(function () { while (true) { $x = 1; } });"),
    ("destructor", "class D { function __destruct() { sleep(600); } } $d = new D;"),
    ("buffer", "ob_start(function ($s) { while (true) usleep(10000); return $s; }); echo 'x';"),
    ("generator", "function g() { while (true) yield 1; } foreach (g() as $x) {}"),
    ("sort", "$a = range(1, 50); while (true) usort($a, function ($a, $b) { usleep(100); return $a - $b; });"),
    ("fiber", "$f = new Fiber(function () { while (true) sleep(600); }); $f->start();"),
    (
        "fibers",
        "$f = []; for ($i = 0; $i < 20; $i++) { $f[$i] = new Fiber(function () { while (true) Fiber::suspend(1); }); $f[$i]->start(); }
        while (true) foreach ($f as $one) $one->resume();",
    ),
    (
        "session",
        "class H extends SessionHandler { function write(string $id, string $data): bool { while (true) usleep(10000); } }
        session_set_save_handler(new H); session_id(bin2hex(random_bytes(8))); session_start(); $_SESSION['x'] = 1;",
    ),
    (
        "output",
        "echo str_repeat('x', 100000); flush(); while (true) usleep(10000);",
    ),
];

/// A search that takes some seconds inside C code, and is left to itself before its end.
const SEARCH: &str = "ini_set('pcre.jit', 0); ini_set('pcre.backtrack_limit', '400000000');
    preg_match('/^(a+)+$/', str_repeat('a', 60) . 'b'); while (true) usleep(1000);";

/// One of so many is a search: it takes a whole processor.
const SEARCHES: usize = 40;

pub fn write(site: &Site) {
    for (name, script) in SCRIPTS.iter().chain(&[("search", SEARCH)]) {
        site.file(&format!("stuck_{name}.php"), format!("<?php {script}"));
    }
}

/// One of them.
pub fn stuck(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let name = match rng.below(SEARCHES) {
        0 => "search",
        _ => SCRIPTS[rng.below(SCRIPTS.len())].0,
    };
    let named = |Failure(what)| Failure(format!("{name}: {what}"));
    let answer = ask(address, &Call::get(&world.site, &format!("/stuck_{name}.php"))).map_err(named)?;
    if answer.app_status == 0 {
        return Err(wrong(name, &answer));
    }
    Ok(())
}

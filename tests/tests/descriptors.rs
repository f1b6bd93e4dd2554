//! What programs inherit that scripts start: nothing of other requests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// Starts a program in one of all ways, and returns what it writes.
const RUN: &str = r#"
function run(string $how, string $command): string {
    $from = function (string|array $command) {
        $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w']], $pipes);
        $text = stream_get_contents($pipes[1]);
        proc_close($process);
        return $text;
    };
    switch ($how) {
        case 'shell_exec': return (string) shell_exec($command);
        case 'exec': exec($command, $lines); return implode("\n", $lines);
        case 'passthru': ob_start(); passthru($command); return ob_get_clean();
        case 'popen': $p = popen($command, 'r'); $text = stream_get_contents($p); pclose($p); return $text;
        case 'popen after putenv': putenv('OWN=1'); $p = popen($command, 'r'); $text = stream_get_contents($p); pclose($p); return $text;
        case 'proc_open': return $from($command);
        case 'proc_open of a list': return $from(['sh', '-c', $command]);
    }
}
"#;

const WAYS: [&str; 7] =
    ["shell_exec", "exec", "passthru", "popen", "popen after putenv", "proc_open", "proc_open of a list"];

/// A program that runs on in the background until the file `$dir/go` is there.
const WAIT: &str = "sh -c 'i=0; until [ -e DIR/go ] || [ $i -gt 600 ]; do sleep 0.1; i=$((i+1)); done; touch DIR/ended' >/dev/null 2>&1 &";

fn send(server: &Server, uri: &str) -> Conn {
    let mut conn = server.connect();
    conn.send(Call::get(server.site(), uri).encode(1));
    conn
}

fn wait_for(path: &Path) {
    eventually(&format!("{}", path.display()), || path.exists());
}

#[test]
fn what_a_request_holds_no_program_of_another_keeps() {
    let site = Site::new();
    site.file(
        "hold.php",
        format!(
            "{PHP_WAIT_FOR}
            $dir = $_GET['dir'];
            $file = fopen(\"$dir/held\", 'c'); flock($file, LOCK_EX);
            $reads = popen('cat >/dev/null', 'w');
            $cat = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes);
            [$one, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            touch(\"$dir/holds\"); wait_for(\"$dir/started\");
            fclose($file);
            // Under php-fpm, cat has the other pipe open, since that was there before.
            fclose($pipes[0]); stream_get_contents($pipes[1]); proc_close($cat);
            pclose($reads);
            fclose($one); fgetc($other);
            echo 'released';"
        ),
    );
    let script = format!("<?php {RUN} echo run($_GET['how'], str_replace('DIR', $_GET['dir'], $_GET['command']));");
    site.file("run.php", script);
    site.file("lock.php", "<?php echo flock(fopen(\"$_GET[dir]/held\", 'c'), LOCK_EX | LOCK_NB) ? 'locked' : 'held';");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(4)));
    for how in WAYS {
        let dir = site.unique("dir");
        let run = |command: &str| {
            let encoded: String = command.bytes().map(|byte| format!("%{byte:02x}")).collect();
            server
                .get(&format!("/run.php?how={}&dir={}&command={encoded}", how.replace(' ', "+"), dir.display()))
                .text()
        };
        let mut holder = send(&server, &format!("/hold.php?dir={}", dir.display()));
        wait_for(&dir.join("holds"));
        let inherited = run("ls -l /proc/self/fd");
        assert!(inherited.contains(" 1 -> "), "{how}: {inherited}");
        assert!(!inherited.contains("/held"), "{how}: {inherited}");
        run(WAIT);
        fs::write(dir.join("started"), "").expect("started");
        assert_eq!(holder.answer(1).text(), "released", "{how}");
        assert_eq!(server.get(&format!("/lock.php?dir={}", dir.display())).text(), "locked", "{how}");
        assert!(!dir.join("ended").exists(), "{how}: the program ran on");
        fs::write(dir.join("go"), "").expect("go");
        wait_for(&dir.join("ended"));
    }
    server.stop();
}

#[test]
fn a_file_that_is_closed_is_not_locked_while_others_start_programs() {
    let site = Site::new();
    site.file("program.php", "<?php shell_exec('true'); proc_close(proc_open('true', [], $pipes)); echo 'run';");
    site.file(
        "lock.php",
        "<?php $locked = 0;
        for ($i = 0; $i < 1000; $i++) { $file = fopen($_GET['file'], 'c'); $locked += flock($file, LOCK_EX | LOCK_NB); fclose($file); }
        echo $locked;",
    );
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(5)));
    let load = Load::start(4, server.address(), &Call::get(&site, "/program.php"), |answer| answer.text() == "run");
    let uri = format!("/lock.php?file={}/file", site.writable("dir").display());
    for _ in 0..20 {
        assert_eq!(server.get(&uri).text(), "1000");
    }
    let outcome = load.end();
    assert_eq!((outcome.broken, outcome.failures), (0, Vec::new()));
    server.stop();
}

#[test]
fn a_stream_of_popen_ends_before_one_that_was_opened_after_putenv() {
    let site = Site::new();
    let dir = site.writable("dir");
    let dir = dir.display();
    let wait = format!("i=0; until [ -e {dir}/go ] || [ $i -gt 600 ]; do sleep 0.1; i=$((i+1)); done");
    let script = format!(
        "<?php $a = popen('cat >/dev/null', 'w'); putenv('X=1'); $b = popen(<<<'END'\n{wait}\nEND, 'r');
        pclose($a); touch('{dir}/go'); pclose($b);
        $c = popen('cat >/dev/null', 'w'); putenv('X'); $d = popen('cat >/dev/null', 'w'); pclose($c); pclose($d);
        echo 'closed';"
    );
    site.file("popen.php", script);
    let server = Server::start(&site, ServerConfig::default());
    assert_eq!(server.get("/popen.php").text(), "closed");
    server.stop();
}

/// Each descriptor of the spec is the program's, whatever its number.
const NUMBERS: &str = r#"<?php
$wrong = [];
// Several numbers from ten on would not do: PHP copies one over the other if they are taken in its own process.
foreach ([[3], [5], [3, 5], [5, 3], [3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3], [30], [100, 20]] as $numbers) {
    foreach ([false, true] as $list) {
        $spec = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]];
        $command = 'cat /proc/self/fd/0';
        foreach ($numbers as $i => $n) {
            $spec[$n] = match ($i % 3) {0 => ['pipe', 'w'], 1 => ['socket'], 2 => ['file', "$_GET[dir]/$n-" . getmypid(), 'w']};
            $command .= $n > 9 ? "; echo $n > /proc/self/fd/$n" : "; echo $n >&$n";
        }
        // A socket cannot be opened by its name under /proc.
        foreach ($numbers as $i => $n) if ($n > 9 && $i % 3 == 1) $command = str_replace("echo $n > /proc/self/fd/$n", 'true', $command);
        $process = proc_open($list ? ['sh', '-c', $command] : $command, $spec, $pipes);
        foreach ($numbers as $i => $n) {
            $got = match ($i % 3) {0 => stream_get_contents($pipes[$n]), 1 => $n > 9 ? "$n\n" : fgets($pipes[$n]), 2 => null};
            if ($i % 3 != 2 && $got !== "$n\n") $wrong[] = "$n of " . implode(',', $numbers) . ': ' . json_encode($got);
        }
        $said = stream_get_contents($pipes[1]);
        if ($said !== '' || proc_close($process) !== 0) $wrong[] = implode(',', $numbers) . ": $said";
        foreach ($numbers as $i => $n) {
            if ($i % 3 == 2 && file_get_contents("$_GET[dir]/$n-" . getmypid()) !== "$n\n") $wrong[] = "file $n";
        }
    }
}
echo $wrong ? json_encode($wrong) : 'right';
"#;

#[test]
fn programs_of_proc_open_get_the_descriptors_they_are_to_have() {
    let site = Site::new();
    site.file("numbers.php", NUMBERS);
    let dir = site.writable("dir");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(4)));
    let uri = format!("/numbers.php?dir={}", dir.display());
    assert_eq!(server.get(&uri).text(), "right");
    // Those that are open elsewhere in the process come and go.
    let load = Load::start(3, server.address(), &Call::get(&site, &uri), |answer| answer.text() == "right");
    load.wait_for(30);
    let outcome = load.end();
    assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    server.stop();
}

#[test]
fn programs_of_libraries_get_what_those_mean_for_them() {
    only_php_ftm!("the extension is built for it");
    let site = Site::new();
    let object = extension::build("ftmlibrary");
    let dir = site.writable("dir");
    site.file(
        "hold.php",
        format!(
            "{PHP_WAIT_FOR} $file = fopen('{dir}/held', 'c'); $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            touch('{dir}/holds'); wait_for('{dir}/go'); echo 'held';",
            dir = dir.display()
        ),
    );
    let script = format!(
        "<?php
        echo library_start('fork', 'ls -l /proc/self/fd >{dir}/fork; echo by fork >/proc/self/fd/$1'), ', ',
            library_start('spawn', 'ls -l /proc/self/fd >{dir}/spawn; echo by spawn >&9'), ', ',
            library_start('system', 'ls -l /proc/self/fd >{dir}/system');",
        dir = dir.display()
    );
    site.file("library.php", script);
    let pool = PoolConfig::new("www").children(2).set("php_admin_value[extension]", &object.display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut holder = send(&server, "/hold.php");
    wait_for(&dir.join("holds"));
    assert_eq!(server.get("/library.php").text(), "by fork\n, by spawn\n, 0");
    for how in ["fork", "spawn", "system"] {
        let inherited = fs::read_to_string(dir.join(how)).expect("what ls has written");
        assert!(inherited.contains(" 1 -> "), "{how}: {inherited}");
        assert!(!inherited.contains("/held") && !inherited.contains("socket:"), "{how}: {inherited}");
    }
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(holder.answer(1).text(), "held");
    server.stop();
}

#[test]
fn signals_that_the_server_was_to_ignore_end_programs() {
    let site = Site::new();
    site.file("ignored.php", "<?php echo shell_exec('grep SigIgn /proc/self/status');");
    let wrapper = site.dir().join("ignoring");
    let program = Kind::under_test().program();
    fs::write(&wrapper, format!("#!/bin/sh\ntrap '' INT QUIT TERM USR1 USR2\nexec {} \"$@\"\n", program.display()))
        .expect("a wrapper");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("chmod");
    let server = Server::start(&site, ServerConfig::default().program(&wrapper));
    let text = server.get("/ignored.php").text();
    let ignored = text.split_once("SigIgn:").map(|(_, mask)| mask.trim()).expect("a mask");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    for (name, number) in [("INT", 2), ("QUIT", 3), ("USR1", 10), ("USR2", 12), ("TERM", 15), ("CHLD", 17)] {
        assert_eq!(ignored >> (number - 1) & 1, 0, "SIG{name} in {text}");
    }
    server.stop();
}

#[test]
fn no_script_loses_what_it_says_because_another_does_not_wait() {
    only_php_ftm!("php-fpm's scripts share the pipe only with those of their process");
    let site = Site::new();
    site.file("unwilling.php", "<?php echo (int) stream_set_blocking(fopen('php://stderr', 'w'), false);");
    let script = "<?php $log = fopen('php://stderr', 'w'); $lost = 0;
        for ($i = 0; $i < 5000; $i++) $lost += fwrite($log, str_repeat('x', 99) . \"\\n\") === 100 ? 0 : 1;
        echo \"$lost lost\";";
    site.file("says.php", script);
    let pool = PoolConfig::new("www").children(1).set("catch_workers_output", "yes");
    let server = Server::start(&site, ServerConfig::pool(pool).log_to_file());
    assert_eq!(server.get("/unwilling.php").text(), "1");
    assert_eq!(server.get("/says.php").text(), "0 lost");
    server.stop();
}

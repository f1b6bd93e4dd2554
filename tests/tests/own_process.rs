//! What a script does to "its process" is done to its request, not to those beside it.

use std::collections::HashSet;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

fn server(site: &Site) -> Server {
    Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(4)))
}

#[test]
fn each_thread_has_an_id_of_its_own() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = Site::new();
    let dir = site.writable("dir");
    let script = "touch(\"$_GET[dir]/$_GET[n]\"); wait_for(\"$_GET[dir]/go\"); echo getmypid(), ' ', posix_getpid(), ' ', \
                  (int) posix_kill(getmypid(), 0);";
    site.file("id.php", format!("{PHP_WAIT_FOR}{script}"));
    site.file("threads.php", "<?php echo implode(' ', array_column(fpm_get_status()['procs'], 'pid'));");
    let server = server(&site);
    let mut conns: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for (n, conn) in conns.iter_mut().enumerate() {
        conn.send(Call::get(&site, &format!("/id.php?n={n}&dir={}", dir.display())).encode(1));
    }
    eventually("all run", || (0..4).all(|n| dir.join(n.to_string()).exists()));
    std::fs::write(dir.join("go"), "").expect("go");
    let answers: Vec<String> = conns.iter_mut().map(|conn| conn.answer(1).text()).collect();
    let ids: HashSet<&str> = answers.iter().map(|answer| answer.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(ids.len(), 4, "{answers:?}");
    for answer in &answers {
        let words: Vec<&str> = answer.split(' ').collect();
        assert_eq!((words[0], words[2]), (words[1], "1"), "{answer}");
    }
    let listed = server.get("/threads.php").text();
    assert!(ids.iter().all(|id| listed.split(' ').any(|pid| pid == *id)), "{ids:?} in {listed}");
    server.stop();
}

#[test]
fn a_signal_to_itself_ends_the_request_only() {
    let site = Site::new();
    for (name, pid, signal) in [
        ("term", "getmypid()", "SIGTERM"),
        ("kill", "posix_getpid()", "SIGKILL"),
        ("usr1", "(int) basename(readlink('/proc/self'))", "SIGUSR1"),
        ("group", "0", "SIGINT"),
    ] {
        site.file(&format!("{name}.php"), format!("<?php posix_kill({pid}, {signal}); echo 'survived';"));
    }
    site.file("hello.php", "<?php echo 'hello';");
    only_php_ftm!("php-fpm's process ends, and the connection with it");
    let server = server(&site);
    let workers = server.workers();
    for name in ["term", "kill", "usr1", "group"] {
        let answer = server.get(&format!("/{name}.php"));
        assert!(!answer.text().contains("survived"), "{name}: {}", answer.text());
        assert_eq!(server.get("/hello.php").text(), "hello");
    }
    assert_eq!(server.workers(), workers);
    server.stop();
}

#[test]
fn what_would_act_on_all_requests_is_refused() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = Site::new();
    let script = "<?php
        $calls = ['pcntl_fork' => [], 'pcntl_exec' => ['/bin/true'], 'pcntl_signal' => [SIGALRM, 'x'], 'pcntl_alarm' => [1],
            'pcntl_wait' => [&$status], 'pcntl_waitpid' => [0, &$status], 'pcntl_waitid' => [], 'pcntl_sigwaitinfo' => [[SIGTERM]],
            'pcntl_sigtimedwait' => [[SIGTERM]], 'pcntl_unshare' => [0], 'pcntl_setpriority' => [1], 'pcntl_setcpuaffinity' => [null, [0]],
            'posix_setsid' => [], 'posix_setpgid' => [0, 0], 'posix_setuid' => [0], 'posix_setegid' => [0],
            'posix_initgroups' => ['root', 0], 'posix_setrlimit' => [POSIX_RLIMIT_CORE, 0, 0]];
        foreach ($calls as $name => $args) {
            if (!function_exists($name)) continue;
            error_clear_last();
            $result = @$name(...$args);
            $types = explode('|', (new ReflectionFunction($name))->getReturnType());
            $fits = in_array(get_debug_type($result), $types) || in_array(json_encode($result), $types);
            echo $name, ' ', json_encode($result), $fits ? ' as declared ' : ' of another type ', error_get_last()['message'] ?? 'no warning', \"\\n\";
        }
        echo 'end';";
    site.file("refused.php", script);
    let server = server(&site);
    let workers = server.workers();
    let text = server.get("/refused.php").text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"end"), "{text}");
    assert!(lines.len() > 2, "{text}");
    for line in &lines[..lines.len() - 1] {
        let refused = line.contains("Refused: the process is that of all requests of the pool");
        let failed = line.contains(" -1 ") || line.contains(" false ") || line.starts_with("pcntl_alarm 0 ");
        assert!(refused && failed && line.contains(" as declared "), "{line}");
    }
    assert_eq!(server.workers(), workers);
    server.stop();
}

#[test]
fn signals_that_a_script_blocks_stay_the_servers() {
    let site = Site::new();
    let script = "<?php $all = [SIGTERM, SIGQUIT, SIGUSR1]; $before = 'nothing';
        echo json_encode([pcntl_sigprocmask(SIG_BLOCK, $all, $before), $before]), json_encode(pcntl_sigprocmask(SIG_UNBLOCK, $all));";
    site.file("mask.php", script);
    site.file("none.php", "<?php echo function_exists('pcntl_sigprocmask') ? '' : 'none';");
    let server = server(&site);
    if server.get("/none.php").text() != "none" {
        assert_eq!(server.get("/mask.php").text(), "[true,[]]true");
    }
    server.stop();
}

#[test]
fn programs_that_scripts_leave_do_not_stay_as_zombies() {
    only_php_ftm!("php-fpm's workers have them until they end");
    let site = Site::new();
    site.file("leave.php", "<?php for ($i = 0; $i < 5; $i++) proc_open('exec true', [], $pipes);");
    site.file("hello.php", "<?php echo 'hello';");
    let server = server(&site);
    for _ in 0..10 {
        server.get("/leave.php");
    }
    // A thread lets go of them after its next request.
    eventually("none is left", || {
        server.meet(4);
        server.workers().into_iter().all(|pid| proc::children(pid).is_empty())
    });
    server.stop();
}

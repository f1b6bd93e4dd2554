//! `request_terminate_timeout`: what goes on in spite of an interrupt, and where a thread is not to be given up for it.

use ftm_tests::*;

fn pool() -> PoolConfig {
    PoolConfig::new("www").children(2).set("request_terminate_timeout", "1s")
}

/// Each script is answered with 504, and not by giving up its thread, but as `figure` counts.
#[track_caller]
fn check_ended(config: ServerConfig, scripts: &[(&str, &str)], figure: &str) {
    let site = Site::new();
    let room = site.unique("room");
    site.file("figure.php", "<?php echo ftm_get_status()['abandoned-threads'], ' ', ftm_get_status()[$_GET['name']];");
    for (name, script) in scripts {
        site.file(&format!("{name}.php"), format!("<?php {}", script.replace("{room}", &room.display().to_string())));
    }
    let server = Server::start(&site, config.ini("display_errors = 0"));
    let before = server.workers();
    for (name, _) in scripts {
        let answer = server.get(&format!("/{name}.php"));
        assert_eq!((answer.web().status, answer.app_status), (504, 1), "{name}: {}", answer.text());
    }
    // Counted soon after the answer.
    let figures = || server.get(&format!("/figure.php?name={figure}")).text();
    eventually("all are counted", || figures() == format!("0 {}", scripts.len()));
    assert_eq!(server.workers(), before, "the same process");
    server.stop();
}

#[test]
fn machine_code_is_ended() {
    only_php_ftm!("php-fpm kills the process");
    const SCRIPTS: &[(&str, &str)] = &[
        ("loop", "set_time_limit(0); for ($i = 0; ; $i++) { $x = $i * 3 % 7; }"),
        ("calls", "set_time_limit(0); function f($i) { return $i * 3 % 7; } for ($i = 0; ; $i++) { $x = f($i); }"),
        ("recursion", "set_time_limit(0); function r($n) { return $n ? r($n - 1) : 0; } while (true) r(1000);"),
        ("callback", "set_time_limit(0); $a = [2, 1]; usort($a, function () { while (true); });"),
    ];
    for mode in ["tracing", "function"] {
        let config = ServerConfig::pool(pool()).ini("zend_extension = opcache").ini("opcache.jit_buffer_size = 8M");
        check_ended(config.ini(&format!("opcache.jit = {mode}")), SCRIPTS, "kills-by-error");
    }
}

#[test]
fn calls_that_php_repeats_after_a_signal_are_ended() {
    only_php_ftm!("php-fpm kills the process");
    const SCRIPTS: &[(&str, &str)] = &[
        ("sleep", "time_sleep_until(time() + 600);"),
        (
            "semaphore",
            "$a = sem_get(crc32('{room}')); register_shutdown_function(fn() => sem_remove($a));
            sem_acquire($a); sem_acquire(sem_get(crc32('{room}')));",
        ),
        (
            "sqlite",
            "[$a, $b] = [new SQLite3('{room}/a'), new SQLite3('{room}/a')]; $a->exec('BEGIN EXCLUSIVE');
            $b->busyTimeout(600_000); $b->exec('BEGIN EXCLUSIVE');",
        ),
        (
            "pdo",
            "[$a, $b] = [new PDO('sqlite:{room}/b'), new PDO('sqlite:{room}/b')]; $a->exec('BEGIN EXCLUSIVE');
            $b->exec('BEGIN EXCLUSIVE');",
        ),
    ];
    check_ended(ServerConfig::pool(pool()), SCRIPTS, "kills-by-error");
}

#[test]
fn sqlite_waits_for_a_lock_as_long_as_it_is_told() {
    let site = Site::new();
    let file = site.unique("room").join("db").display().to_string();
    site.file(
        "lock.php",
        format!(
            "<?php [$a, $b] = [new SQLite3('{file}'), new SQLite3('{file}')]; $a->exec('BEGIN EXCLUSIVE');
            foreach ([0, 30, 700] as $ms) {{
                $b->busyTimeout($ms);
                $began = hrtime(true);
                $locked = @$b->exec('BEGIN EXCLUSIVE') ? 'free' : $b->lastErrorMsg();
                $took = (hrtime(true) - $began) / 1e6;
                echo $locked, $took >= $ms * 0.9 ? '' : \" after $took ms\", ', ';
            }}
            $a->exec('COMMIT');
            echo $b->exec('BEGIN EXCLUSIVE') ? 'free' : 'locked';"
        ),
    );
    let server = Server::start(&site, ServerConfig::default());
    let locked = "database is locked, ".repeat(3);
    assert_eq!(server.get("/lock.php").text(), format!("{locked}free"));
    server.stop();
}

#[test]
fn a_socket_is_shut_down_before_its_thread_is_given_up() {
    only_php_ftm!("php-fpm kills the process");
    // Without anything to be ended, requests are looked at as often as every third of the time.
    let pool = pool().set("request_terminate_timeout", "4s").set("force_kill_deadline", "1s");
    let script = "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($a, 1);";
    check_ended(ServerConfig::pool(pool), &[("socket", script)], "kills-by-socket");
}

#[test]
fn what_a_script_leaves_behind_holds_up_neither_its_client_nor_others() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    site.file("hello.php", "<?php echo 'hello';");
    site.file(
        "stuck.php",
        "<?php for ($i = 0; $i < 100; $i++) register_shutdown_function(function () { while (true) sleep(600); });
        ob_start(function ($text) { while (true) sleep(600); }); header_register_callback(function () { sleep(600); });
        sleep(600);",
    );
    let server = Server::start(&site, ServerConfig::pool(pool().children(1)));
    let before = server.workers();
    let answer = server.get("/stuck.php");
    assert_eq!((answer.web().status, answer.app_status), (504, 1), "{}", answer.text());
    assert_eq!(server.get("/hello.php").text(), "hello");
    assert_eq!(server.workers(), before, "the same process");
    server.stop();
}

#[test]
fn a_silent_name_server_is_not_waited_for() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    let Some(name_server) = SilentNameServer::start(&site) else {
        return wait::skipped("a name server, and the change to it, take root");
    };
    let config = ServerConfig::pool(pool()).program(&name_server.program(Kind::PhpFtm));
    const SCRIPTS: &[(&str, &str)] = &[
        ("gethostbyname", "gethostbyname('nowhere.example');"),
        ("http", "file_get_contents('http://nowhere.example/');"),
        ("dns_get_record", "dns_get_record('nowhere.example', DNS_MX);"),
    ];
    check_ended(config, SCRIPTS, "kills-by-socket");
}

#[test]
fn what_c_code_holds_is_not_lost() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    // mysqli builds its exception, which calls functions, before it closes its socket.
    let connect = "<?php $s = stream_socket_server('tcp://127.0.0.1:0');
        new mysqli('127.0.0.1', 'root', '', '', (int) explode(':', stream_socket_get_name($s, false))[1]);";
    site.file("connect.php", connect);
    site.file("loop.php", "<?php array_map('usleep', array_fill(0, 100_000, 10_000));");
    let server = Server::start(&site, ServerConfig::pool(pool()).ini("display_errors = 0"));
    server.meet(2);
    let before = server.counts();
    for name in ["connect", "loop", "connect", "loop"] {
        assert_eq!(server.get(&format!("/{name}.php")).web().status, 504, "{name}");
    }
    server.wait_nothing_lost(&before);
    server.stop();
}

#[test]
fn a_header_callback_that_hangs_costs_no_answer() {
    only_php_ftm!("php-fpm kills the process");
    let config = ServerConfig::pool(pool().set("request_terminate_timeout_track_finished", "yes"));
    let callback = "header_register_callback(function () { while (true) sleep(600); });";
    let output = format!("{callback} echo 'x';");
    check_ended(config, &[("late", callback), ("output", &output)], "kills-by-error");
}

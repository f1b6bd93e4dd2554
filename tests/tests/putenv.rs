//! `putenv()`: each request has an environment of its own, and the programs that it starts get it.

use std::fs;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// What a request finds in its environment, and what programs do that it starts in every way.
const SHOW: &str = r#"<?php
function programs($name) {
    $found = [shell_exec("printf %s \"\$$name\""), exec("printf %s \"\$$name\"")];
    ob_start(); passthru("printf %s \"\$$name\""); $found[] = ob_get_clean();
    $pipe = popen("printf %s \"\$$name\"", 'r'); $found[] = stream_get_contents($pipe); $found[] = pclose($pipe);
    foreach ([["printf %s \"\$$name\"", null], [['sh', '-c', "printf %s \"\$$name\""], null], ["printf %s \"\$$name\"", [$name => 'given']]] as [$command, $env]) {
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes, null, $env);
        $found[] = stream_get_contents($pipes[1]); $found[] = proc_close($process);
    }
    return json_encode($found);
}
"#;

fn site() -> Site {
    let site = Site::new();
    site.file("show.php", SHOW);
    site
}

#[test]
fn it_is_php_fpms() {
    let site = site();
    let steps = [
        "getenv('A'), getenv('B'), getenv('C')",
        "putenv('A=changed'), getenv('A'), getenv('A', true), programs('A')",
        "putenv('B'), getenv('B'), programs('B')",
        "putenv('C=new=x'), putenv('C='), getenv('C'), programs('C')",
        "putenv('A=1'), putenv('A=2'), putenv('A'), getenv('A'), putenv('A=3'), getenv('A')",
        "putenv('NEW=1'), array_diff_key(getenv(), $_SERVER, ['FCGI_ROLE' => 1])",
        "putenv('A=lazy'), $_ENV['A'] ?? 'none', getenv()['A']",
        "putenv('A=of the script'), getenv('REQUEST_METHOD'), putenv('REQUEST_METHOD=X'), getenv('REQUEST_METHOD'), getenv('REQUEST_METHOD', true)",
        "putenv('odd name=1'), putenv('d.t=1'), putenv('7=seven'), getenv('odd name'), getenv()['7'] ?? 0, isset(getenv()['d.t'])",
        "getenv('A'), getenv('B'), getenv('C'), getenv('NEW'), programs('A')",
    ];
    for (n, step) in steps.iter().enumerate() {
        site.file(&format!("step{n}.php"), format!("<?php include 'show.php'; echo json_encode([{step}]);"));
    }
    let pool = PoolConfig::new("www").children(1).set("env[A]", "of the pool").set("env[B]", "two");
    let pool = pool.set("php_admin_value[variables_order]", "EGPCS");
    let answers = |kind| {
        let server = Server::start_as(kind, &site, ServerConfig::pool(pool.clone()));
        (0..steps.len()).map(|n| server.get(&format!("/step{n}.php")).text()).collect::<Vec<_>>()
    };
    let (reference, tested) = (answers(Kind::PhpFpm), answers(Kind::under_test()));
    for ((step, reference), tested) in steps.iter().zip(&reference).zip(&tested) {
        assert_eq!(reference, tested, "{step}");
    }
}

#[test]
fn requests_beside_each_other_do_not_see_each_others() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = site();
    let script = "<?php include 'show.php';
        $begun = getenv('MINE') . getenv('POOL');
        putenv('MINE=' . $_GET['n']); putenv('POOL');
        usleep(random_int(0, 500));
        $programs = programs('MINE');
        $right = $begun === 'pools' && getenv('MINE') === $_GET['n'] && getenv('POOL') === false
            && $programs === str_replace('N', $_GET['n'], '[\"N\",\"N\",\"N\",\"N\",0,\"N\",0,\"N\",0,\"given\",0]');
        echo $right ? 'right' : \"$begun $programs \" . json_encode(getenv());";
    site.file("mine.php", script);
    let pool = PoolConfig::new("www").children(6).set("env[POOL]", "pools");
    let server = Server::start(&site, ServerConfig::pool(pool));
    let before = server.counts();
    let loads: Vec<_> = (0..3)
        .map(|n| {
            let call = Call::get(&site, &format!("/mine.php?n=value{n}")).keep();
            Load::start(2, server.address(), &call, |answer| answer.text() == "right")
        })
        .collect();
    loads.iter().for_each(|load| load.wait_for(60));
    for load in loads {
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    }
    server.wait_nothing_lost(&before);
    server.stop();
}

#[test]
fn sqlites_temporary_files_are_where_the_pool_says() {
    only_php_ftm!("php-fpm's process keeps what its first request says");
    let site = Site::new();
    let [of_pool, of_request, state] = ["of-pool", "of-request", "state"].map(|name| site.writable(name));
    let script = "putenv('SQLITE_TMPDIR=OF_REQUEST'); putenv('TMPDIR=OF_REQUEST');
        $db = new SQLite3(':memory:');
        $db->exec('pragma temp_store = 1; pragma cache_size = 1; pragma cache_spill = 1; create temp table t (x)');
        for ($n = 0; $n < 300; $n++) $db->exec('insert into t values (randomblob(9000))');
        touch(\"STATE/$_GET[n]\"); wait_for('STATE/go'); echo 'done';";
    let script =
        script.replace("OF_REQUEST", &of_request.display().to_string()).replace("STATE", &state.display().to_string());
    site.file("sqlite.php", format!("{PHP_WAIT_FOR}{script}"));
    let pool = PoolConfig::new("www").children(2).set("env[SQLITE_TMPDIR]", &of_pool.display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut conns: Vec<Conn> = (0..2)
        .map(|n| {
            let mut conn = server.connect();
            conn.send(Call::get(&site, &format!("/sqlite.php?n={n}")).encode(1));
            eventually("its table is filled", || state.join(n.to_string()).exists());
            conn
        })
        .collect();
    let files: Vec<String> = proc::fds(server.workers()[0]).into_iter().filter(|fd| fd.contains("etilqs_")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|file| file.starts_with(&of_pool.display().to_string())), "{files:?}");
    fs::write(state.join("go"), "").expect("go");
    conns.iter_mut().for_each(|conn| assert_eq!(conn.answer(1).text(), "done"));
    server.stop();
}

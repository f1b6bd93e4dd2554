//! `putenv()`: each request has an environment of its own, and the programs that it starts get it.

use ftm_tests::fcgi::Call;
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

//! What scripts and the programs they start find in their environment: `env[]`, `clear_env`, the pool's user.

use ftm_tests::*;

/// The names in the order in which they are found, then values; what the request's params add is left out.
const SCRIPT: &str = r#"<?php
$params = ['SCRIPT_NAME', 'SCRIPT_FILENAME', 'REQUEST_METHOD', 'QUERY_STRING', 'REQUEST_URI', 'DOCUMENT_ROOT',
    'SERVER_PROTOCOL', 'GATEWAY_INTERFACE', 'REMOTE_ADDR', 'SERVER_NAME', 'FCGI_ROLE', 'PHP_SELF',
    'REQUEST_TIME_FLOAT', 'REQUEST_TIME', 'argv', 'argc'];
$own = fn(array $all) => array_diff_key($all, array_flip($params));
$show = fn(array $all) => implode(' ', array_map(fn($k, $v) => "$k=$v", array_keys($all), $all));
echo 'server: ', $show($own($_SERVER)), "\n";
echo 'env: ', $show($own($_ENV)), "\n";
echo 'getenv: ', $show($own(getenv())), "\n";
foreach (explode(' ', $_GET['ask'] ?? '') as $name) echo "$name: ", var_export(getenv($name), true), "\n";
exec('env', $lines);
$lines = preg_grep('/^(PWD|OLDPWD|_|SHLVL)=/', $lines, PREG_GREP_INVERT);
sort($lines);
echo 'program: ', implode(' ', $lines), "\n";"#;

/// What a pool shows that is started by a master with these variables.
fn shown(pool: PoolConfig, master: &[(&str, &str)], ini: &str, ask: &str) -> Vec<String> {
    let site = Site::new();
    site.file("env.php", SCRIPT);
    let config = ServerConfig::pool(pool.children(1)).ini(ini);
    let config = master.iter().fold(config, |config, (name, value)| config.env(name, value));
    let server = Server::start(&site, config);
    let first = server.get(&format!("/env.php?ask={ask}")).text();
    assert_eq!(server.get(&format!("/env.php?ask={ask}")).text(), first, "the next request finds the same");
    first.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// USER and HOME as a pool has them: those of the user that root makes it, or that it stays.
fn user_and_home() -> String {
    let uid = nix::unistd::geteuid();
    let user = if uid.is_root() { nix::unistd::User::from_name("www-data") } else { nix::unistd::User::from_uid(uid) };
    user.expect("users").map_or_else(String::new, |user| format!(" USER={} HOME={}", user.name, user.dir.display()))
}

fn sorted(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

#[test]
fn the_masters_environment_is_cleared() {
    let pool = PoolConfig::new("www")
        .set("env[FIRST]", "1")
        .set("env[TAKEN]", "$GIVEN")
        .set("env[MISSING]", "$NOT_THERE")
        .set("env[INSIDE]", "x$GIVEN")
        .set("env[quoted]", "'a;b'");
    let master = [("GIVEN", "from-master"), ("SECRET", "s")];
    let lines = shown(pool, &master, "variables_order = EGPCS", "FIRST%20SECRET%20PATH%20MISSING%20first");
    // From the last to the first.
    let own = format!("quoted=a;b INSIDE=x$GIVEN MISSING= TAKEN=from-master FIRST=1{}", user_and_home());
    let expected = [
        format!("server: {own}"),
        format!("env: {own}"),
        format!("getenv: {own}"),
        "FIRST: '1'".into(),
        "SECRET: false".into(),
        "PATH: false".into(),
        "MISSING: ''".into(),
        "first: false".into(),
        format!("program: {}", sorted(&own)),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_masters_environment_is_kept() {
    let pool = PoolConfig::new("www").set("clear_env", "no").set("env[ADDED]", "1").set("env[GIVEN]", "changed");
    let master = [("GIVEN", "from-master"), ("KEPT", "k")];
    let lines = shown(pool, &master, "variables_order = GPCS", "KEPT%20GIVEN%20ADDED");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let names = |line: &str| sorted(line.split_once(": ").expect("a line").1);
    let own = sorted(&format!("{path} GIVEN=changed KEPT=k ADDED=1{}", user_and_home()));
    assert_eq!(names(&lines[0]), own);
    assert_eq!(lines[1], "env:", "as variables_order says");
    assert_eq!(names(&lines[2]), own);
    assert_eq!(lines[3..6], ["KEPT: 'k'", "GIVEN: 'changed'", "ADDED: '1'"]);
    assert_eq!(names(&lines[6]), own);
}

#[test]
fn user_and_home_can_be_set() {
    let pool = PoolConfig::new("www").set("env[HOME]", "/elsewhere").set("env[USER]", "nobody-else");
    let lines = shown(pool, &[("USER", "master"), ("HOME", "/master")], "variables_order = EGPCS", "HOME%20USER");
    assert_eq!(lines[0], "server: USER=nobody-else HOME=/elsewhere");
    assert_eq!(lines[3..5], ["HOME: '/elsewhere'", "USER: 'nobody-else'"]);
    assert_eq!(lines[5], "program: HOME=/elsewhere USER=nobody-else");
}

#[test]
fn of_duplicates_the_first_wins() {
    let pool = PoolConfig::new("www").set("env[TWICE]", "first\nenv[OTHER] = o\nenv[TWICE] = second");
    let lines = shown(pool, &[], "variables_order = EGPCS", "TWICE");
    assert_eq!(lines[3], "TWICE: 'first'");
}

#[test]
fn pools_have_their_own_environments_at_the_same_time() {
    let site = Site::new();
    let script = "wait_for($_GET['dir'] . '/' . $_GET['other']); echo getenv('POOL'), ' ', exec('echo $POOL');";
    site.file("env.php", format!("{PHP_WAIT_FOR}touch($_GET['dir'] . '/' . getenv('POOL')); {script}"));
    let dir = site.writable("state");
    let one = PoolConfig::new("one").set("env[POOL]", "$pool").children(2);
    let two = PoolConfig::new("two").set("env[POOL]", "$pool").children(2);
    let server = Server::start(&site, ServerConfig::pool(one).and_pool(two));
    let ask = |pool: &str, other: &str| {
        let mut conn = fcgi::Conn::open(server.address_of(pool));
        let uri = format!("/env.php?dir={}&other={other}", dir.display());
        conn.send(fcgi::Call::get(&site, &uri).encode(1));
        conn
    };
    let (mut one, mut two) = (ask("one", "two"), ask("two", "one"));
    assert_eq!(one.answer(1).text(), "one one");
    assert_eq!(two.answer(1).text(), "two two");
}

#[test]
fn where_memory_comes_from_is_said_by_the_masters_environment() {
    let site = Site::new();
    site.file("memory.php", "<?php echo memory_get_usage() > 0 ? \"PHP's own\" : 'malloc', ' ', var_export(getenv('USE_ZEND_ALLOC'), true);");
    let answer = |config: ServerConfig| Server::start(&site, config).get("/memory.php").text();
    assert_eq!(answer(ServerConfig::default()), "PHP's own false");
    // It is PHP's, not the scripts'.
    assert_eq!(answer(ServerConfig::default().env("USE_ZEND_ALLOC", "0")), "malloc false");
}

//! Pools of different users: what a script of one can get at of another, tried as an attacker would.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;
use nix::unistd::User;

/// Tries everything and prints a line for each success.
const INTRUDE: &str = r#"<?php
$pid = (int) $_GET['pid'];
$own = getmypid();
function got(string $what, $found): void {
    if ($found !== false && $found !== null && $found !== '' && $found !== []) echo "$what\n";
}
// Files, by any way around the root.
foreach ($_GET['files'] as $file) {
    foreach ([$file, "/../../../../../../../..$file", "/proc/$pid/root$file", "/proc/$pid/cwd/../../../../../../../..$file",
              "/proc/1/root$file"] as $path) {
        got("read $path", @file_get_contents($path));
    }
    $link = sys_get_temp_dir() . "/link-$own-" . crc32($file);
    if (@symlink($file, $link)) got("read by a link $file", @file_get_contents($link));
    if (@link($file, "$link-hard")) got("read by a hard link $file", @file_get_contents("$link-hard"));
}
// The process: environment, memory, descriptors.
foreach (["/proc/$pid", ...@glob("/proc/$pid/task/*") ?: []] as $proc) {
    foreach (['environ', 'mem', 'maps', 'auxv', 'stack', 'syscall'] as $name) {
        $file = @fopen("$proc/$name", 'r');
        got("open $proc/$name", $file ? (string) @fread($file, 1) . ($name === 'mem' ? 'opened' : '') : false);
    }
    foreach (['root', 'cwd', 'exe'] as $name) got("readlink $proc/$name", @readlink("$proc/$name"));
    got("list $proc/fd", @scandir("$proc/fd"));
    for ($fd = 0; $fd < 64; $fd++) got("descriptor $proc/fd/$fd", @readlink("$proc/fd/$fd"));
}
// What was left open in this process.
for ($fd = 0; $fd < 2048; $fd++) {
    $target = @readlink("/proc/self/fd/$fd");
    if ($target !== false && $target[0] === '/' && !str_starts_with($target, '/dev/') && $target !== __FILE__) {
        got("read $target, left open", @file_get_contents("/proc/self/fd/$fd"));
    }
}
// Its socket.
got('connect', @stream_socket_client("unix://$_GET[socket]"));
// Tracing (PTRACE_ATTACH) and signals.
$attach = function (int $pid, string $number): bool {
    @exec("perl -e 'exit(syscall($number, 16, $pid, 0, 0) == 0 ? 0 : 1)' 2>/dev/null", $output, $code);
    return $code === 0;
};
$number = php_uname('m') === 'x86_64' ? '101' : '117';
got('trace', $attach($pid, $number));
foreach (['STOP', 'USR1', 'KILL'] as $signal) {
    @exec("kill -$signal $pid 2>/dev/null", $output, $code);
    got("kill -$signal", $code === 0);
}
// The environment that both come from.
got('environment', getenv('SECRET'));
ob_start(); phpinfo(INFO_ENVIRONMENT | INFO_VARIABLES); $info = ob_get_clean();
got('phpinfo', str_contains($info, 'the secret'));
"#;

/// A process id that no process has.
const NOBODY: &str = "999999999";

/// A file with a secret that only this user may read, in a directory that only he may enter.
fn hide(dir: &Path, user: &User) -> PathBuf {
    let file = dir.join("private/secret");
    site::mkdir(file.parent().expect("a directory"));
    fs::write(&file, "the secret").expect("a file");
    for (path, mode) in [(&*file, 0o600), (file.parent().expect("a directory"), 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("chown");
    }
    file
}

/// Root, and the users that pools run as: the victim and the intruder.
fn users() -> Option<(User, User)> {
    if !nix::unistd::geteuid().is_root() {
        wait::skipped("it takes root to have pools of several users");
        return None;
    }
    let user = |name| User::from_name(name).expect("users").unwrap_or_else(|| panic!("a user {name}"));
    Some((user("www-data"), user("games")))
}

/// What a pool gets of the pool `victim` when one or both have a root of their own.
fn intrude(victim_root: bool, intruder_root: bool) {
    let Some((owner, _)) = users() else { return };
    let site = Site::new();
    let jail = |name: &str| {
        let jail = site.dir().join(name);
        site::mkdir(&jail);
        site::mkdir(&jail.join("tmp"));
        fs::set_permissions(jail.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
        fs::write(jail.join("intrude.php"), INTRUDE).expect("a script");
        fs::write(jail.join("pid.php"), "<?php echo getmypid();").expect("a script");
        jail
    };
    let (victims, intruders) = (jail("victims"), jail("intruders"));
    let secret = hide(&victims, &owner);
    // The secret as the victim's own scripts name it.
    let own = if victim_root { "/private/secret".to_owned() } else { secret.display().to_string() };

    let pool = |name: &str, jail: &Path, chrooted: bool| {
        let pool = PoolConfig::new(name).children(1);
        if chrooted { pool.set("chroot", &jail.display().to_string()) } else { pool }
    };
    let victim = pool("victim", &victims, victim_root)
        .set("listen.mode", "0600")
        .set("listen.owner", "www-data")
        .set("env[SECRET]", "the secret");
    let intruder = pool("intruder", &intruders, intruder_root).set("user", "games").set("group", "games");
    let config = ServerConfig::pool(victim).and_pool(intruder).ini("max_execution_time = 60");
    let server = Server::start(&site, config);
    // The harness catches the log in a file that everybody may read: not so here.
    fs::set_permissions(server.room().join("output.log"), fs::Permissions::from_mode(0o600)).expect("chmod");

    let ask = |pool: &str, jail: &Path, chrooted: bool, script: &str, query: &str| {
        let root = if chrooted { String::new() } else { jail.display().to_string() };
        let call = Call::get(&site, script).param("SCRIPT_FILENAME", format!("{root}{script}"));
        Conn::open(server.address_of(pool)).call(1, &call.param("QUERY_STRING", query)).text()
    };
    let pid = ask("victim", &victims, victim_root, "/pid.php", "");
    let socket = server.address_of("victim").to_string();
    let log = server.room().join("error.log").display().to_string();
    let query =
        |file: &str| format!("pid={pid}&socket={socket}&files[]={file}&files[]={log}&files[]={}", secret.display());

    // The same attempts succeed where they may: in the victim's own pool.
    let allowed = ask("victim", &victims, victim_root, "/intrude.php", &query(&own).replace(&pid, NOBODY));
    for success in [&format!("read {own}\n"), "environment\n", "phpinfo\n"] {
        assert!(allowed.contains(success), "{success:?} is not in: {allowed}");
    }
    assert_eq!(allowed.contains("connect\n"), !victim_root, "{allowed}");

    let found = ask("intruder", &intruders, intruder_root, "/intrude.php", &query("/private/secret"));
    assert_eq!(found, "", "the intruder got something");
    assert_eq!(ask("victim", &victims, victim_root, "/pid.php", ""), pid, "the victim is well");
}

#[test]
fn a_pool_gets_nothing_of_another_users_pool() {
    intrude(false, false);
}

#[test]
fn a_pool_in_a_chroot_gets_nothing_of_another_users_pool() {
    intrude(false, true);
}

#[test]
fn a_pool_gets_nothing_of_another_users_pool_in_a_chroot() {
    intrude(true, false);
}

#[test]
fn a_pool_in_a_chroot_gets_nothing_of_another_in_its_own() {
    intrude(true, true);
}

#[test]
fn tracing_is_tried_in_a_way_that_works() {
    let site = Site::new();
    let script = r#"<?php
        $number = php_uname('m') === 'x86_64' ? '101' : '117';
        $tracer = '$child = fork(); if (!$child) { sleep 60; exit } $got = syscall(' . $number . ', 16, $child, 0, 0);'
            . ' kill 9, $child; exit($got == 0 ? 0 : 1)';
        exec('perl -e ' . escapeshellarg($tracer), $output, $code);
        echo $code;"#;
    site.file("trace.php", script);
    let server = Server::start(&site, ServerConfig::default());
    assert_eq!(server.get("/trace.php").text(), "0");
}

#[test]
fn a_pool_holds_no_socket_of_another() {
    let site = Site::new();
    let config = ServerConfig::default().and_pool(PoolConfig::new("other")).and_pool(PoolConfig::new("third").tcp());
    let server = Server::start(&site, config);
    let listening = |pid: u32| proc::fds(pid).into_iter().filter(|fd| fd.starts_with("socket:")).collect::<Vec<_>>();
    let masters = listening(server.pid());
    // A worker of php-fpm closes what is not its own only after it was forked.
    let shared = |pid: u32| listening(pid).into_iter().filter(|fd| masters.contains(fd)).count();
    eventually("each has its own, of the master's three", || server.workers().into_iter().all(|pid| shared(pid) == 1));
}

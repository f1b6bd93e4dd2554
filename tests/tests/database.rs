//! A script that waits for a real database: logged as slow, then ended, without any capability that ptrace needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;
use nix::unistd::Uid;

/// What a server needs to change to the pool's user; nothing else is left to it.
const KEPT: &str = "-all,+setuid,+setgid,+kill,+chown";

/// php-ftm without capabilities.
fn confined(site: &Site) -> PathBuf {
    let program = Kind::PhpFtm.program();
    let confine = match Uid::effective().is_root() {
        true => format!("setpriv --bounding-set={KEPT} --inh-caps={KEPT} "),
        false => String::new(),
    };
    let script = site.dir().join("php-ftm");
    fs::write(&script, format!("#!/bin/sh\nexec {confine}{} \"$@\"\n", program.display())).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("chmod");
    script
}

#[test]
fn a_script_that_waits_for_mariadb_is_logged_and_ended() {
    only_php_ftm!("php-fpm stops the process by ptrace, and kills it");
    let site = Site::new();
    let database = MariaDb::start(&site);
    let socket = database.socket().display();
    site.file(
        "now.php",
        format!(
            "<?php $db = new mysqli('localhost', 'root', '', '', 0, '{socket}');
        echo $db->query('SELECT 40 + 2')->fetch_row()[0];"
        ),
    );
    site.file(
        "mysqli.php",
        format!(
            "<?php $db = new mysqli('localhost', 'root', '', '', 0, '{socket}');
        function report($db) {{ return $db->query('SELECT SLEEP(600)'); }}
        report($db);"
        ),
    );
    site.file(
        "pdo.php",
        format!(
            "<?php $db = new PDO('mysql:unix_socket={socket}', 'root');
        $db->query('SELECT SLEEP(600)');"
        ),
    );
    let log = site.writable("logs").join("slow.log");
    let pool = PoolConfig::new("www")
        .children(2)
        .set("slowlog", &log.display().to_string())
        .set("request_slowlog_timeout", "1s")
        .set("request_terminate_timeout", "2s");
    let server = Server::start(&site, ServerConfig::pool(pool).program(&confined(&site)));
    let workers = server.workers();
    for (uri, frames) in [
        ("/mysqli.php", &["query() ", "/mysqli.php:2\n", "report() ", "/mysqli.php:3\n"][..]),
        ("/pdo.php", &["query() ", "/pdo.php:2\n"]),
    ] {
        assert_eq!(server.get("/now.php").text(), "42");
        let answer = server.get(uri);
        assert_eq!(answer.web().status, 504, "{uri}: {}", answer.text());
        let entries = fs::read_to_string(&log).expect("the slowlog");
        let entry = entries.rsplit("\n\n").next().unwrap_or_default();
        let mut rest = entry;
        for frame in frames {
            let (_, after) = rest.split_once(frame).unwrap_or_else(|| panic!("{uri}: no {frame:?} in {entry}"));
            rest = after;
        }
    }
    assert_eq!(server.get("/now.php").text(), "42");
    assert_eq!(server.workers(), workers, "the same process");
    server.stop();
}

#[test]
fn persistent_connections_end_with_a_script_that_is_ended() {
    only_php_ftm!("php-fpm kills the process");
    let site = Site::new();
    let database = MariaDb::start(&site);
    site.file(
        "persistent.php",
        format!(
            "<?php try {{ $db = new mysqli('p:localhost', 'root', '', '', 0, '{}'); $db->query('SELECT SLEEP(600)'); }}
            catch (Throwable $e) {{ echo $e->getMessage(); }}",
            database.socket().display()
        ),
    );
    let pool = PoolConfig::new("www").set("request_terminate_timeout", "1s");
    let server = Server::start(&site, ServerConfig::pool(pool));
    server.meet(4);
    let before = server.counts();
    let mut conns: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    conns.iter_mut().for_each(|conn| conn.send(Call::get(&site, "/persistent.php").encode(1)));
    for mut conn in conns {
        assert_eq!(conn.answer(1).web().status, 504);
    }
    server.wait_nothing_lost(&before);
    server.stop();
}

#[test]
fn persistent_connections_end_with_a_script_that_another_one_has_ended() {
    only_php_ftm!("under php-fpm, posix_kill() kills the process");
    let site = Site::new();
    let database = MariaDb::start(&site);
    let id = site.writable("ids").join("id");
    site.file(
        "persistent.php",
        format!(
            "<?php $db = new mysqli('p:localhost', 'root', '', '', 0, '{}');
            file_put_contents('{}.new', getmypid()); rename('{1}.new', '{1}');
            try {{ $db->query('SELECT SLEEP(600)'); }} catch (Throwable $e) {{ exit; }}",
            database.socket().display(),
            id.display()
        ),
    );
    site.file("kill.php", "<?php var_dump(posix_kill((int) $_GET['id'], 15));");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(2)));
    server.meet(2);
    let before = server.counts();
    let mut waits = server.connect();
    waits.send(Call::get(&site, "/persistent.php").encode(1));
    eventually("the script runs", || id.exists());
    let id = fs::read_to_string(id).expect("its id");
    assert_eq!(server.get(&format!("/kill.php?id={id}")).text(), "bool(true)\n");
    waits.answer(1);
    server.wait_nothing_lost(&before);
    server.stop();
}

//! Locks of records, by which SQLite guards a database: no request cancels those of another, and other processes meet them.

use std::path::Path;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// Steps of a connection to the database `$dir/db`: between them, the script waits for a file.
const HOLD: &str = r#"
$dir = $_GET['dir'];
$db = new SQLite3("$dir/db");
$db->exec('PRAGMA journal_mode = ' . $_GET['mode']);
$db->exec('CREATE TABLE IF NOT EXISTS t(x)');
$db->exec($_GET['begin']);
$rows = $db->query('SELECT * FROM t'); $rows->fetchArray();
touch("$dir/holds-$_GET[n]"); wait_for("$dir/go-$_GET[n]");
$rows->finalize();
echo $db->exec('COMMIT') ? 'done' : $db->lastErrorMsg();
"#;

const READ: &str = r#"<?php foreach (glob("$_GET[dir]/db*") as $file) strlen(file_get_contents($file)); echo 'read';"#;

/// Whether another transaction may begin now.
const TRY: &str = r#"<?php
$db = new SQLite3("$_GET[dir]/db");
echo @$db->exec($_GET['begin']) ? 'free' : $db->lastErrorMsg();
"#;

struct Room {
    server: Server,
    dir: std::path::PathBuf,
}

impl Room {
    /// Two pools: their processes are others.
    fn new() -> Self {
        let site = Site::new();
        site.file("hold.php", format!("{PHP_WAIT_FOR}{HOLD}"));
        site.file("read.php", READ);
        site.file("try.php", TRY);
        let dir = site.writable("dir");
        let config = ServerConfig::pool(PoolConfig::new("www").children(3));
        let server = Server::start(&site, config.and_pool(PoolConfig::new("other").children(1)));
        Self { server, dir }
    }

    fn uri(&self, script: &str, query: &str) -> String {
        format!("/{script}.php?dir={}&{query}", self.dir.display())
    }

    /// A request that holds its locks until [`Self::release`].
    fn hold(&self, n: usize, mode: &str, begin: &str) -> Conn {
        let mut conn = self.server.connect();
        let uri = self.uri("hold", &format!("n={n}&mode={mode}&begin={begin}"));
        conn.send(Call::get(self.server.site(), &uri).encode(1));
        let holds = self.dir.join(format!("holds-{n}"));
        eventually("the locks are held", || holds.exists());
        conn
    }

    fn release(&self, n: usize, mut conn: Conn) {
        std::fs::write(self.dir.join(format!("go-{n}")), "").expect("go");
        assert_eq!(conn.answer(1).text(), "done");
    }

    fn read(&self) {
        assert_eq!(self.server.get(&self.uri("read", "")).text(), "read");
    }

    fn try_here(&self, begin: &str) -> String {
        self.server.get(&self.uri("try", &format!("begin={begin}"))).text()
    }

    fn try_elsewhere(&self, begin: &str) -> String {
        let mut conn = Conn::open(self.server.address_of("other"));
        conn.call(1, &Call::get(self.server.site(), &self.uri("try", &format!("begin={begin}")))).text()
    }
}

#[test]
fn who_reads_the_file_does_not_cancel_the_locks_of_others() {
    let room = Room::new();
    for (n, mode) in ["delete", "wal", "truncate"].into_iter().enumerate() {
        let conn = room.hold(n, mode, "BEGIN+IMMEDIATE");
        for _ in 0..2 {
            assert_eq!(room.try_elsewhere("BEGIN+IMMEDIATE"), "database is locked", "{mode}");
            assert_eq!(room.try_here("BEGIN+IMMEDIATE"), "database is locked", "{mode}");
            room.read();
        }
        room.release(n, conn);
        assert_eq!(room.try_elsewhere("BEGIN+EXCLUSIVE"), "free", "{mode}");
        assert_eq!(room.try_here("BEGIN+EXCLUSIVE"), "free", "{mode}");
    }
    room.server.stop();
}

#[test]
fn a_lock_stays_until_the_last_connection_lets_go_of_it() {
    let room = Room::new();
    let first = room.hold(1, "delete", "BEGIN");
    let second = room.hold(2, "delete", "BEGIN");
    room.release(1, first);
    room.read();
    assert_eq!(room.try_elsewhere("BEGIN+EXCLUSIVE"), "database is locked");
    assert_eq!(room.try_elsewhere("BEGIN+IMMEDIATE"), "free");
    let third = room.hold(3, "delete", "BEGIN");
    room.release(2, second);
    room.read();
    assert_eq!(room.try_elsewhere("BEGIN+EXCLUSIVE"), "database is locked");
    room.release(3, third);
    assert_eq!(room.try_elsewhere("BEGIN+EXCLUSIVE"), "free");
    assert_eq!(room.try_here("BEGIN+EXCLUSIVE"), "free");
    room.server.stop();
}

#[test]
fn writers_of_two_processes_lose_nothing() {
    let site = Site::new();
    let dir = site.writable("dir");
    let file = dir.join("db").display().to_string();
    site.file(
        "make.php",
        format!(
            "<?php $db = new SQLite3('{file}'); $db->exec('CREATE TABLE t(x)'); $db->exec('INSERT INTO t VALUES (0)');"
        ),
    );
    site.file(
        "count.php",
        format!(
            "<?php $db = new SQLite3('{file}'); $db->busyTimeout(20_000);
            $made = $db->exec('UPDATE t SET x = x + 1');
            echo $made && strlen(file_get_contents('{file}')) > 0 ? 'counted' : $db->lastErrorMsg();"
        ),
    );
    site.file(
        "total.php",
        format!("<?php $db = new SQLite3('{file}'); echo $db->querySingle('SELECT x FROM t'), $db->querySingle('PRAGMA integrity_check');"),
    );
    let config = ServerConfig::pool(PoolConfig::new("www").children(3));
    let server = Server::start(&site, config.and_pool(PoolConfig::new("other").children(2)));
    server.get("/make.php");
    let before = server.counts();
    let call = Call::get(&site, "/count.php");
    let right = |answer: &fcgi::Answer| answer.text() == "counted";
    let loads =
        [Load::start(3, server.address(), &call, right), Load::start(2, server.address_of("other"), &call, right)];
    loads.iter().for_each(|load| load.wait_for(100));
    let mut counted = 0;
    for load in loads {
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
        counted += outcome.answered;
    }
    assert_eq!(server.get("/total.php").text(), format!("{counted}ok"));
    server.wait_nothing_lost(&before);
    server.stop();
}

#[test]
fn requests_exclude_each_other_from_a_whole_file() {
    only_php_ftm!("the extension is built for it");
    let site = Site::new();
    let dir = site.writable("dir");
    let object = extension::build("ftmlibrary");
    let file = dir.join("file").display().to_string();
    let hold = "$fd = library_lock('FILE', 0, 0); touch('DIR/holds'); wait_for('DIR/go'); echo library_close($fd) ? 'closed' : 'not';";
    let hold = hold.replace("FILE", &file).replace("DIR", &dir.display().to_string());
    site.file("hold.php", format!("{PHP_WAIT_FOR}{hold}"));
    let lock = format!(
        "<?php @file_get_contents('{file}'); foreach ([[0, 0], [5, 1]] as $part) {{
            $fd = library_lock('{file}', ...$part); echo $fd === false ? 'held ' : 'free '; if ($fd !== false) library_close($fd);
        }}"
    );
    site.file("lock.php", lock);
    let pool =
        |name| PoolConfig::new(name).children(2).set("php_admin_value[extension]", &object.display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool("www")).and_pool(pool("other")));
    let both = |expected: &str| {
        for pool in ["www", "other"] {
            let mut conn = Conn::open(server.address_of(pool));
            assert_eq!(conn.call(1, &Call::get(&site, "/lock.php")).text(), expected, "{pool}");
        }
    };
    let before = server.counts();
    let mut holder = server.connect();
    holder.send(Call::get(&site, "/hold.php").encode(1));
    eventually("the lock is held", || Path::exists(&dir.join("holds")));
    both("held held ");
    std::fs::write(dir.join("go"), "").expect("go");
    assert_eq!(holder.answer(1).text(), "closed");
    both("free free ");
    server.wait_nothing_lost(&before);
    server.stop();
}

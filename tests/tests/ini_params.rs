//! Settings that come with a request, in PHP_VALUE and PHP_ADMIN_VALUE.

use std::fs;

use ftm_tests::fcgi::{Call, Record, kind};
use ftm_tests::*;

/// A site with scripts about functions that may be disabled.
fn functions_site() -> Site {
    let site = Site::new();
    site.file("exec.php", "<?php echo function_exists('exec') ? exec('echo executed') : 'no such function';");
    site.file("calls.php", "<?php try { echo exec('echo executed'); } catch (Error $e) { echo $e->getMessage(); }");
    site.file("kept.php", "<?php echo opcache_is_script_cached(__DIR__ . '/calls.php') ? 'on' : 'off';");
    site.file("recycles.php", "<?php echo ftm_get_status()['recycles'];");
    site
}

fn recycles(server: &Server) -> u32 {
    server.get("/recycles.php").text().parse().expect("a number")
}

#[test]
fn a_script_whose_client_leaves_at_once_never_runs_without_its_open_basedir() {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
ignore_user_abort(true);
file_put_contents($_GET['log'], '[' . ini_get('open_basedir') . "]\n", FILE_APPEND);
echo 'noted';"#;
    site.file("note.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let base = site.dir().display().to_string();
    let log = dir.join("log");
    // The complaint about the first entry finds the client gone, and must not keep the second from being set.
    let call = Call::get(&site, &format!("/note.php?log={}", log.display()))
        .param("PHP_VALUE", "no.such_entry=1")
        .param("PHP_ADMIN_VALUE", format!("open_basedir={base}"));
    let abort = Record::new(kind::ABORT_REQUEST, 1, []).encode();
    for n in 0..600 {
        let mut conn = server.connect();
        // Every second one is read together with the request.
        let abort = if n % 2 == 0 { &abort[..] } else { &[] };
        conn.send([&call.encode(1), abort].concat());
    }
    server.meet(4);
    let answer = server.call(&call);
    assert_eq!(answer.text(), "noted");
    let complaint = "Passing INI directive through FastCGI: unable to set 'no.such_entry'";
    assert!(answer.error_text().contains(complaint), "{}", answer.error_text());
    let noted = fs::read_to_string(&log).expect("the log");
    assert!(noted.lines().all(|line| line == format!("[{base}]")), "{noted}");
}

#[test]
fn functions_disabled_by_a_request_are_disabled_for_that_request() {
    only_php_ftm!("php-fpm disables them for all later requests of the worker, and crashes with opcache");
    let site = functions_site();
    let pool = PoolConfig::new("www").children(1).set("php_admin_value[zend_extension]", "opcache");
    for opcache in ["off", "on"] {
        let pool = pool.clone().set("php_flag[opcache.enable]", opcache);
        let server = Server::start(&site, ServerConfig::pool(pool).ini("opcache.file_update_protection = 0"));
        // Compiled, and kept by opcache, while the function is there.
        assert_eq!([server.get("/exec.php").text(), server.get("/calls.php").text()], ["executed", "executed"]);
        assert_eq!(server.get("/kept.php").text(), opcache);
        let workers = server.workers();
        let mut replaced = 0;
        for name in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
            for list in ["exec", "system,exec", "system, exec"] {
                let what = format!("{name} {list}, opcache {opcache}");
                let with = |uri: &str| Call::get(&site, uri).param(name, format!("disable_functions=\"{list}\""));
                assert_eq!(server.call(&with("/exec.php")).text(), "no such function", "{what}");
                // Its only thread, or the one that has taken its place.
                assert_eq!(server.get("/exec.php").text(), "executed", "after {what}");
                assert_eq!(server.call(&with("/calls.php")).text(), "Call to undefined function exec()", "{what}");
                assert_eq!(server.get("/calls.php").text(), "executed", "after {what}");
                replaced += 2;
                eventually("its thread is replaced", || recycles(&server) == replaced);
            }
        }
        assert_eq!(server.workers(), workers, "the process is the first one");
    }
}

#[test]
fn functions_disabled_by_a_request_stay_with_the_others() {
    only_php_ftm!("php-fpm has no threads");
    let site = functions_site();
    let dir = site.writable("state");
    let script = format!(
        "{PHP_WAIT_FOR}touch('{0}/runs'); wait_for('{0}/go'); echo function_exists('exec') ? exec('echo executed') : 'none';",
        dir.display()
    );
    site.file("wait.php", script);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(2)));
    let mut conn = server.connect();
    let call = Call::get(&site, "/wait.php").param("PHP_ADMIN_VALUE", "disable_functions=exec");
    conn.send(call.encode(1));
    eventually("the script runs", || dir.join("runs").exists());
    assert_eq!(server.get("/exec.php").text(), "executed", "on the other thread, at the same time");
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(conn.answer(1).text(), "none");
    server.meet(2);
    for _ in 0..4 {
        assert_eq!(server.get("/exec.php").text(), "executed");
    }
}

#[test]
fn functions_that_the_pool_disables_stay_disabled() {
    let site = functions_site();
    let pool = PoolConfig::new("www").children(1).set("php_admin_value[disable_functions]", "exec");
    let server = Server::start(&site, ServerConfig::pool(pool));
    for value in ["disable_functions=", "disable_functions=system", "precision=3"] {
        let call = Call::get(&site, "/exec.php").param("PHP_ADMIN_VALUE", value);
        assert_eq!(server.call(&call).text(), "no such function", "{value}");
        assert_eq!(server.get("/exec.php").text(), "no such function", "after {value}");
    }
}

#[test]
fn classes_cannot_be_disabled_by_a_request() {
    only_php_ftm!("php-fpm disables them for all later requests of the worker");
    let site = functions_site();
    site.file("class.php", "<?php echo (new ArrayObject([1, 2]))->count();");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let answer = server.call(&Call::get(&site, "/class.php").param("PHP_ADMIN_VALUE", "disable_classes=ArrayObject"));
    let complaint = "all threads share their classes: set it in the pool, with php_admin_value[disable_classes]";
    assert!(answer.error_text().contains(complaint), "{}", answer.error_text());
    assert_eq!([answer.text(), server.get("/class.php").text()], ["2", "2"]);
    assert_eq!(recycles(&server), 0);
}

#[test]
fn a_script_goes_back_to_the_settings_of_its_request() {
    let site = Site::new();
    let script = r#"<?php
ini_set('precision', '5');
ini_restore('precision');
ini_restore('open_basedir');
echo ini_get('precision'), ' ', ini_get_all(null, true)['precision']['global_value'], ' ', ini_get('open_basedir');"#;
    site.file("restore.php", script);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)).ini("precision = 14"));
    let base = site.dir().display().to_string();
    let call =
        Call::get(&site, "/restore.php").param("PHP_VALUE", format!("precision=7\nprecision=8\nopen_basedir={base}"));
    for _ in 0..3 {
        assert_eq!(server.call(&call).text(), format!("8 8 {base}"));
        if server.kind() == Kind::PhpFtm {
            assert_eq!(server.get("/restore.php").text(), "14 14 ", "they end with the request");
        }
    }
}

#[test]
fn a_session_handler_of_a_request_is_looked_up_when_a_session_starts() {
    let site = Site::new();
    site.file("handler.php", "<?php echo ini_get('session.save_handler');");
    let pool = PoolConfig::new("www").children(1);
    let server = Server::start(&site, ServerConfig::pool(pool));
    let with = |handler: &str| {
        let call = Call::get(&site, "/handler.php").param("PHP_VALUE", format!("session.save_handler={handler}"));
        server.call(&call).text()
    };
    assert_eq!(with("unknown"), "unknown");
    only_php_ftm!("php-fpm ends the second such request with a fatal error");
    assert_eq!([with("files"), with("unknown")], ["files", "unknown"]);
    assert_eq!(server.get("/handler.php").text(), "files");
}

#[test]
fn an_open_basedir_cannot_be_left_by_links_nor_by_a_directory_that_moves() {
    let site = Site::new();
    let (outside, base) = (site.writable("outside"), site.writable("outside/base"));
    site::mkdir(&outside.join("dir"));
    std::fs::write(outside.join("secret"), "outside").expect("a file beside it");
    // What each name stands for in the end is outside, or would be if ".." took back a link as if it were a directory.
    site.file(
        "leave.php",
        "<?php error_reporting(0); $base = $_GET['base']; chdir($base); mkdir('a/b/c', 0777, true); symlink('a/b/c', 'deep');
        symlink('.', 'here'); file_put_contents('a/secret', 'in');
        $told = [];
        foreach (['deep/../../secret', \"$base/deep/../../secret\", \"$base/here/../secret\", '../secret'] as $name)
            $told[] = [lstat($name)['size'] ?? 0, filesize($name), rename($name, 'got'), file_get_contents('got'), unlink($name)];
        $told[] = [rename(\"$base/got\", 'deep/../../planted'), file_exists('a/planted'), rmdir('deep/../../dir')];
        chdir('a/b/c'); rename('../../../a/b/c', '../../../c');
        $told[] = [file_exists('../../secret'), filesize('../../secret'), unlink('../../secret')];
        echo json_encode($told);",
    );
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    let base = base.display().to_string();
    let allowed = format!("open_basedir={base}:{}", site.docroot().display());
    let call = Call::get(&site, &format!("/leave.php?base={base}")).param("PHP_ADMIN_VALUE", allowed);
    let nothing = "[0,false,false,\"in\",false]";
    assert_eq!(
        server.call(&call).text(),
        format!("[[2,2,true,\"in\",false],{nothing},{nothing},{nothing},[true,true,false],[false,false,false]]")
    );
    let mut left: Vec<_> =
        std::fs::read_dir(&outside).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["base", "dir", "secret"]);
}

#[test]
fn an_open_basedir_of_one_request_leaves_the_next_its_realpath_cache() {
    only_php_ftm!("php-fpm's worker goes without it from then on");
    let site = Site::new();
    site.file(
        "cache.php",
        "<?php clearstatcache(true); realpath(__DIR__); echo realpath_cache_size() > 0 ? 'on' : 'off';",
    );
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    assert_eq!(server.get("/cache.php").text(), "on");
    let base = site.dir().display().to_string();
    let call = Call::get(&site, "/cache.php").param("PHP_ADMIN_VALUE", format!("open_basedir={base}"));
    assert_eq!(server.call(&call).text(), "off");
    assert_eq!(server.get("/cache.php").text(), "on");
}

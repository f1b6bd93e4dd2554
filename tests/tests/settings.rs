//! Settings of PHP: what php.ini, the command line, the pool, `.user.ini` files and scripts say, and who wins.

use std::fs;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// Prints the settings that `names` asks for, then what they are after ini_set() to the value of `set`.
const SCRIPT: &str = r#"<?php
$names = explode(',', $_GET['names']);
$all = fn() => implode(' ', array_map(fn($name) => "$name=" . var_export(ini_get($name), true), $names));
echo $all();
if (isset($_GET['set'])) {
    foreach ($names as $name) @ini_set($name, $_GET['set']);
    echo "\n", $all();
}"#;

fn site() -> Site {
    let site = Site::new();
    site.file("ini.php", SCRIPT);
    site
}

/// What a server shows for these settings.
fn shown(site: &Site, config: ServerConfig, names: &str) -> String {
    let server = Server::start(site, config);
    let text = server.get(&format!("/ini.php?names={names}")).text();
    assert_eq!(server.get(&format!("/ini.php?names={names}")).text(), text, "the next request finds the same");
    text
}

fn pool() -> PoolConfig {
    PoolConfig::new("www").children(1)
}

const NAMES: &str = "precision,display_errors,include_path,upload_max_filesize";

/// A pool with a setting of each kind; `admin` is `admin_` or nothing.
fn with_settings(admin: &str) -> PoolConfig {
    pool()
        .set(&format!("php_{admin}value[precision]"), "7")
        .set(&format!("php_{admin}flag[display_errors]"), "on")
        .set(&format!("php_{admin}value[include_path]"), "/a:/b")
        .set(&format!("php_{admin}value[upload_max_filesize]"), "3M")
}

const SET: &str = "precision='7' display_errors='1' include_path='/a:/b' upload_max_filesize='3M'";

#[test]
fn a_pools_values_are_defaults_for_scripts() {
    let site = site();
    site.file("sub/ini.php", SCRIPT);
    site.file("sub/.user.ini", "precision = 3\ndisplay_errors = 0\nupload_max_filesize = 1M\nexpose_php = 0\n");
    let server = Server::start(&site, ServerConfig::pool(with_settings("")).ini("expose_php = 1"));
    for _ in 0..2 {
        let set = server.get(&format!("/ini.php?names={NAMES}&set=5")).text();
        // upload_max_filesize is none of a script's business.
        let after = "precision='5' display_errors='5' include_path='5' upload_max_filesize='3M'";
        assert_eq!(set, format!("{SET}\n{after}"));
        assert_eq!(server.get(&format!("/ini.php?names={NAMES}")).text(), SET, "in the next request");
        let user_ini = server.get(&format!("/sub/ini.php?names={NAMES},expose_php")).text();
        let expected = "precision='3' display_errors='0' include_path='/a:/b' upload_max_filesize='1M' expose_php='1'";
        assert_eq!(user_ini, expected, "expose_php is none of .user.ini's business");
        assert_eq!(server.get(&format!("/ini.php?names={NAMES}")).text(), SET, "after .user.ini");
    }
    let param =
        Call::get(&site, &format!("/ini.php?names={NAMES}")).param("PHP_VALUE", "precision=4\ndisplay_errors=0");
    let expected = "precision='4' display_errors='0' include_path='/a:/b' upload_max_filesize='3M'";
    assert_eq!(server.call(&param).text(), expected);
}

#[test]
fn a_pools_admin_values_stand_against_scripts() {
    let site = site();
    site.file("sub/ini.php", SCRIPT);
    site.file("sub/.user.ini", "precision = 3\ndisplay_errors = 0\ninclude_path = /u\nupload_max_filesize = 1M\n");
    let server = Server::start(&site, ServerConfig::pool(with_settings("admin_").children(2)));
    for _ in 0..4 {
        let set = server.get(&format!("/ini.php?names={NAMES}&set=5")).text();
        assert_eq!(set, format!("{SET}\n{SET}"), "against ini_set()");
        assert_eq!(server.get(&format!("/sub/ini.php?names={NAMES}")).text(), SET, "against .user.ini");
        assert_eq!(server.get(&format!("/ini.php?names={NAMES}")).text(), SET);
    }
}

#[test]
fn a_pools_admin_values_stand_for_every_thread() {
    only_php_ftm!("php-fpm has no threads");
    let site = site();
    let server =
        Server::start(&site, ServerConfig::pool(with_settings("admin_").children(4).set("pm.max_requests", "3")));
    server.meet(4);
    for _ in 0..40 {
        let set = server.get(&format!("/ini.php?names={NAMES}&set=5")).text();
        assert_eq!(set, format!("{SET}\n{SET}"));
    }
}

#[test]
fn a_pools_admin_values_stand_against_the_web_server() {
    only_php_ftm!("php-fpm lets params change them, for all later requests of the worker");
    let site = site();
    let server = Server::start(&site, ServerConfig::pool(with_settings("admin_")));
    for name in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
        let call = Call::get(&site, &format!("/ini.php?names={NAMES},html_errors"));
        let answer = server.call(&call.param(name, "precision=4\nhtml_errors=1\ninclude_path=/p"));
        assert_eq!(answer.text(), format!("{SET} html_errors='1'"), "{name}");
        for refused in ["precision", "include_path"] {
            let said = format!("Passing INI directive through FastCGI: unable to set '{refused}'");
            assert!(answer.error_text().contains(&said), "{name}: {}", answer.error_text());
        }
        assert_eq!(server.get(&format!("/ini.php?names={NAMES},html_errors")).text(), format!("{SET} html_errors='0'"));
    }
}

#[test]
fn who_wins() {
    let site = site();
    let ini = |pool: PoolConfig| ServerConfig::pool(pool).ini("precision = 10").ini("user_agent = file");
    let of = |config: ServerConfig| shown(&site, config, "precision,user_agent");
    assert_eq!(of(ini(pool())), "precision='10' user_agent='file'");
    let line = |config: ServerConfig| config.arg("-d").arg("precision=11");
    assert_eq!(of(line(ini(pool()))), "precision='11' user_agent='file'", "-d before php.ini");
    let value = pool().set("php_value[precision]", "12");
    assert_eq!(of(line(ini(value.clone()))), "precision='12' user_agent='file'", "the pool before -d");
    assert_eq!(of(line(ini(pool())).arg("-d").arg("precision=9")), "precision='9' user_agent='file'", "the last -d");
    let twice = pool().set("php_value[precision]", "12\nphp_value[user_agent] = u\nphp_value[precision] = 13");
    assert_eq!(of(ini(twice)), "precision='12' user_agent='u'", "the first in the pool");
    for admin_first in [false, true] {
        let (one, two) = ("php_value[precision]", "php_admin_value[precision]");
        let (one, two) = if admin_first { (two, one) } else { (one, two) };
        let value = |name: &str| if name.contains("admin") { "13" } else { "12" };
        let both = pool().set(one, value(one)).set(two, value(two));
        assert_eq!(of(ini(both)), "precision='13' user_agent='file'", "the admin's, wherever it stands");
    }
}

/// Settings that take any text.
const TEXTS: [&str; 10] = [
    "user_agent",
    "from",
    "docref_root",
    "docref_ext",
    "error_prepend_string",
    "error_append_string",
    "highlight.comment",
    "highlight.default",
    "highlight.keyword",
    "highlight.string",
];

/// A value as it is written in the configuration, and as PHP gets it. X is `xv;"q'z` in the master's environment.
const VALUES: [(&str, &str); 40] = [
    ("plain", "plain"),
    ("a b", "a b"),
    ("\"a;b\"", "a;b"),
    ("a;b", "a"),
    ("'a;b'", "a;b"),
    ("\"x\" ; comment", "x"),
    ("it's", "it"),
    ("\"it's\"", "it's"),
    ("\"it's 'quoted' text\"", "it's 'quoted' text"),
    ("'say \"a\"'", "say \"a\""),
    ("\"say \\\"a\\\"\"", "say \"a\""),
    ("\"a\\\\b\"", "a\\b"),
    ("a\\b", "a\\b"),
    ("\"a\\nb\"", "a\\nb"),
    ("\"\\\\\"", "\\"),
    ("${X}", "xv;\"q'z"),
    ("\"<${X}>\"", "<xv;\"q'z>"),
    ("\"\\${X}\"", "${X}"),
    ("'${X}'", "${X}"),
    ("'${NOT_THERE}'", "${NOT_THERE}"),
    ("$X", "$X"),
    ("\"a=b\"", "a=b"),
    ("'a''b'", "ab"),
    ("\"a\"\"b\"", "ab"),
    ("\"on\"", "on"),
    ("on", "1"),
    ("none", ""),
    ("\"none\"", "none"),
    ("\"\"", ""),
    ("E_WARNING", "2"),
    ("\"E_WARNING\"", "E_WARNING"),
    ("1|2", "3"),
    ("\"1|2\"", "1|2"),
    ("0x1F", "0x1F"),
    ("1.50", "1.50"),
    ("[x]", "[x]"),
    ("\"{}!~^&()\"", "{}!~^&()"),
    ("a#b", "a#b"),
    ("\"caf\u{e9} <b> %41\"", "caf\u{e9} <b> %41"),
    ("\"$pool\"", "pool3"),
];

#[test]
fn values_reach_php_as_they_are_meant() {
    let site = Site::new();
    site.file("texts.php", "<?php foreach (explode(',', $_GET['names']) as $name) echo ini_get($name), \"\\n\";");
    let names = TEXTS.join(",");
    // In each of the three forms that take a text.
    for form in ["php_admin_value", "php_value"] {
        let pools = VALUES.chunks(TEXTS.len()).enumerate().map(|(n, values)| {
            let pool = PoolConfig::new(&format!("pool{n}")).children(1);
            let settings = TEXTS.iter().zip(values);
            settings.fold(pool, |pool, (name, (written, _))| pool.set(&format!("{form}[{name}]"), written))
        });
        let mut pools = pools.collect::<Vec<_>>().into_iter();
        let config = ServerConfig::pool(pools.next().expect("a pool")).env("X", "xv;\"q'z");
        let server = Server::start(&site, pools.fold(config, ServerConfig::and_pool));
        for (n, values) in VALUES.chunks(TEXTS.len()).enumerate() {
            let call = Call::get(&site, &format!("/texts.php?names={names}"));
            let text = Conn::open(server.address_of(&format!("pool{n}"))).call(1, &call).text();
            let lines: Vec<&str> = text.split('\n').collect();
            for ((written, expected), got) in values.iter().zip(lines) {
                assert_eq!(got, *expected, "{form} {written}");
            }
        }
    }
}

#[test]
fn apostrophes_reach_php_wherever_they_stand() {
    let site = site();
    for value in ["'", "''", "'x", "x'", "'x'", "x''y", "'\"'", "';'", "it's 'all' ''right''"] {
        let written = format!("\"{}\"", value.replace('"', "\\\""));
        let pool = pool().set("php_admin_value[user_agent]", &written);
        let expected = format!("user_agent='{}'", value.replace('\'', "\\'"));
        assert_eq!(shown(&site, ServerConfig::pool(pool), "user_agent"), expected, "{written}");
    }
}

#[test]
fn defines_on_the_command_line() {
    let site = site();
    for (define, expected) in [
        ("user_agent=a b", "a b"),
        ("user_agent=\"a;b\"", "a;b"),
        ("user_agent='a;b'", "a;b"),
        ("user_agent=a;b", "a"),
        ("user_agent=/a;b", "/a;b"),
        ("user_agent=$x", "$x"),
        ("user_agent=-1", "-1"),
        ("user_agent=on", "1"),
        ("user_agent=caf\u{e9}", "caf\u{e9}"),
        ("user_agent", "1"),
        ("user_agent=", ""),
    ] {
        let config = ServerConfig::pool(pool()).ini("user_agent = file").arg("-d").arg(define);
        assert_eq!(shown(&site, config, "user_agent"), format!("user_agent='{expected}'"), "{define}");
    }
}

#[test]
fn the_file_of_settings_is_the_one_that_is_named() {
    let site = site();
    let dir = site.dir().join("settings");
    site::mkdir(&dir);
    fs::write(dir.join("php.ini"), "user_agent = from-directory\n").expect("write");
    fs::write(dir.join("other.ini"), "user_agent = from-file\n").expect("write");
    let of = |path: &str| {
        let config = ServerConfig::pool(pool()).ini("user_agent = ours").arg("-c").arg(path);
        shown(&site, config, "user_agent")
    };
    let dir = dir.display();
    assert_eq!(of(&format!("{dir}/other.ini")), "user_agent='from-file'");
    assert_eq!(of(&dir.to_string()), "user_agent='from-directory'");
    assert_eq!(of(&format!("{dir}/missing.ini")), "user_agent=''");
    fs::write(format!("{dir}/php-fpm-fcgi.ini"), "user_agent = from-own\n").expect("write");
    assert_eq!(of(&dir.to_string()), "user_agent='from-own'", "the name of the SAPI comes first");
}

#[test]
fn disabled_functions_add_up() {
    let site = Site::new();
    let script =
        "<?php foreach (['exec', 'system', 'passthru', 'popen', 'strlen'] as $f) echo (int) function_exists($f);
        try { echo exec('echo ran'); } catch (Error $e) { echo ' ', $e->getMessage(); }";
    site.file("functions.php", script);
    let disabling = pool()
        .set("php_admin_value[disable_functions]", "\"exec, popen\"")
        .set("php_value[disable_functions]", "passthru");
    let config = ServerConfig::pool(disabling).ini("disable_functions = system");
    let server = Server::start(&site, config.and_pool(PoolConfig::new("plain").children(1)));
    for _ in 0..2 {
        assert_eq!(server.get("/functions.php").text(), "00001 Call to undefined function exec()");
        let plain = Conn::open(server.address_of("plain")).call(1, &Call::get(&site, "/functions.php"));
        assert_eq!(plain.text(), "10111ran", "php.ini's alone");
    }
}

#[test]
fn pools_have_their_own_settings_at_the_same_time() {
    let site = Site::new();
    let script = "touch($_GET['dir'] . '/' . $_GET['me']); wait_for($_GET['dir'] . '/' . $_GET['other']);
        echo ini_get('memory_limit'), ' ', 1 / 3, ' ', ini_get('open_basedir');";
    site.file("both.php", format!("{PHP_WAIT_FOR}{script}"));
    let dir = site.writable("state");
    let base = site.dir().display().to_string();
    let one = PoolConfig::new("one").set("php_admin_value[memory_limit]", "99M").set("php_value[precision]", "3");
    let two = PoolConfig::new("two").set("php_admin_value[open_basedir]", &base).set("php_value[precision]", "5");
    let config = ServerConfig::pool(one).and_pool(two).ini("memory_limit = 77M");
    let server = Server::start(&site, config);
    for round in 0..4 {
        let ask = |me: &str, other: &str| {
            let uri = format!("/both.php?dir={}&me={me}{round}&other={other}{round}", dir.display());
            let mut conn = Conn::open(server.address_of(me));
            conn.send(Call::get(&site, &uri).encode(1));
            conn
        };
        let (mut one, mut two) = (ask("one", "two"), ask("two", "one"));
        assert_eq!(one.answer(1).text(), "99M 0.333 ");
        assert_eq!(two.answer(1).text(), format!("77M 0.33333 {base}"));
    }
}

#[test]
fn odd_lines_of_user_ini_harm_nobody() {
    only_php_ftm!("php-fpm's worker crashes");
    let site = Site::new();
    let show = "<?php echo ini_get('precision'), ' ', ini_get('user_agent');";
    let inis = [
        "memory_limit[] = 1\nuser_agent[x] = y\nprecision = 6\n",
        "precision = 6\n[PATH=/]\nuser_agent = path\nprecision = 5\n",
        "precision = 6\n[HOST=test.example]\nuser_agent[] = host\nmemory_limit = 1\n",
        "[HOST]\nprecision = 5\n[other]\nextension = none\nzend_extension = none\nprecision = 6\n",
    ];
    for (n, ini) in inis.iter().enumerate() {
        site.file(&format!("{n}/.user.ini"), ini);
        site.file(&format!("{n}/show.php"), show);
    }
    site.file("plain/.user.ini", "precision = 7\nuser_agent = plain\n");
    site.file("plain/show.php", show);
    let server = Server::start(&site, ServerConfig::default().ini("user_ini.cache_ttl = 0").ini("user_agent = of-ini"));
    std::thread::scope(|scope| {
        // Beside each other: what one file says of its sections is not for the others.
        for client in 0..4 {
            let (server, count) = (&server, inis.len());
            scope.spawn(move || {
                for round in 0..50 {
                    let n = (client + round) % count;
                    assert_eq!(server.get(&format!("/{n}/show.php")).text(), "6 of-ini", "{n}");
                    assert_eq!(server.get("/plain/show.php").text(), "7 plain");
                }
            });
        }
    });
    assert!(!server.log().contains("exited"), "no process was lost");
}

//! What takes the C library's place in php-ftm: extensions get it, whenever they are loaded, and may use it as the library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use ftm_tests::*;

/// The functions that the sources of the shim define under names that are not php-ftm's own, but for dlopen(), which is for PHP
/// alone.
fn defined() -> BTreeSet<String> {
    let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim");
    let sources = fs::read_dir(shim).expect("shim/").map(|entry| entry.expect("an entry").path());
    let mut names = BTreeSet::new();
    for source in sources.filter(|path| path.extension().is_some_and(|ext| ext == "c")) {
        let text = fs::read_to_string(&source).expect("a source");
        for line in
            text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.ends_with(';'))
        {
            let words = line.split_once('(').map_or("", |(words, _)| words);
            let name = words.rsplit([' ', '*']).next().unwrap_or_default();
            let local = ["static", "extern", "typedef"].iter().any(|word| line.starts_with(word));
            if words.contains(' ') && !local && !name.starts_with("ftm_") && name != "dlopen" {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn all_of_it_is_exported() {
    only_php_ftm!("it has a C library");
    let output =
        Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(Kind::PhpFtm.program()).output();
    let exported = String::from_utf8(output.expect("nm of the binutils").stdout).expect("text");
    let exported: BTreeSet<&str> = exported.lines().filter_map(|line| line.split(' ').next()).collect();
    let defined = defined();
    for name in ["clearenv", "flock", "setlocale", "__syslog_chk"] {
        assert!(defined.contains(name), "{name} in {defined:?}");
    }
    let missing: Vec<_> = defined.iter().filter(|name| !exported.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn extensions_may_use_it_as_in_a_process_of_their_own() {
    only_php_ftm!("the extension is built for php-ftm's PHP");
    let site = Site::new();
    site.file(
        "use.php",
        "<?php putenv('MINE=of the script');
        echo json_encode([ftmlibc_for_a_moment('MINE'), getenv('MINE', true), ftmlibc_for_a_moment('POOL'), ftmlibc_locales(), ftmlibc_clearenv(), getenv('MINE', true)]);",
    );
    site.file(
        "next.php",
        "<?php echo getenv('POOL', true), ' ', json_encode(getenv('MINE', true)), ' ', setlocale(LC_TIME, 0);",
    );
    let pool = PoolConfig::new("www").children(1).set("env[POOL]", "of the pool");
    let pool = pool.set("php_admin_value[extension]", &extension::build("ftmlibc").display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    for _ in 0..2 {
        let expected = r#"["of the script","of the script","of the pool","C.UTF-8 C 1",true,false]"#;
        assert_eq!(server.get("/use.php").text(), expected);
        assert_eq!(server.get("/next.php").text(), "of the pool false C");
    }
    server.stop();
}

#[test]
fn hosts_are_those_that_were_asked_for() {
    only_php_ftm!("the extension is built for php-ftm's PHP");
    let site = Site::new();
    site.file("host.php", "<?php echo ftmlibc_wrong_hosts($_GET['name']) === 0 ? 'right' : 'wrong';");
    let pool = PoolConfig::new("www");
    let pool = pool.set("php_admin_value[extension]", &extension::build("ftmlibc").display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    let loads = ["127.0.0.1", "192.0.2.7"].map(|name| {
        let call = fcgi::Call::get(&site, &format!("/host.php?name={name}")).keep();
        Load::start(2, server.address(), &call, |answer| answer.text() == "right")
    });
    loads.iter().for_each(|load| load.wait_for(10));
    for load in loads {
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    }
    server.stop();
}

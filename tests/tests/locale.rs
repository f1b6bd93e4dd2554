//! `setlocale()`: requests that run at the same time have locales of their own, and each begins with the pool's.

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// Sets a locale, lets others run, and shows what it has then.
const SCRIPT: &str = "<?php
    $begun = setlocale(LC_ALL, 0) . ' ' . nl_langinfo(CODESET);
    $set = setlocale((int) constant($_GET['category']), $_GET['locale']);
    for ($n = 0; $n < 5; $n++) usleep(random_int(0, 400));
    echo $begun, '|', var_export($set, true), '|', setlocale(LC_CTYPE, 0), ' ', setlocale(LC_TIME, 0), ' ', nl_langinfo(CODESET);";

fn uri(category: &str, locale: &str) -> String {
    format!("/locale.php?category={category}&locale={locale}")
}

#[test]
fn it_is_php_fpms() {
    let site = Site::new();
    site.file("locale.php", SCRIPT);
    site.file("all.php", "<?php echo setlocale(LC_CTYPE, 'C'), ' ', setlocale(LC_ALL, 0), ' ', setlocale(LC_TIME, ['no', 'C.UTF-8', 'C']),
        ' ', json_encode([setlocale(LC_CTYPE, 'LC_CTYPE=C.UTF-8;LC_TIME=C'), setlocale(LC_ALL, 'LC_CTYPE=C.UTF-8;LC_TIME=C'), setlocale(99, 'C')]),
        ' ', setlocale(LC_ALL, 0), ' ', setlocale(LC_ALL, 'LC_CTYPE=C.UTF-8;LC_NUMERIC=C;LC_TIME=C;LC_COLLATE=C;LC_MONETARY=C;LC_MESSAGES=C;\
        LC_PAPER=C;LC_NAME=C;LC_ADDRESS=C;LC_TELEPHONE=C;LC_MEASUREMENT=C;LC_IDENTIFICATION=C'), ' ', json_encode(localeconv());");
    let pool = PoolConfig::new("www").children(1).set("clear_env", "no");
    let answers = |kind| {
        let server = Server::start_as(kind, &site, ServerConfig::pool(pool.clone()).env("LC_ALL", "C.UTF-8"));
        let calls = [
            uri("LC_ALL", "C.UTF-8"),
            uri("LC_ALL", "C"),
            uri("LC_CTYPE", "C"),
            uri("LC_ALL", "no_such"),
            uri("LC_TIME", ""),
            uri("LC_ALL", "POSIX"),
            "/all.php".to_owned(),
            uri("LC_CTYPE", "0"),
        ];
        calls.map(|uri| server.get(&uri).text())
    };
    assert_eq!(answers(Kind::PhpFpm), answers(Kind::under_test()));
}

#[test]
fn requests_beside_each_other_do_not_see_each_others() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = Site::new();
    site.file("locale.php", SCRIPT);
    site.file(
        "check.php",
        "<?php ob_start(); include 'locale.php'; $text = ob_get_clean(); echo $text === $_GET['is'] ? 'right' : $text;",
    );
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(6)));
    let begun = server.get(&uri("LC_ALL", "0")).text();
    let begun = begun.split('|').next().expect("a part").replace(';', "%3B").replace(' ', "%20");
    let load = |locale: &str, codeset: &str| {
        let is = format!("{begun}|'{locale}'|{locale}%20{locale}%20{codeset}");
        let uri = uri("LC_ALL", locale).replace("/locale.php?", &format!("/check.php?is={is}&"));
        Load::start(3, server.address(), &Call::get(&site, &uri).keep(), |answer| answer.text() == "right")
    };
    let loads = [load("C", "ANSI_X3.4-1968"), load("C.UTF-8", "UTF-8")];
    loads.iter().for_each(|load| load.wait_for(1000));
    for load in loads {
        let outcome = load.end();
        assert!(outcome.failures.is_empty() && outcome.broken == 0, "{outcome:?}");
    }
    server.stop();
}

#[test]
fn names_of_any_length_are_told() {
    let given = std::path::Path::new("/usr/lib/locale/C.utf8");
    if !given.exists() {
        return wait::skipped("there is no locale C.utf8");
    }
    let site = Site::new();
    let long = "x".repeat(230);
    let copy = site.dir().join("locales").join(&long);
    site::mkdir(&copy.join("LC_MESSAGES"));
    for entry in std::fs::read_dir(given).expect("a locale").map(|entry| entry.expect("an entry")) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copy");
        }
    }
    let messages = "LC_MESSAGES/SYS_LC_MESSAGES";
    std::fs::copy(given.join(messages), copy.join(messages)).expect("copy");
    site.file(
        "long.php",
        format!("<?php setlocale(LC_ALL, '{long}'); setlocale(LC_TIME, 'C'); echo setlocale(LC_ALL, 0);"),
    );
    let pool = PoolConfig::new("www").set("env[LOCPATH]", &site.dir().join("locales").display().to_string());
    let answer = |kind| Server::start_as(kind, &site, ServerConfig::pool(pool.clone())).get("/long.php").text();
    let tested = answer(Kind::under_test());
    assert!(tested.len() > 2500, "{tested}");
    assert_eq!(tested, answer(Kind::PhpFpm));
}

#[test]
fn it_takes_no_memory_for_good() {
    let site = Site::new();
    let script = "<?php
        $used = fn() => (int) explode(' ', file_get_contents('/proc/thread-self/statm'))[1];
        $change = function () { for ($n = 0; $n < 20000; $n++) { setlocale(LC_ALL, 'C.UTF-8'); setlocale(LC_TIME, 'C'); setlocale(LC_ALL, 'C'); } };
        $change(); $begun = $used(); $change();
        $pages = $used() - $begun; echo $pages < 500 ? 'same' : \"$pages pages more\";";
    site.file("again.php", script);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    assert_eq!(server.get("/again.php").text(), "same");
    server.stop();
}

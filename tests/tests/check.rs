//! `-t` tries how PHP starts, and says which extensions it loads, cannot load or should not, and what acts on all requests.

use std::fs;
use std::process::{Command, Output};

use ftm_tests::*;

/// A site with a configuration of two pools with these lines, and a `php.ini` with those.
fn site(pool: &str, ini: &str) -> Site {
    let site = Site::new();
    let dir = site.dir().display().to_string();
    let user = if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" };
    let pools = ["www", "blog"]
        .map(|name| format!("[{name}]\nlisten = {dir}/{name}.sock\n{user}pm = static\npm.max_children = 2\n{pool}\n"));
    let text = format!("[global]\nerror_log = {dir}/error.log\n{}", pools.concat());
    fs::write(site.dir().join("php-fpm.conf"), text).expect("write");
    fs::write(site.dir().join("php.ini"), ini).expect("write");
    site
}

/// What `-t` says.
fn test(site: &Site, start: &str) -> Output {
    let mut command = Command::new(Kind::PhpFtm.program());
    command.arg("-t").arg("-y").arg(site.dir().join("php-fpm.conf")).arg("-c").arg(site.dir().join("php.ini"));
    command.env("FTM_START", start).env_remove("PHP_INI_SCAN_DIR").output().expect("run php-ftm")
}

/// The lines of a log without their times, and help lines.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once("] ").map_or(line, |(_, rest)| rest).to_string()).collect()
}

/// The lines about what PHP consists of begin with it.
const LISTED: &str = "NOTICE: [pool";

/// The lines but those about what PHP consists of, and the exit code.
fn said(output: &Output) -> (Vec<String>, Option<i32>) {
    (lines(output).into_iter().filter(|line| !line.starts_with(LISTED)).collect(), output.status.code())
}

/// The lines about what PHP consists of.
fn listed(output: &Output) -> Vec<String> {
    lines(output).into_iter().filter(|line| line.starts_with(LISTED)).collect()
}

fn success(site: &Site) -> String {
    format!("NOTICE: configuration file {} test is successful", site.dir().join("php-fpm.conf").display())
}

#[test]
fn nothing_is_said_of_a_php_that_starts() {
    only_php_ftm!("php-fpm starts PHP anyway");
    let ini = format!("zend_extension = opcache\nextension = {}\n", extension::build("ftmstart").display());
    // What a pool would write and run at its start, a test does not.
    let site = site("php_admin_value[error_log] = $pool.log\nphp_admin_value[opcache.preload] = /none.php\n", &ini);
    assert_eq!(said(&test(&site, "")), (vec![success(&site)], Some(0)));
    let logs = fs::read_dir(site.dir()).expect("list").flatten().filter(|e| e.file_name() == "www.log");
    assert_eq!(logs.count(), 0);
}

#[test]
fn what_cannot_be_loaded_is_named_with_its_place() {
    only_php_ftm!("php-fpm does not look at its pools' extensions");
    let nts = extension::build("ftmstart").display().to_string();
    let pool = "php_admin_value[extension] = nonesuch\nphp_admin_value[no.such] = 1\n";
    let site = site(pool, &format!("; comment\nextension = {nts}\n"));
    let (lines, code) = said(&test(&site, "nts"));
    let dir = site.dir().display();
    // The other pool has the same settings, which are tried once.
    let [nts, nts_help, pool, pool_help, unknown, last] = &lines[..] else { panic!("{lines:#?}") };
    assert!(nts.starts_with(&format!("WARNING: [{dir}/php.ini:2] ftmstart: Unable to initialize module")), "{nts}");
    assert!(nts_help.contains("built for a PHP without threads"), "{nts_help}");
    let place = format!("WARNING: [pool www] [{dir}/php-fpm.conf:");
    assert!(pool.starts_with(&place) && pool.contains("Unable to load dynamic library 'nonesuch'"), "{pool}");
    assert!(pool_help.contains("php-ftm -m"), "{pool_help}");
    assert!(unknown.starts_with(&place) && unknown.contains("'no.such'"), "{unknown}");
    assert_eq!((last, code), (&success(&site), Some(0)));
}

#[test]
fn extensions_that_do_not_bear_threads_are_named() {
    only_php_ftm!("php-fpm has no threads");
    let ini = format!("extension = {}\n", extension::build("imap").display());
    let site = site("", &ini);
    let (lines, code) = said(&test(&site, ""));
    assert!(lines[0].starts_with("WARNING: [pool www] the extension imap does not bear threads: "), "{lines:#?}");
    assert_eq!((&lines[1..], code), (&[success(&site)][..], Some(0)));
    // At a start, too.
    let web = Site::new();
    let pool =
        PoolConfig::new("www").set("php_admin_value[extension]", &extension::build("imap").display().to_string());
    let server = Server::start(&web, ServerConfig::pool(pool));
    eventually("the log names it", || server.log().contains("WARNING: [pool www] the extension imap does not bear"));
}

#[test]
fn loaded_extensions_are_listed_once_for_pools_alike() {
    only_php_ftm!("php-fpm lists none");
    let pool = "php_admin_value[precision] = 10\n";
    let site = site(pool, &format!("extension = {}\n", extension::build("imap").display()));
    let output = test(&site, "");
    let with: Vec<String> = listed(&output).into_iter().filter(|line| line.contains("] PHP ")).collect();
    let [line] = &with[..] else { panic!("{with:#?}") };
    let (start, list) = line.split_once(" with ").expect("a list");
    let version = start.strip_prefix("NOTICE: [pools www, blog] PHP ").unwrap_or_else(|| panic!("{start}"));
    assert!(version.starts_with("8."), "{version}");
    let list: Vec<&str> = list.split(", ").collect();
    // With a version where it is not PHP's.
    assert!(list.contains(&"imap 1") && list.contains(&"standard") && list.contains(&"json"), "{list:?}");
    assert!(list.is_sorted_by_key(|name| name.to_lowercase()), "{list:?}");

    // The second pool has one more.
    let config = site.dir().join("php-fpm.conf");
    let text = fs::read_to_string(&config).expect("read");
    let more = format!("php_admin_value[extension] = {}\n", extension::build("ftmstart").display());
    fs::write(&config, text + &more).expect("write");
    let listed = listed(&test(&site, ""));
    let of = |pool: &str| -> Vec<&String> {
        listed.iter().filter(|line| line.starts_with(&format!("NOTICE: [pool {pool}] PHP "))).collect()
    };
    assert!(!of("www")[0].contains("ftmstart") && of("blog")[0].contains("ftmstart"), "{listed:#?}");
}

#[test]
fn of_many_pools_alike_the_first_are_named() {
    only_php_ftm!("php-fpm lists none");
    let site = site("", "");
    let config = site.dir().join("php-fpm.conf");
    let text = fs::read_to_string(&config).expect("read");
    let blog = text.split_once("[blog]").expect("the second pool").1.to_string();
    let more: String = (3..=10).map(|n| format!("[p{n}]{}", blog.replace("blog", &format!("p{n}")))).collect();
    fs::write(&config, text + &more).expect("write");
    let listed = listed(&test(&site, ""));
    let start = "NOTICE: [pools www, blog, p3, p4, p5, p6, p7, p8 and 2 more] ";
    assert!(!listed.is_empty() && listed.iter().all(|line| line.starts_with(start)), "{listed:#?}");
}

#[test]
fn functions_that_act_on_all_requests_are_listed() {
    only_php_ftm!("php-fpm has a process for each request");
    let ini = format!("disable_functions = posix_setsid\nextension = {}\n", extension::build("gettext").display());
    let site = site("", &ini);
    let listed = listed(&test(&site, ""));
    let about = |what: &str| -> &String {
        listed.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in {listed:#?}"))
    };
    assert!(about("pools www, blog] bindtextdomain() ").contains("for all requests"));
    let refused = about("refused with a warning");
    assert!(refused.contains("posix_setuid") && !refused.contains("posix_setsid"), "{refused}");
    assert!(!refused.contains("getmypid") && !refused.contains("posix_kill"), "{refused}");
}

#[test]
fn settings_that_threads_make_dangerous_are_named_with_their_place() {
    only_php_ftm!("php-fpm has no threads");
    let ini = "memory_limit = 128M\n; comment\nmemory_limit = -1\n";
    let site_with = site("", ini);
    let (lines, code) = said(&test(&site_with, ""));
    let [line, last] = &lines[..] else { panic!("{lines:#?}") };
    let place = format!("WARNING: [{}:3] 'memory_limit = -1': ", site_with.dir().join("php.ini").display());
    assert!(line.starts_with(&place), "{line}");
    assert_eq!((last, code), (&success(&site_with), Some(0)));
    // A pool's own value counts.
    let site_without = site("php_value[memory_limit] = 64M\n", ini);
    assert_eq!(said(&test(&site_without, "")), (vec![success(&site_without)], Some(0)));
}

#[test]
fn a_php_that_does_not_start_fails_the_test() {
    only_php_ftm!("php-fpm itself would die");
    let ini = format!("extension = {}\n", extension::build("ftmstart").display());
    let site = site("", &ini);
    let (lines, code) = said(&test(&site, "crash"));
    assert!(lines[0].starts_with("ERROR: [pool www] PHP does not start: killed by SIGSEGV"), "{lines:#?}");
    assert_eq!((lines.len(), code), (1, Some(70)));
}

#[test]
fn a_php_that_hangs_is_not_waited_for() {
    only_php_ftm!("php-fpm would wait for ever");
    let ini = format!("extension = {}\n", extension::build("ftmstart").display());
    let site = site("", &ini);
    let (lines, code) = said(&test(&site, "hang"));
    assert_eq!(
        lines,
        ["WARNING: [pool www] PHP has not started within 10s: not waited for".to_string(), success(&site)]
    );
    assert_eq!(code, Some(0));
}

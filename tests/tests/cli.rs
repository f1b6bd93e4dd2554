//! The command line: what the options print, and the codes they exit with, beside php-fpm's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ftm_tests::compare::difference;
use ftm_tests::*;
use regex_lite::Regex;

/// Runs a server to its end, in the site's directory.
fn run(kind: Kind, site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(kind.program());
    command.args(args).current_dir(site.dir()).stdin(Stdio::null()).output().expect("run the server")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The user line that pools need as root.
fn user() -> &'static str {
    if nix::unistd::geteuid().is_root() { "user = www-data\n" } else { "" }
}

/// Writes a configuration with one good pool, and `more` lines behind it.
fn configuration(site: &Site, more: &str) -> PathBuf {
    let dir = site.dir().display();
    let path = site.dir().join("php-fpm.conf");
    let pool = format!("[www]\nlisten = {dir}/www.sock\n{}pm = static\npm.max_children = 2\n", user());
    fs::write(&path, format!("[global]\nerror_log = {dir}/error.log\npid = {dir}/pid\n{pool}{more}")).expect("write");
    path
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Its times replaced.
fn timeless(text: &str) -> String {
    let time = Regex::new(r"\[\d\d-[A-Z][a-z]{2}-\d{4} [0-9:.]+\]").expect("a pattern");
    time.replace_all(text, "[time]").into_owned()
}

/// The lines that begin as a log's do: without places in the configuration and help below them.
fn log_lines(text: &str) -> Vec<String> {
    timeless(text).lines().filter(|l| l.starts_with("[time]") || l.starts_with("PHP:")).map(str::to_owned).collect()
}

#[test]
fn help_and_wrong_options_print_the_usage() {
    let site = Site::new();
    let usage = |kind: Kind, args: &[&str], code: i32| {
        let output = run(kind, &site, args);
        assert_eq!(output.status.code(), Some(code), "{} {args:?}: {output:?}", kind.name());
        assert_eq!(text(&output.stderr), "", "{} {args:?}", kind.name());
        text(&output.stdout)
    };
    let help = usage(Kind::PhpFtm, &["-h"], 0);
    let name = Kind::PhpFtm.program().file_name().expect("a name").to_string_lossy().into_owned();
    assert!(help.starts_with(&format!("Usage: {name} [-n] [-e] ")), "{help}");
    // The names and prefixes are each its own.
    let prefix = Regex::new(r"\(default: .*?\)").expect("a pattern");
    let plain = |help: String| {
        let rest = help.strip_prefix("Usage: ").and_then(|rest| rest.split_once(' ')).expect("a usage").1;
        prefix.replace_all(rest, "(default)").into_owned()
    };
    let reference = plain(usage(Kind::PhpFpm, &["-h"], 0));
    assert_eq!(difference(&reference, &plain(help.clone())), None);
    for args in [&["-?"][..], &["--help"], &["--usage"], &["-n", "-h"], &["-h", "-v"]] {
        assert_eq!(usage(Kind::PhpFtm, args, 0), help, "{args:?}");
        assert_eq!(plain(usage(Kind::PhpFpm, args, 0)), reference, "{args:?}");
    }
    for args in [
        &["-Z"][..],
        &["--nonsense"],
        &["--vers"],
        &["stray"],
        &["-F", "stray"],
        &["--", "stray"],
        &["-"],
        &["-y"],
        &["-c"],
        &["-d"],
        &["--pid"],
        &["-tZ"],
        &["-t=1"],
    ] {
        assert_eq!(usage(Kind::PhpFtm, args, 64), help, "{args:?}");
        assert_eq!(plain(usage(Kind::PhpFpm, args, 64)), reference, "{args:?}");
    }
}

#[test]
fn version_is_told_in_php_fpms_form() {
    let site = Site::new();
    let date = r"[A-Z][a-z]{2} [ \d]\d \d{4} \d\d:\d\d:\d\d";
    let pattern = format!(
        r"^PHP \d+\.\d+\.\d+\S* \(fpm-fcgi\) \(built: {date}\)( \(NTS\)| \(ZTS\))?\nCopyright \(c\) (The PHP Group|[^\n]+)\n(Built by [^\n]+\n)?Zend Engine v\d+\.\d+\.\d+\S*, Copyright \(c\) Zend Technologies\n(    with [^\n]+\n)*$"
    );
    let pattern = Regex::new(&pattern).expect("a pattern");
    for kind in [Kind::PhpFpm, Kind::PhpFtm] {
        for args in [&["-v"][..], &["--version"], &["-n", "-v"], &["-e", "-v"]] {
            let output = run(kind, &site, args);
            assert_eq!(output.status.code(), Some(0), "{} {args:?}: {output:?}", kind.name());
            assert!(pattern.is_match(&text(&output.stdout)), "{} {args:?}: {}", kind.name(), text(&output.stdout));
        }
    }
}

/// The two lists that `-m` prints.
fn modules(kind: Kind, site: &Site, args: &[&str]) -> [Vec<String>; 2] {
    let output = run(kind, site, args);
    assert_eq!(output.status.code(), Some(0), "{} {args:?}: {output:?}", kind.name());
    let text = text(&output.stdout);
    let lists = text.strip_prefix("[PHP Modules]\n").and_then(|rest| rest.strip_suffix("\n\n"));
    let lists = lists.and_then(|lists| lists.split_once("\n\n[Zend Modules]")).unwrap_or_else(|| panic!("{text}"));
    let lines = |list: &str| list.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    [lines(lists.0), lines(lists.1)]
}

#[test]
fn modules_are_listed() {
    let site = Site::new();
    fs::write(site.dir().join("opcache.ini"), "zend_extension = opcache\n").expect("write");
    let [ours, none] = modules(Kind::PhpFtm, &site, &["-m", "-n"]);
    assert_eq!(none, [""; 0]);
    for name in ["cgi-fcgi", "Core", "date", "pcre", "standard", "session", "SPL"] {
        assert!(ours.iter().any(|module| module == name), "{name} in {ours:?}");
    }
    let mut sorted = ours.clone();
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!(ours, sorted);
    // What every PHP contains is what php-fpm contains.
    let [theirs, _] = modules(Kind::PhpFpm, &site, &["-m", "-n"]);
    for name in ["cgi-fcgi", "Core", "standard"] {
        assert!(theirs.iter().any(|module| module == name), "{name} in {theirs:?}");
    }
    let file = site.dir().join("opcache.ini");
    let [with, zend] = modules(Kind::PhpFtm, &site, &["--modules", "-c", path(&file)]);
    assert_eq!(zend, ["Zend OPcache"]);
    assert!(with.contains(&"Zend OPcache".to_owned()), "{with:?}");
    // A php.ini in the usual places counts, unless -n says otherwise.
    fs::rename(file, site.dir().join("php.ini")).expect("rename");
    for (args, expected) in [(&["-m"][..], &["Zend OPcache"][..]), (&["-m", "-n"], &[])] {
        let mut command = Command::new(Kind::PhpFtm.program());
        let output = command.args(args).env("PHPRC", site.dir()).output().expect("run the server");
        let text = text(&output.stdout);
        let zend = text.split_once("[Zend Modules]\n").expect("the second list").1;
        assert_eq!(zend.split_whitespace().collect::<Vec<_>>().join(" "), expected.join(" "), "{args:?}");
    }
}

/// php-ftm tells besides what the pools' PHP consists of: see tests/check.rs.
fn is_inventory(line: &str) -> bool {
    line.starts_with("[time] NOTICE: [pool")
}

#[test]
fn a_good_configuration_passes_the_test() {
    let site = Site::new();
    let configuration = configuration(&site, "");
    for kind in [Kind::PhpFpm, Kind::PhpFtm] {
        for args in [&["-t"][..], &["--test"], &["-t", "-F"], &["-t", "-D"], &["-t", "-n"]] {
            let output = run(kind, &site, &[args, &["-y", path(&configuration)]].concat());
            assert_eq!(output.status.code(), Some(0), "{} {args:?}: {output:?}", kind.name());
            assert_eq!(text(&output.stdout), "");
            let said = timeless(&text(&output.stderr));
            let said: String = said.split_inclusive('\n').filter(|line| !is_inventory(line)).collect();
            let file = configuration.display();
            let expected = format!("[time] NOTICE: configuration file {file} test is successful\n");
            assert_eq!(said.trim_end_matches('\n'), expected.trim_end_matches('\n'), "{} {args:?}", kind.name());
        }
    }
    // Nothing was started, bound or left, but the log was opened.
    for (name, exists) in [("www.sock", false), ("pid", false), ("error.log", true)] {
        assert_eq!(site.dir().join(name).exists(), exists, "{name}");
    }
}

#[test]
fn a_configuration_is_dumped_as_php_fpm_dumps_it() {
    let site = Site::new();
    let more = format!(
        "env[A] = a\nenv[B] = \"b ; c\"\nphp_flag[display_errors] = on\nphp_value[precision] = 7\n\
         php_admin_value[memory_limit] = 9M\nphp_admin_flag[log_errors] = off\nchdir = /\n[two]\n\
         listen = 127.0.0.1:9999\nlisten.backlog = 7\nlisten.mode = 0600\n{}pm = dynamic\npm.max_children = 9\n\
         pm.start_servers = 3\npm.min_spare_servers = 2\npm.max_spare_servers = 4\npm.max_requests = 11\n\
         request_terminate_timeout = 2m\nsecurity.limit_extensions = .php .html\naccess.log = {}/access.log\n",
        user(),
        site.dir().display()
    );
    let configuration = configuration(&site, &more);
    let dump = |kind: Kind| {
        let output = run(kind, &site, &["-tt", "-y", path(&configuration)]);
        assert_eq!(output.status.code(), Some(0), "{}: {output:?}", kind.name());
        assert_eq!(text(&output.stdout), "");
        let lines = log_lines(&text(&output.stderr));
        lines.into_iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    let reference = dump(Kind::PhpFpm);
    assert!(reference.contains(&"[time] NOTICE: \tphp_value[precision] = 7".to_owned()), "{reference:#?}");
    // Directives of its own come on top.
    let own = |line: &String| {
        let name = line.strip_prefix("[time] NOTICE: \t").and_then(|rest| rest.split_once(" = ")).map(|(name, _)| name);
        let key = |line: &String| line.split_once(" = ").map(|(name, _)| name.to_owned());
        name.is_some() && !reference.iter().any(|other| key(other) == key(line))
    };
    let tested: Vec<String> = dump(Kind::PhpFtm).into_iter().filter(|line| !own(line) && !is_inventory(line)).collect();
    assert_eq!(difference(&reference.join("\n"), &tested.join("\n")), None);
}

/// Lines that make a configuration bad.
const BAD: [&str; 16] = [
    "pm.max_children = zwei",
    "nonsense = 1",
    "# no comment",
    "x = a=b",
    "chdir = /nonexistent",
    "request_slowlog_timeout = 5",
    "daemonize = yes",
    "pm = sometimes",
    "clear_env = perhaps",
    "request_terminate_timeout = 5w",
    "env[] = 1",
    "env[A] =",
    "php_value[x]",
    "listen",
    "pm.status_path = status",
    "[two]",
];

#[test]
fn bad_configurations_are_refused_with_php_fpms_words() {
    let site = Site::new();
    for bad in BAD {
        let configuration = configuration(&site, &format!("{bad}\n"));
        let [reference, tested] = [Kind::PhpFpm, Kind::PhpFtm].map(|kind| {
            let output = run(kind, &site, &["-t", "-y", path(&configuration)]);
            assert_eq!(output.status.code(), Some(78), "{bad}: {} {output:?}", kind.name());
            assert_eq!(text(&output.stdout), "", "{bad}: {}", kind.name());
            text(&output.stderr)
        });
        // All that php-fpm says, in its order; php-ftm goes on after the first error.
        let mut lines = log_lines(&tested).into_iter();
        for line in log_lines(&reference) {
            assert!(lines.any(|other| other == line), "{bad}: {line}\nis not, or too early, in\n{tested}");
        }
    }
}

#[test]
fn errors_show_their_place() {
    only_php_ftm!("php-fpm shows none");
    let site = Site::new();
    let shown = |line: &str, column: usize, marks: &str| {
        let configuration = configuration(&site, &format!("{line}\n"));
        let output = run(Kind::PhpFtm, &site, &["-t", "-y", path(&configuration)]);
        let said = text(&output.stderr);
        // Behind the lines of configuration().
        let number = 8 + user().lines().count();
        let file = configuration.display();
        let expected =
            [format!("--> {file}:{number}:{column}"), "|".into(), format!("{number} | {line}"), format!("| {marks}")];
        let shown: Vec<&str> = said.lines().skip_while(|line| !line.contains("-->")).take(4).collect();
        assert_eq!(shown.iter().map(|line| line.trim_start()).collect::<Vec<_>>(), expected, "{said}");
        // The marks stand below what they mark.
        let column_of = |line: &str, part: &str| line.find(part).map(|at| line[..at].chars().count());
        assert_eq!(column_of(shown[2], "|"), column_of(shown[3], "|"), "{said}");
    };
    shown("pm.max_children = zwei", 19, &format!("{}^^^^", " ".repeat(18)));
    shown("nonsense = 1", 1, "^^^^^^^^");
    shown("  daemonize = yes", 3, "  ^^^^^^^^^");
    shown("env[X] = caf\u{e9} b=c", 16, &format!("{}^", " ".repeat(15)));
}

#[test]
fn a_missing_configuration_is_named() {
    let site = Site::new();
    let missing = site.dir().join("missing.conf");
    for kind in [Kind::PhpFpm, Kind::PhpFtm] {
        for args in [&["-t"][..], &["-F"], &["-D"]] {
            let output = run(kind, &site, &[args, &["-y", path(&missing)]].concat());
            assert_eq!(output.status.code(), Some(78), "{} {args:?}: {output:?}", kind.name());
            let file = missing.display();
            let expected = [
                format!("[time] ERROR: failed to open configuration file '{file}': No such file or directory (2)"),
                format!("[time] ERROR: failed to load configuration file '{file}'"),
                "[time] ERROR: FPM initialization failed".to_owned(),
            ];
            assert_eq!(log_lines(&text(&output.stderr)), expected, "{} {args:?}", kind.name());
        }
        // Below a prefix it is etc/php-fpm.conf.
        let output = run(kind, &site, &["-t", "-p", path(site.dir())]);
        assert_eq!(output.status.code(), Some(78), "{}: {output:?}", kind.name());
        let file = format!("'{}/etc/php-fpm.conf'", site.dir().display());
        assert!(text(&output.stderr).contains(&file), "{}: {output:?}", kind.name());
    }
}

#[test]
fn information_is_text() {
    let site = Site::new();
    for kind in [Kind::PhpFpm, Kind::PhpFtm] {
        for option in ["-i", "--info"] {
            let output = run(kind, &site, &["-n", option]);
            assert_eq!(output.status.code(), Some(0), "{} {option}: {output:?}", kind.name());
            let text = text(&output.stdout);
            assert!(text.starts_with("phpinfo()\nPHP Version => "), "{}: {}", kind.name(), &text[..200]);
            for line in ["\nServer API => FPM/FastCGI\n", "\ncgi-fcgi\n\nphp-fpm => active\n"] {
                assert!(text.contains(line), "{}: {line:?} is not in\n{text}", kind.name());
            }
        }
    }
}

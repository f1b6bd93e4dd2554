//! Whole messages as a user sees them.

mod support;

use ftm_config::Diagnostic;
use support::memory::Memory;
use support::{GOOD, load_files, load_text};

fn errors(text: &str) -> Vec<String> {
    let errors = load_text(text).expect_err("bad");
    errors.iter().map(Diagnostic::to_string).collect()
}

/// What the lines behind a good pool lead to, without php-fpm's two closing lines.
fn errors_behind_good(lines: &str) -> Vec<String> {
    let mut all = errors(&[GOOD, lines].concat());
    all.truncate(all.len() - 2);
    all
}

#[test]
fn a_misspelt_directive_is_shown_with_the_right_one() {
    assert_eq!(
        errors_behind_good("pm.max_childrn = 5\n"),
        ["[t.conf:5] unknown entry 'pm.max_childrn'
  --> t.conf:5:1
   |
 5 | pm.max_childrn = 5
   | ^^^^^^^^^^^^^^
   = help: did you mean 'pm.max_children'?"]
    );
}

#[test]
fn a_bad_value_is_marked() {
    assert_eq!(
        errors_behind_good("request_terminate_timeout = 5 min ; long\n"),
        ["[t.conf:5] unable to parse value for entry 'request_terminate_timeout': \
          unknown suffix used in time value
  --> t.conf:5:29
   |
 5 | request_terminate_timeout = 5 min ; long
   |                             ^^^^^
   = help: write seconds, or a number followed by s, m, h or d, as in 30s"]
    );
}

#[test]
fn a_syntax_error_comes_in_phps_words_without_a_level() {
    let text = [GOOD, "php_value[x] = a=b\n"].concat();
    let errors = load_text(&text).expect_err("bad");
    assert_eq!(errors[0].level, None);
    assert_eq!(
        errors[0].to_string(),
        "PHP:  syntax error, unexpected '=' in Unknown on line 1
  --> t.conf:5:17
   |
 5 | php_value[x] = a=b
   |                 ^
   = help: text with = ; & | ^ ~ ! ( ) { } or \" in it needs quotes"
    );
}

#[test]
fn what_is_not_closed_is_named() {
    for (line, help) in [
        ("[www", "the bracket is not closed"),
        ("env[a = b", "the bracket is not closed"),
        ("env[a] = \"b", "the double quote is not closed"),
        ("env[a] = 'b", "the single quote is not closed"),
        ("env[a] = ${b", "the ${ is not closed"),
        ("env[a] = (1", "the parenthesis is not closed"),
        ("env[a] b", "write name[key] = value"),
        ("env[a] = yes sir", "text with = ; & | ^ ~ ! ( ) { } or \" in it needs quotes"),
        ("env[a] = say yes", "yes, no, on, off, true, false, none and null among other text need quotes"),
        ("# a comment", "comments start with ';'"),
        ("// a comment", "comments start with ';'"),
        ("user", "write user = …"),
    ] {
        let all = errors_behind_good(&format!("{line}\n"));
        let last = all[0].lines().last().unwrap_or_default();
        assert_eq!(last, format!("   = help: {help}"), "{}", all[0]);
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    assert_eq!(
        errors("foo = 1\n[www]\npm = statik\nenv[] = x\n[b]\n= 2\n")
            .iter()
            .filter_map(|error| error.lines().next())
            .collect::<Vec<_>>(),
        [
            "[t.conf:1] unknown entry 'foo'",
            "[t.conf:3] unable to parse value for entry 'pm': invalid process manager (static, \
             dynamic or ondemand)",
            "[t.conf:4] You must provide a key for field 'env'",
            "PHP:  syntax error, unexpected '=' in Unknown on line 1",
            "failed to load configuration file 't.conf'",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn every_pool_is_judged_and_places_are_shown() {
    assert_eq!(
        errors("log_limit = 5\n[a]\nlisten = 1.2.3.4:70000\npm = static\n[b]\npm.max_children = 3\n"),
        [
            "log_limit must be greater than 512
  --> t.conf:1:13
   |
 1 | log_limit = 5
   |             ^",
            "[pool a] pm.max_children must be a positive value
  --> t.conf:2:2
   |
 2 | [a]
   |  ^",
            "[pool b] no listen address have been defined!
  --> t.conf:5:2
   |
 5 | [b]
   |  ^",
            "[pool b] the process manager is missing (static, dynamic or ondemand)
  --> t.conf:5:2
   |
 5 | [b]
   |  ^",
            "invalid port value '70000'
  --> t.conf:3:10
   |
 3 | listen = 1.2.3.4:70000
   |          ^^^^^^^^^^^^^",
            "failed to post process the configuration",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn a_bad_port_alone_is_no_matter_of_post_processing() {
    let all = errors("[a]\nlisten = 127.0.0.1:69002\npm = static\npm.max_children = 1\n");
    let first: Vec<&str> = all.iter().filter_map(|error| error.lines().next()).collect();
    assert_eq!(first, ["invalid port value '69002'", "FPM initialization failed"]);
}

#[test]
fn a_missing_file_is_named_with_its_reason() {
    assert_eq!(
        load_files(&Memory::default())
            .expect_err("nothing there")
            .iter()
            .map(Diagnostic::to_string)
            .collect::<Vec<_>>(),
        [
            "failed to open configuration file 't.conf': No such file or directory (2)",
            "failed to load configuration file 't.conf'",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn an_empty_file_has_no_pool() {
    assert_eq!(
        errors("; nothing\n"),
        [
            "No pool defined. at least one pool section must be specified in config file",
            "failed to post process the configuration",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn errors_in_included_files_show_both_places_with_real_lines() {
    let main = "include = /etc/d/*.conf\n\nbar = 1\n";
    let files = Memory::new(
        &[("t.conf", main.as_bytes()), ("/etc/d/a.conf", b"; fine\n"), ("/etc/d/b.conf", b"\n\n\n\nfoo = 1\n")],
        &[],
    );
    let errors = load_files(&files).expect_err("bad");
    assert_eq!(
        errors.iter().map(Diagnostic::to_string).collect::<Vec<_>>(),
        [
            "[/etc/d/b.conf:5] unknown entry 'foo'
  --> /etc/d/b.conf:5:1
   |
 5 | foo = 1
   | ^^^",
            "Unable to include /etc/d/b.conf from t.conf at line 1
  --> t.conf:1:11
   |
 1 | include = /etc/d/*.conf
   |           ^^^^^^^^^^^^^",
            "[t.conf:3] unknown entry 'bar'
  --> t.conf:3:1
   |
 3 | bar = 1
   | ^^^",
            "failed to load configuration file 't.conf'",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn two_pools_at_one_address_are_refused_however_it_came_about() {
    let pool = |name: &str, lines: &str| format!("[{name}]\n{lines}\npm = static\npm.max_children = 1\n");
    let text =
        [pool("a", "listen = 9000"), pool("b", "listen = 9001\npm.status_listen = 9000"), pool("c", "listen = 9001")]
            .concat();
    let all = errors(&text);
    let first: Vec<&str> = all.iter().filter_map(|error| error.lines().next()).collect();
    assert_eq!(
        first,
        [
            "[pool b_status] unable to set listen address as it's already used in another pool 'a'",
            "[pool c] unable to set listen address as it's already used in another pool 'b'",
            "failed to post process the configuration",
            "FPM initialization failed",
        ]
    );
}

#[test]
fn own_directives_have_their_rules() {
    for (line, said) in [
        ("request_params_limit = 0", "request_params_limit must be a positive value"),
        ("response_timeout = -1", "response_timeout(-1s) can't be negative"),
        ("force_kill_deadline = -1s", "force_kill_deadline(-1s) can't be negative"),
        ("crash_drain_timeout = 0", "crash_drain_timeout(0s) must be a positive value"),
        ("max_abandoned_threads = 0", "max_abandoned_threads(0) must be between 1 and 65535"),
        ("opcache_restart_timeout = 0", "opcache_restart_timeout(0s) must be a positive value"),
        ("connection_max_requests = 0", "connection_max_requests(0) must be between 1 and 65535"),
        ("connection_max_requests = 65536", "connection_max_requests(65536) must be between 1 and 65535"),
        ("thread_stack_size = 64K", "thread_stack_size(65536) must be 0 or at least 262144"),
    ] {
        let all = errors_behind_good(&format!("{line}\n"));
        let first = all[0].lines().next();
        assert_eq!(first, Some(format!("[pool www] {said}").as_str()));
    }
}

#[test]
fn a_nul_byte_and_endless_things_are_refused() {
    let first = |text: &str| errors_behind_good(text)[0].lines().next().map(String::from);
    for line in ["env[a] = b\0c\n", "env[a] = 'b\0c'\n", "a\0b = c\n", "[a\0b]\n", "env[a] = \0\n"] {
        assert_eq!(
            first(line).as_deref(),
            Some("PHP:  syntax error, unexpected NUL byte in Unknown on line 1"),
            "{line:?}"
        );
    }
    let long = format!("env[a] = {}\n", "x".repeat(2 << 20));
    assert_eq!(first(&long).as_deref(), Some("[t.conf:5] line longer than 1048576 bytes"));
    let deep = format!("env[a] = {}1\n", "(".repeat(100_000));
    assert_eq!(first(&deep).as_deref(), Some("PHP:  memory exhausted in Unknown on line 1"));
    let nested = format!("env[a] = {}\n", "${a:-".repeat(100_000));
    assert_eq!(first(&nested).as_deref(), Some("PHP:  memory exhausted in Unknown on line 1"));
    let grown = format!("env[a] = \"{}\"\n", "$pool".repeat(200_000));
    let name = format!("[{}]\n", "p".repeat(200));
    assert_eq!(
        first(&(name + &grown)).as_deref(),
        Some("[t.conf:6] error while parsing 'env[a]' : value longer than 1048576 bytes")
    );
    let name = format!("[{}]\n", "p".repeat(300));
    assert_eq!(first(&name).as_deref(), Some("[t.conf:5] the pool's name is longer than 255 bytes"));
}

#[test]
fn a_pool_named_after_the_token_does_not_expand_for_ever() {
    let text = "[a$pool]\nlisten = /run/$pool\npm = static\npm.max_children = 1\n";
    let loaded = load_text(text).expect("good");
    assert_eq!(loaded.config.pools[0].listen.name, "/run/a$pool");
}

#[test]
fn reading_stops_at_a_hundred_errors() {
    let all = errors(&"x = 1\n".repeat(100_000));
    assert_eq!(all.len(), 103);
    assert_eq!(all[100], "100 errors; the rest is not read");
}

#[test]
fn names_that_must_be_text_are_refused_otherwise() {
    let bytes = [GOOD.as_bytes(), b"user = \xff\nenv[\xfe] = \xff\n"].concat();
    let files = Memory::new(&[("t.conf", &bytes)], &[]);
    let errors = load_files(&files).expect_err("bad");
    assert_eq!(errors[0].message, "[pool www] 'user' is not valid UTF-8");
    let bytes = [GOOD.as_bytes(), b"env[\xfe] = \xff\n"].concat();
    let files = Memory::new(&[("t.conf", &bytes)], &[]);
    assert!(load_files(&files).is_ok());
    let files = Memory::new(&[("t.conf", b"[\xff]\n")], &[]);
    let errors = load_files(&files).expect_err("bad");
    assert_eq!(errors[0].message, "[t.conf:1] the pool's name is not valid UTF-8");
}

#[test]
fn a_socket_path_too_long_is_an_error_in_a_test_and_else_a_warning() {
    let path = format!("/{}", "x".repeat(150));
    let text = format!("[a]\nlisten = {path}\npm = static\npm.max_children = 1\n");
    let loaded = load_text(&text).expect("good");
    let cut = &path[..107];
    assert_eq!(
        loaded.diagnostics[0].message,
        format!(
            "[pool a] cannot bind to UNIX socket '{path}' as path is too long (found length: 151, \
             maximal length: 108), trying cut socket path instead '{cut}'"
        )
    );
    assert_eq!(loaded.config.pools[0].listen.name, cut);
    let files = Memory::new(&[("t.conf", text.as_bytes())], &[]);
    let options = ftm_config::LoadOptions { files: &files, testing: true, ..Default::default() };
    let errors = ftm_config::load("t.conf".as_ref(), &options).expect_err("bad");
    assert_eq!(errors.len(), 2);
    assert!(errors[0].message.ends_with("(found length: 151, maximal length: 108)"));
}

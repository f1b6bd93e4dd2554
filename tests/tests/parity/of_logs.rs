//! Configurations that differ in what is logged.

use ftm_tests::PoolConfig;
use ftm_tests::parity::{Comparison, Logs};

use super::{compare, errors, ini, logs, on, paths, pool};

/// A pool with an access log, the pages, and the default format unless one is given.
fn logging(format: Option<&str>) -> PoolConfig {
    let pool = pool().set("access.log", "{room}/access.log").set("pm.status_path", "/status").set("ping.path", "/ping");
    format.iter().fold(pool, |pool, format| pool.set("access.format", &format!("\"{format}\"")))
}

#[test]
fn access_log_of_the_default_format() {
    let comparison = Comparison::new("access log", on(logging(None))).logs(Logs::PerCase);
    compare(&comparison, &[logs::access, logs::access_of_odd_characters, paths::cases]);
}

#[test]
fn access_log_over_tcp() {
    let comparison = Comparison::new("access log over TCP", on(logging(None).tcp())).logs(Logs::PerCase);
    compare(&comparison, &[logs::access]);
}

#[test]
fn access_log_with_every_specifier() {
    let format = "%r %% m=%m q=%Q%q s=%s f=%f l=%l n=%n u=%u R=%R o=%{X-Test}o o=%{Content-type}o o=%{Status}o \
                  e=%{HTTP_X_TEST}e e=%{REMOTE_ADDR}e e=%{NONE}e cpu=%C cpu=%{user}C cpu=%{system}C cpu=%{total}C \
                  took=%d took=%{seconds}d took=%{milliseconds}d took=%{milli}d us=%{microseconds}d us=%{micro}d \
                  mem=%M mem=%{bytes}M mem=%{kilobytes}M mem=%{kilo}M mem=%{megabytes}M mem=%{mega}M pid=%p parent=%P \
                  %t %T at=%{%H:%M}t at=%{%H:%M}T";
    let comparison = Comparison::new("every specifier", on(logging(Some(format)))).logs(Logs::PerCase);
    compare(&comparison, &[logs::access]);
}

#[test]
fn access_log_of_sites() {
    let format = "%R - %u %t \\\"%m %r%Q%q\\\" %s %f %{milli}d %{kilo}M %C%%";
    let format =
        format.replace("%{milli}d", "took=%{milli}d").replace("%{kilo}M", "mem=%{kilo}M").replace("%C", "cpu=%C");
    let comparison = Comparison::new("access log of sites", on(logging(Some(&format)))).logs(Logs::PerCase);
    compare(&comparison, &[logs::access]);
}

#[test]
fn access_log_in_a_format_with_odd_characters() {
    let format = "{'r':'%r','s':%s}\t%%%%%{X-Test}o%{x-test}o;$pool;%n";
    let comparison = Comparison::new("odd format", on(logging(Some(format)))).logs(Logs::PerCase);
    compare(&comparison, &[logs::access]);
}

#[test]
fn access_log_with_suppressed_paths() {
    // Of such a key only one value would be kept if it were set twice.
    let pool = logging(None).set(
        "access.suppress_path[]",
        "/hello.php\naccess.suppress_path[] = /ping\naccess.suppress_path[] = /other.php",
    );
    let comparison = Comparison::new("suppressed paths", on(pool)).logs(Logs::PerCase);
    compare(&comparison, &[logs::suppressed]);
}

#[test]
fn error_log_with_workers_output() {
    let config = on(pool()).ini("display_errors = 0");
    let comparison = Comparison::new("workers' output", config).logs(Logs::PerCase);
    compare(&comparison, &[errors::cases, paths::cases, logs::written, logs::long_messages, ini::faults]);
}

#[test]
fn error_log_with_undecorated_output() {
    let pool = pool().set("decorate_workers_output", "no");
    let comparison = Comparison::new("undecorated output", on(pool)).logs(Logs::PerCase);
    compare(&comparison, &[errors::cases, logs::written, ini::faults]);
}

#[test]
fn error_log_with_short_lines() {
    let config = on(pool()).global("log_limit", "512");
    let comparison = Comparison::new("log_limit", config).logs(Logs::PerCase);
    compare(&comparison, &[logs::written, logs::long_messages]);
}

#[test]
fn error_log_with_short_undecorated_lines() {
    let config =
        on(pool().set("decorate_workers_output", "no")).global("log_limit", "600").global("log_buffering", "no");
    let comparison = Comparison::new("log_limit, undecorated", config).logs(Logs::PerCase);
    compare(&comparison, &[logs::written]);
}

#[test]
fn error_log_with_lines_of_stdout() {
    let comparison = Comparison::new("stdout", on(pool())).logs(Logs::Whole);
    compare(&comparison, &[logs::on_stdout]);
}

#[test]
fn error_log_of_warnings() {
    let config = on(pool()).global("log_level", "warning");
    let comparison = Comparison::new("log_level warning", config).logs(Logs::PerCase);
    compare(&comparison, &[errors::cases, logs::written]);
}

#[test]
fn error_log_without_workers_output() {
    let pool = pool().set("catch_workers_output", "no");
    let comparison = Comparison::new("no workers' output", on(pool)).logs(Logs::Whole);
    compare(&comparison, &[errors::cases, logs::written]);
}

#[test]
fn error_log_where_errors_go_to_a_file() {
    let config = on(pool().set("php_admin_value[error_log]", "/dev/null")).ini("display_errors = 0");
    let comparison = Comparison::new("error_log elsewhere", config).logs(Logs::Whole);
    compare(&comparison, &[errors::cases]);
}

//! Configurations that differ in directives of the pool, and in what stands before it.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::{Cases, Comparison};
use ftm_tests::*;

use super::{
    DIFFERENCES, apache, bodies, compare, compare_on, config, errors, fronts, functions, ini, methods, on, pages,
    paths, pool, protocol, site, user_ini,
};

#[test]
fn document_root_of_the_server() {
    let site = site();
    let pool = pool().set("php_admin_value[doc_root]", &site.docroot().display().to_string());
    compare_on(&Comparison::new("doc_root", on(pool)), &site, &[paths::cases, apache::cases]);
}

#[test]
fn every_extension() {
    let pool = pool().set("security.limit_extensions", "");
    compare(&Comparison::new("every extension", on(pool)), &[paths::cases, apache::cases]);
}

#[test]
fn several_extensions() {
    let pool = pool().set("security.limit_extensions", ".php5 .PHP .txt php");
    compare(&Comparison::new("several extensions", on(pool)), &[paths::cases, apache::cases]);
}

#[test]
fn environment_kept() {
    let pool = pool()
        .set("clear_env", "no")
        .set("env[MINE]", "\"my own\"")
        .set("env[FROM_MASTER]", "$MASTER")
        .set("env[NOWHERE]", "$NOWHERE")
        .set("env[QUERY_STRING]", "of the pool")
        .set("env[HTTP_PROXY]", "proxy");
    let config =
        on(pool).env("MASTER", "m").env("FPM_ODD", "x").env("PHP_VALUE", "precision=9").env("REQUEST_METHOD", "ENV");
    // In this order: what a request puts into php-fpm's environment and takes out again changes the order of the next one's.
    compare(&Comparison::new("environment kept", config), &[methods::cases, functions::cases]);
}

#[test]
fn confined_to_a_root() {
    if !nix::unistd::geteuid().is_root() {
        return ftm_tests::wait::skipped("chroot needs root");
    }
    let site = site();
    // Debian's PHP takes time zones from files, and crashes where there are none.
    let zones = site.dir().join("usr/share/zoneinfo");
    ftm_tests::site::mkdir(&zones);
    for file in ["UTC", "zone.tab", "iso3166.tab"] {
        std::fs::copy(format!("/usr/share/zoneinfo/{file}"), zones.join(file)).expect("tzdata");
    }
    let pool = pool().set("chroot", &site.dir().display().to_string());
    let config = on(pool).ini("sys_temp_dir = /tmp").ini("upload_tmp_dir = /tmp").ini("session.save_path = /sessions");
    let themes = [methods::cases, paths::cases, errors::cases, functions::cases];
    compare_on(&Comparison::new("chroot", config).chrooted(), &site, &themes);
}

#[test]
fn working_directory() {
    let site = site();
    let pool = pool().set("chdir", &site.docroot().join("sub").display().to_string());
    compare_on(&Comparison::new("chdir", on(pool)), &site, &[paths::cases, functions::cases]);
}

#[test]
fn settings_in_params() {
    let pool = pool()
        .set("pm.max_requests", "1")
        .set("php_value[user_agent]", "of the pool")
        .set("php_admin_value[default_socket_timeout]", "7");
    compare(&Comparison::new("settings in params", on(pool)), &[ini::cases]);
}

#[test]
fn settings_in_files_and_of_the_pool() {
    let pool = pool()
        .set("php_value[precision]", "11")
        .set("php_admin_value[user_agent]", "of the pool")
        .set("php_flag[short_open_tag]", "off")
        .set("php_admin_flag[log_errors]", "on")
        .set("php_value[include_path]", "/of/the/pool");
    compare(&Comparison::new(".user.ini and pool", on(pool)), &[user_ini::cases, functions::cases]);
}

#[test]
fn status_and_ping_pages() {
    let pool =
        pool().set("pm.status_path", "/status").set("ping.path", "/ping").set("ping.response", "\"pong & <more>\"");
    compare(&Comparison::new("pages", on(pool)), &[pages::cases, pages::slots]);
}

#[test]
fn status_and_ping_pages_over_tcp() {
    let pool = pool().tcp().set("pm.status_path", "/status").set("ping.path", "/ping");
    compare(&Comparison::new("pages over TCP", on(pool)), &[pages::cases]);
}

#[test]
fn protocol_on_a_unix_socket() {
    compare(&Comparison::new("protocol, unix", config()), &[protocol::cases, protocol::records_of_php_ftm]);
}

#[test]
fn protocol_over_tcp() {
    compare(&Comparison::new("protocol, TCP", on(pool().tcp())), &[protocol::cases, methods::cases]);
}

#[test]
fn web_servers() {
    let rewrite = "RewriteEngine On\nRewriteRule ^/pretty/(.*)$ /vars.php/$1?pretty=1 [QSA,PT]\n";
    let comparison = Comparison::new("web servers", config())
        .nginx(NginxConfig::default())
        .apache(Handler::SetHandler, rewrite.to_owned());
    compare(&comparison, &[fronts::nginx, fronts::apache]);
}

#[test]
fn web_servers_over_tcp() {
    let rewrite = "RewriteEngine On\nRewriteRule ^/pretty/(.*)$ /vars.php/$1?pretty=1 [QSA,PT]\n";
    let comparison = Comparison::new("web servers over TCP", on(pool().tcp()).ini("cgi.fix_pathinfo = 0"))
        .nginx(NginxConfig::default())
        .apache(Handler::ProxyPassMatch, rewrite.to_owned());
    compare(&comparison, &[fronts::nginx, fronts::apache]);
}

#[test]
fn confined_by_open_basedir() {
    let site = site();
    let allowed = format!("{}:{}/tmp", site.docroot().display(), site.dir().display());
    let pool =
        pool().set("php_admin_value[open_basedir]", &allowed).set("php_admin_value[disable_functions]", "system,exec");
    let script = site.dir().join("outside.php");
    std::fs::write(&script, "<?php echo 'outside';").expect("write");
    let mut cases = Cases::new(&site);
    let outside = Call::get(&site, "/outside.php").param("SCRIPT_FILENAME", script.display().to_string());
    cases.call("script outside", outside.clone());
    cases.call("script outside with path info", outside.param("SCRIPT_FILENAME", format!("{}/x", script.display())));
    cases.php(
        "include outside",
        &format!("include '{}'; var_dump(@file_get_contents('/etc/hostname'));", script.display()),
    );
    cases.php("disabled function", "var_dump(function_exists('exec')); exec('true');");
    for theme in [paths::cases, errors::cases, bodies::cases, user_ini::cases] {
        theme(&mut cases);
    }
    Comparison::new("open_basedir", on(pool)).run(&site, &cases.list, DIFFERENCES);
}

#[test]
fn sized_dynamically() {
    let pool = pool()
        .set("pm", "dynamic")
        .children(3)
        .set("pm.start_servers", "1")
        .set("pm.min_spare_servers", "1")
        .set("pm.max_spare_servers", "1")
        .set("pm.status_path", "/status")
        .set("ping.path", "/ping");
    compare(&Comparison::new("dynamic", on(pool)), &[pages::cases, methods::cases]);
}

#[test]
fn sized_on_demand() {
    let pool = pool()
        .set("pm", "ondemand")
        .set("pm.process_idle_timeout", "1s")
        .set("pm.max_requests", "7")
        .set("pm.status_path", "/s")
        .set("ping.path", "/ping");
    compare(&Comparison::new("ondemand", on(pool)), &[pages::cases, methods::cases]);
}

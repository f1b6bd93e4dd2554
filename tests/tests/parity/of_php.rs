//! Configurations that differ in settings of PHP.

use ftm_tests::parity::Comparison;

use super::{apache, bodies, compare, compare_on, config, errors, headers, methods, paths, site, user_ini};

#[test]
fn errors_not_shown() {
    let config = config().ini("display_errors = 0").ini("error_reporting = E_ALL");
    compare(&Comparison::new("errors not shown", config), &[errors::cases, errors::long_messages]);
}

#[test]
fn errors_shown_in_html() {
    let config =
        config().ini("display_errors = 1").ini("html_errors = 1").ini("docref_root = /manual/").ini("expose_php = 0");
    compare(&Comparison::new("errors in HTML", config), &[errors::cases]);
}

#[test]
fn errors_on_stderr_without_logging() {
    let config = config().ini("display_errors = stderr").ini("log_errors = 0").ini("fastcgi.logging = 0");
    compare(&Comparison::new("no logging", config), &[errors::cases, paths::cases]);
}

#[test]
fn error_header() {
    let config = config().ini("display_errors = 0").ini("fastcgi.error_header = \"HTTP/1.1 590 Broken\"");
    compare(&Comparison::new("error header", config), &[errors::cases, headers::cases]);
}

#[test]
fn without_path_info() {
    let config = config().ini("cgi.fix_pathinfo = 0");
    compare(&Comparison::new("fix_pathinfo = 0", config), &[paths::cases, apache::cases]);
}

#[test]
fn path_discarded() {
    let config = config().ini("cgi.fix_pathinfo = 0").ini("cgi.discard_path = 1");
    compare(&Comparison::new("discard_path", config), &[paths::cases, apache::cases]);
}

#[test]
fn rfc2616_headers() {
    let config = config().ini("cgi.rfc2616_headers = 1");
    compare(&Comparison::new("rfc2616_headers", config), &[headers::cases, errors::cases]);
}

#[test]
fn nph() {
    compare(&Comparison::new("nph", config().ini("cgi.nph = 1")), &[headers::cases, errors::cases]);
}

#[test]
fn nph_and_rfc2616_headers() {
    let config = config().ini("cgi.nph = 1").ini("cgi.rfc2616_headers = 1").ini("expose_php = 0");
    compare(&Comparison::new("nph and rfc2616_headers", config), &[headers::cases]);
}

#[test]
fn output_buffered() {
    let config = config().ini("output_buffering = 4096").ini("display_errors = 1").ini("implicit_flush = 1");
    compare(&Comparison::new("output_buffering", config), &[headers::cases, errors::cases, methods::cases]);
}

#[test]
fn output_compressed() {
    let config = config().ini("zlib.output_compression = 1").ini("display_errors = 1");
    compare(&Comparison::new("zlib", config), &[headers::cases, methods::cases]);
}

#[test]
fn prepended_and_appended() {
    let site = site();
    site.file("before.inc", "<?php header('X-Before: 1'); echo 'before;';");
    site.file("after.inc", "<?php echo ';after ', http_response_code();");
    let (before, after) = (site.docroot().join("before.inc"), site.docroot().join("after.inc"));
    let config = config()
        .ini(&format!("auto_prepend_file = {}", before.display()))
        .ini(&format!("auto_append_file = {}", after.display()));
    compare_on(
        &Comparison::new("prepended", config),
        &site,
        &[headers::cases, errors::cases, paths::cases, methods::cases],
    );
}

#[test]
fn prepended_file_is_missing() {
    let config = config().ini("auto_prepend_file = no/such/file.php").ini("display_errors = 0");
    compare(&Comparison::new("prepended and missing", config), &[paths::cases, methods::cases]);
}

#[test]
fn user_dir() {
    let config = config().ini("user_dir = public_html").ini("cgi.fix_pathinfo = 0");
    compare(&Comparison::new("user_dir", config), &[paths::cases]);
}

#[test]
fn forms_not_read() {
    let config = config().ini("enable_post_data_reading = 0");
    compare(&Comparison::new("no post data reading", config), &[bodies::cases]);
}

#[test]
fn limits_of_bodies() {
    let config = config()
        .ini("post_max_size = 1000")
        .ini("upload_max_filesize = 5")
        .ini("max_file_uploads = 1")
        .ini("max_input_vars = 2")
        .ini("max_multipart_body_parts = 2")
        .ini("max_input_nesting_level = 1")
        .ini("display_errors = 1")
        .ini("display_startup_errors = 1");
    compare(&Comparison::new("limits of bodies", config), &[bodies::cases]);
}

#[test]
fn uploads_refused() {
    let config = config()
        .ini("file_uploads = 0")
        .ini("post_max_size = 0")
        .ini("auto_globals_jit = 0")
        .ini("variables_order = GPS");
    compare(&Comparison::new("no uploads", config), &[bodies::cases]);
}

#[test]
fn settings_in_files() {
    let site = site();
    let config = config()
        .ini("user_ini.cache_ttl = 0")
        .ini(&format!("[PATH={}/ini/section]\nprecision = 5\nmemory_limit = 77M", site.docroot().display()))
        .ini("[HOST=other.example]\nprecision = 4\nuser_agent = of the host");
    compare_on(&Comparison::new(".user.ini", config), &site, &[user_ini::cases, user_ini::sections]);
}

#[test]
fn settings_in_files_of_another_name() {
    let config = config().ini("user_ini.filename =");
    compare(&Comparison::new("no .user.ini", config), &[user_ini::cases]);
}

//! Settings that come with a request, in PHP_VALUE and PHP_ADMIN_VALUE.

use std::fs;

use ftm_tests::fcgi::{Call, Record, kind};
use ftm_tests::*;

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
        conn.send(call.encode(1));
        if n % 2 == 0 {
            // Read together with the request.
            conn.send(&abort);
        }
    }
    server.meet(4);
    let answer = server.call(&call);
    assert_eq!(answer.text(), "noted");
    let complaint = "Passing INI directive through FastCGI: unable to set 'no.such_entry'";
    assert!(answer.error_text().contains(complaint), "{}", answer.error_text());
    let noted = fs::read_to_string(&log).expect("the log");
    assert!(noted.lines().all(|line| line == format!("[{base}]")), "{noted}");
}

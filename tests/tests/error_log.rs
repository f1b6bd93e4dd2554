//! The error log in the forms that the parity tests do not compare, because php-fpm has no such form.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::*;

/// Decodes a log and shows of each line what is the same in each run.
const DECODE: &str = r#"<?php
foreach (explode("\n", rtrim(file_get_contents('php://input'))) as $line) {
    $entry = json_decode($line, true, 2, JSON_THROW_ON_ERROR);
    if (!preg_match('/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$/D', $entry['time'])) echo 'time of ', $line, "\n";
    if (!posix_getpgid($entry['pid'])) echo 'pid of ', $line, "\n";
    unset($entry['time'], $entry['pid']);
    echo implode('|', $entry), "\n";
}
"#;

#[test]
fn lines_of_json_are_objects_whatever_scripts_write() {
    only_php_ftm!("php-fpm does not write JSON");
    let site = Site::new();
    site.file("decode.php", DECODE);
    site.file("say.php", "<?php error_log(\"a \\\"quoted\\\"\\\\ \\x01\\xff message\\nof two lines\");");
    site.file("write.php", "<?php file_put_contents('php://stderr', \"<err> \\\"q\\\" \\xe4\\n\");");
    site.file("print.php", "<?php file_put_contents('php://stdout', \"out \\u{e4}\\n\");");
    let config = ServerConfig::default().global("log_format", "json").log_to_file();
    let server = Server::start(&site, config);
    let log = server.room().join("error.log");
    let logged =
        |said| eventually("the line is logged", || fs::read_to_string(&log).unwrap_or_default().contains(said));
    logged("ready to handle connections");
    for (uri, said) in [("/say.php", "of two lines"), ("/write.php", "<err>"), ("/print.php", "out ")] {
        server.get(uri);
        logged(said);
    }
    let lines = fs::read(&log).expect("the log");
    let decoded = server.call(&Call::post(&site, "/decode.php", "text/plain", lines)).text();
    let lines: Vec<&str> = decoded.lines().collect();
    assert_eq!(
        lines,
        [
            format!("notice|fpm is running, pid {}", server.pid()).as_str(),
            "notice|ready to handle connections",
            "warning|www|stderr|NOTICE: PHP message: a \"quoted\"\\ \u{1}\u{fffd} message",
            "warning|www|stderr|of two lines",
            "warning|www|stderr|<err> \"q\" \u{fffd}",
            "warning|www|stdout|out \u{e4}",
        ]
    );
    server.stop();
}

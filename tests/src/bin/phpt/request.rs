//! The request that a test's sections describe.

use std::path::Path;

use ftm_tests::fcgi::Call;

use crate::phpt::Phpt;

/// Sections whose tests no web server can run, and why.
const IMPOSSIBLE: [(&str, &str); 7] = [
    ("ARGS", "a request has no command line"),
    ("STDIN", "a request has no standard input"),
    ("CAPTURE_STDIO", "a request has no standard streams"),
    ("PHPDBG", "phpdbg only"),
    ("REDIRECTTEST", "stands for the tests of another directory"),
    ("GZIP_POST", "php-fpm does not unpack bodies"),
    ("DEFLATE_POST", "php-fpm does not unpack bodies"),
];

/// Why a web server cannot run this test, if so.
pub fn impossible(phpt: &Phpt) -> Option<String> {
    let (section, why) = IMPOSSIBLE.iter().find(|(section, _)| phpt.filled(section).is_some())?;
    Some(format!("--{section}--: {why}"))
}

/// `call` with the query, cookies, body and variables of the test's sections. `dir` is the test's directory.
pub fn of_sections(mut call: Call, phpt: &Phpt, dir: &Path) -> Call {
    for line in phpt.text("ENV").unwrap_or_default().replace("{PWD}", &dir.display().to_string()).lines() {
        if let Some((name, value)) = line.trim().split_once('=').filter(|(name, _)| !name.is_empty()) {
            call = call.param(name, value);
        }
    }
    if let Some(query) = phpt.filled("GET") {
        call = call.param("QUERY_STRING", query.trim_ascii());
    }
    if let Some(cookie) = phpt.filled("COOKIE") {
        call = call.param("HTTP_COOKIE", cookie.trim_ascii());
    }
    if let Some(body) = phpt.filled("POST_RAW") {
        return with_raw_body(call, "POST", body);
    }
    if let Some(body) = phpt.filled("PUT") {
        return with_raw_body(call, "PUT", body);
    }
    match phpt.filled("POST") {
        Some(body) => with_body(call, "POST", b"application/x-www-form-urlencoded", body.trim_ascii().to_vec()),
        None => call,
    }
}

/// A body whose type stands in it, in a line of its own.
fn with_raw_body(call: Call, method: &str, section: &[u8]) -> Call {
    const TYPE: &[u8] = b"content-type:";
    let mut kind = None;
    let mut lines: Vec<&[u8]> = Vec::new();
    for line in section.trim_ascii().split(|&b| b == b'\n') {
        match line.get(..TYPE.len()) {
            Some(start) if kind.is_none() && start.eq_ignore_ascii_case(TYPE) => {
                kind = Some(line[TYPE.len()..].trim_ascii());
            }
            _ => lines.push(line),
        }
    }
    with_body(call, method, kind.unwrap_or(b""), lines.join(&b'\n'))
}

fn with_body(call: Call, method: &str, kind: &[u8], body: Vec<u8>) -> Call {
    let mut call = call
        .param("REQUEST_METHOD", method)
        .param("CONTENT_TYPE", kind)
        .param("CONTENT_LENGTH", body.len().to_string());
    call.body = body;
    call
}

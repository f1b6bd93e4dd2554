//! The status and ping pages.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

fn page(cases: &Cases<'_>, path: &str, query: &str) -> Call {
    let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    Call::get(cases.site, &uri).param("SCRIPT_FILENAME", format!("/nowhere{path}"))
}

/// What the pages show of slots, and as metrics.
pub fn slots(cases: &mut Cases<'_>) {
    cases.call("metrics", page(cases, "/status", "openmetrics"));
    cases.call("metrics, full", page(cases, "/status", "openmetrics&full"));
    let uri = "/hello.php?<b>&\"quoted\"\\back%20%C3%A4";
    let odd = Call::get(cases.site, uri).param("REQUEST_METHOD", "O<\"DD");
    cases.call("odd request", odd.param("HTTP_AUTHORIZATION", "Basic dTwmPjpw"));
    for query in ["full", "full&json", "full&xml", "full&html"] {
        cases.call(&format!("slots ?{query}"), page(cases, "/status", query));
    }
}

pub fn cases(cases: &mut Cases<'_>) {
    for query in [
        "",
        "html",
        "json",
        "xml",
        "a=1&json",
        "JSON",
        "jso",
        "jsonx",
        "format=json",
        "html&json",
        "xml&html",
        "fullx",
        "=json",
        "json=1",
        "&json",
        "%6Ason",
    ] {
        cases.call(&format!("status ?{query}"), page(cases, "/status", query));
    }
    for method in ["HEAD", "POST", "PUT", "OPTIONS"] {
        cases.call(&format!("status {method}"), page(cases, "/status", "").param("REQUEST_METHOD", method));
        cases.call(&format!("status json {method}"), page(cases, "/status", "json").param("REQUEST_METHOD", method));
        cases.call(&format!("ping {method}"), page(cases, "/ping", "").param("REQUEST_METHOD", method));
    }
    cases.call("status, no method", page(cases, "/status", "").without("REQUEST_METHOD"));
    cases.call("status, no query", page(cases, "/status", "").without("QUERY_STRING"));
    cases.call("status, no file", page(cases, "/status", "").without("SCRIPT_FILENAME"));
    cases.call("status with a body", {
        let mut call = page(cases, "/status", "").param("REQUEST_METHOD", "POST").param("CONTENT_LENGTH", "4");
        call.body = b"body".to_vec();
        call
    });
    for path in ["/ping", "/ping/", "/pin", "/PING", "/status/", "//status", "/status.php", "/ping?full"] {
        cases.call(&format!("path {path}"), page(cases, path, ""));
    }
    cases.call("ping with a query", page(cases, "/ping", "json&full"));
    cases.call("ping and gzip", page(cases, "/ping", "").param("HTTP_ACCEPT_ENCODING", "gzip"));
    cases.call("page that is a script too", Call::get(cases.site, "/hello.php").param("SCRIPT_NAME", "/status"));
    cases.call("uri only", Call::get(cases.site, "/hello.php").param("REQUEST_URI", "/status"));
    cases.call("page by path info", Call::get(cases.site, "/hello.php").param("PATH_INFO", "/status"));
    cases.call("page with PHP_VALUE", page(cases, "/ping", "").param("PHP_VALUE", "precision=9"));
}

//! Request methods.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

pub fn cases(cases: &mut Cases<'_>) {
    let get = |uri: &str| Call::get(cases.site, uri);
    let (vars, hello) = (get("/vars.php?q=1"), get("/hello.php?n=HEAD"));
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "head", "Post", "G T", "ä"]
    {
        cases.call(&format!("method {method}"), vars.clone().param("REQUEST_METHOD", method));
    }
    cases.call("long method", vars.clone().param("REQUEST_METHOD", "M".repeat(300)));
    cases.call("empty method", vars.clone().param("REQUEST_METHOD", ""));
    cases.call("no method", vars.clone().without("REQUEST_METHOD"));
    cases.call("no params but the script", {
        let keep = ["SCRIPT_FILENAME"];
        let mut call = hello.clone();
        call.params.retain(|(name, _)| keep.iter().any(|k| k.as_bytes() == name));
        call
    });
    cases.call("no params at all", {
        let mut call = hello.clone();
        call.params.clear();
        call
    });
    cases.call("HEAD", hello.clone().param("REQUEST_METHOD", "HEAD"));
    let head = |code: &str, name: &str, cases: &mut Cases<'_>| {
        let uri = cases.script(name, code);
        let call = Call::get(cases.site, &uri).param("REQUEST_METHOD", "HEAD");
        cases.call(name, call);
    };
    head(
        "echo 'a'; flush(); header('X-Late: 1'); echo 'b'; error_log('after the output');",
        "HEAD, output and flush",
        cases,
    );
    head("header('Content-Length: 5'); echo 'hello';", "HEAD with a length", cases);
    head("http_response_code(404); header('X-Test: 1');", "HEAD of an error", cases);
    head("undefined();", "HEAD and a fatal error", cases);
    head("ob_start(); echo 'x'; error_log(ob_get_length());", "HEAD and a buffer", cases);
}

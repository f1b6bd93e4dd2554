//! Which script runs, and what it is told about its path: nginx's forms, and forms that no web server should send.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

pub fn cases(cases: &mut Cases<'_>) {
    let root = cases.site.docroot().display().to_string();
    let files = [
        "/vars.php",
        "/vars.php/info",
        "/vars.php/",
        "/vars.php/a%20b/c",
        "/sub/vars.php/x/y",
        "//vars.php",
        "/./vars.php",
        "/sub/../vars.php",
        "/vars.php/..",
        "/vars.php/../vars.php",
        "/",
        "",
        "/sub",
        "/sub/",
        "/missing.php",
        "/missing.php/info",
        "/missing/vars.php",
        "/a b.php",
        "/page.txt",
        "/page.txt/vars.php",
        "/upper.PHP",
        "/five.php5",
        "/inc.phar",
        "/empty.php",
        "/text.php",
        "/vars.php.",
        "/vars.php ",
        "/vars.php?x=1",
        "/vars.php\0.txt",
        "/..",
    ];
    for file in files {
        let name = file.replace('\0', "NUL");
        let call = Call::get(cases.site, "/").param("SCRIPT_FILENAME", format!("{root}{file}"));
        cases.call(&format!("file {name}"), call.clone().param("SCRIPT_NAME", file).param("REQUEST_URI", file));
        // As nginx without a path split sends it: the whole path is the script's name and the path info.
        if file.contains(".php/") {
            cases.call(&format!("file and info {name}"), call.param("SCRIPT_NAME", file).param("PATH_INFO", file));
        }
    }
    let split = Call::get(cases.site, "/vars.php").param("PATH_INFO", "/info/x");
    cases.call("split", split.clone());
    cases.call("split and translated", split.clone().param("PATH_TRANSLATED", format!("{root}/info/x")));
    cases.call(
        "split and translated to a script",
        split.clone().param("PATH_TRANSLATED", format!("{root}/sub/vars.php")),
    );
    cases.call("empty info", split.clone().param("PATH_INFO", ""));
    cases.call("no document root", split.clone().without("DOCUMENT_ROOT"));
    cases.call("no script name", split.clone().without("SCRIPT_NAME"));
    cases.call("empty script name", split.clone().param("SCRIPT_NAME", ""));
    cases.call("no file, but translated", {
        split.clone().without("SCRIPT_FILENAME").param("PATH_TRANSLATED", format!("{root}/vars.php"))
    });
    cases.call("no file at all", split.clone().without("SCRIPT_FILENAME"));
    cases.call("relative file", split.clone().param("SCRIPT_FILENAME", "vars.php"));
    cases.call("info that begins with the name", split.clone().param("PATH_INFO", "/vars.php/info"));
    cases.call("a very long file", split.clone().param("SCRIPT_FILENAME", format!("{root}/{}.php", "x".repeat(1500))));
    cases.call(
        "a very long info",
        split.clone().param("SCRIPT_FILENAME", format!("{root}/vars.php/{}", "x/".repeat(400))),
    );
    cases.call("no protocol", split.clone().without("SERVER_PROTOCOL"));
    cases.call("protocol 1.0", split.clone().param("SERVER_PROTOCOL", "HTTP/1.0"));
    cases.call("no query", split.clone().without("QUERY_STRING"));
    cases.call("query of one word", split.clone().param("QUERY_STRING", "one+two"));
    cases.call("redirected", split.clone().param("REDIRECT_URL", "/pretty").param("REDIRECT_STATUS", "404"));
    cases.call("remote user", split.clone().param("REMOTE_USER", "me").param("AUTH_TYPE", "Basic"));
    cases.call("auth type", split.param("AUTH_TYPE", "Basic").param("HTTP_AUTHORIZATION", "Basic dXNlcjpwYXNz"));
}

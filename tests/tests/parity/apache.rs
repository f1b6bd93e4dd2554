//! The forms of Apache's mod_proxy_fcgi: a handler or a proxied path in SCRIPT_FILENAME, REDIRECT_* of its rewriting.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

/// What php-fpm forgets.
pub fn action_with_path_info(cases: &mut Cases<'_>) {
    let uri = cases.script("where", "echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? 'none';");
    let script = format!("{}{uri}", cases.site.docroot().display());
    let action = Call::get(cases.site, &uri)
        .param("REDIRECT_URL", format!("{uri}/x/y"))
        .param("PATH_INFO", format!("{uri}/x/y"))
        .param("PATH_TRANSLATED", format!("{script}/x/y"));
    cases.call("action with path info", action);
}

pub fn cases(cases: &mut Cases<'_>) {
    let root = cases.site.docroot().display().to_string();
    for proxy in [
        "proxy:fcgi://localhost",
        "proxy:fcgi://127.0.0.1:9000",
        "proxy:balancer://pool",
        "PROXY:FCGI://h",
        "proxy:fcgi://[::1]:9000",
        "proxy:unix:/sock|fcgi://localhost",
        "proxy:http://h",
        "proxy:fcgi:/",
        "proxy:fcgi://user@h",
    ] {
        for (file, name, info) in [
            ("/vars.php", "/vars.php", None),
            ("/vars.php/info", "/vars.php/info", None),
            ("/vars.php/info", "/vars.php", Some("/info")),
            ("/vars.php/a b?q=1", "/vars.php/a%20b", None),
            ("//vars.php", "/vars.php", None),
            ("/missing.php/x", "/missing.php/x", None),
            ("/page.txt", "/page.txt", None),
        ] {
            let call = Call::get(cases.site, "/").param("SCRIPT_FILENAME", format!("{proxy}{root}{file}"));
            let call = call.param("SCRIPT_NAME", name).param("REQUEST_URI", name);
            let call = info.iter().fold(call, |call, info| call.param("PATH_INFO", *info));
            cases.call(&format!("{proxy} {file} {info:?}"), call);
        }
    }
    let plain = Call::get(cases.site, "/vars.php");
    for bare in
        ["proxy:fcgi://", "proxy:fcgi://h", "proxy:fcgi://h/", "proxy:fcgi:///", "proxy:fcgi://?x", "proxy:balancer://"]
    {
        cases.call(&format!("only {bare}"), plain.clone().param("SCRIPT_FILENAME", bare));
    }
    let action = plain
        .param("REDIRECT_URL", "/pretty/x")
        .param("REDIRECT_STATUS", "200")
        .param("REDIRECT_REDIRECT_STATUS", "200")
        .param("REDIRECT_HANDLER", "php-script")
        .param("PATH_INFO", "/pretty/x")
        .param("PATH_TRANSLATED", format!("{root}/vars.php"));
    cases.call("action", action.clone());
    cases.call(
        "action of a cgi",
        action.clone().param("SCRIPT_FILENAME", "/usr/lib/cgi-bin/php").param("SCRIPT_NAME", "/cgi-bin/php"),
    );
    cases.call("action without a file", action.clone().param("PATH_TRANSLATED", format!("{root}/missing.php")));
    cases.call("proxied and redirected", action.param("SCRIPT_FILENAME", format!("proxy:fcgi://h{root}/vars.php/x")));
}

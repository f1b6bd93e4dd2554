//! `$_SERVER`, `$_ENV`, `getenv()` and the request headers behind nginx and Apache: equal to php-fpm's, variable by
//! variable and in the same order.

use ftm_tests::compare::{Pair, VARS_SCRIPT, difference, http_text, without_addresses};
use ftm_tests::*;

fn config() -> ServerConfig {
    let pool = PoolConfig::new("www")
        .children(1)
        .set("env[FIRST]", "one")
        .set("env[SECOND]", "\"two words\"")
        .set("env[FROM_MASTER]", "$FTM_MASTER")
        .set("env[PATH]", "/usr/bin");
    ServerConfig::pool(pool)
        .env("FTM_MASTER", "inherited")
        .ini("variables_order = EGPCS")
        .ini("request_order = GP")
        .ini("expose_php = 0")
}

/// Requests that web servers pass on in all their variety; `page` names the script.
fn requests(page: &str) -> Vec<(&'static str, Request)> {
    let get = |rest: &str| Request::get(&format!("/{page}{rest}"));
    let form = "application/x-www-form-urlencoded";
    vec![
        ("plain", get("")),
        ("query", get("?q=1&r[]=2&r[k]=%C3%A4&s=a+b&flag&t=%00&.dot=1&sp%20ace=2&q=last")),
        ("empty query", get("?")),
        ("query of one word", get("?one+two%20three")),
        ("query with question mark and slashes", get("?a=?b/c&d=/e/../f")),
        ("path info", get("/a/b")),
        ("path info and query", get("/a%20b/%C3%A4/c.php/d?q=1")),
        ("path info of one slash", get("/")),
        ("double slashes", Request::get(&format!("//{page}//x//y"))),
        ("dots in the path", Request::get(&format!("/sub/../{page}/x/./y/../z"))),
        ("script in a folder", Request::get(&format!("/sub/{page}/info?q=1"))),
        ("directory index", Request::get("/sub/?q=1")),
        ("basic auth", get("").header("Authorization", "Basic dXNlcjpwYXNzOndvcmQ=")),
        ("basic auth, malformed", get("").header("Authorization", "Basic !!!")),
        ("basic auth without colon", get("").header("Authorization", "Basic dXNlcg==")),
        ("digest auth", get("").header("Authorization", "Digest username=\"u\", realm=\"r\"")),
        ("bearer", get("").header("Authorization", "Bearer abc.def")),
        ("httpoxy", get("").header("Proxy", "evil.example:80")),
        ("header names", get("").header("x-lower", "1").header("X-UPPER", "2").header("X-Mi-Xed9", "3")),
        ("odd header names", get("").header("X_Under", "1").header("X.Dot", "2").header("X!Bang", "3")),
        (
            "duplicate headers",
            get("").header("X-Dup", "1").header("X-Dup", "2").header("Accept", "a").header("Accept", "b"),
        ),
        ("empty header", get("").header("X-Empty", "").header("User-Agent", "")),
        ("header bytes", get("").header("X-Bytes", "tab\there \u{e4} \"q\" \\ %41 <b>")),
        ("cookies", get("").header("Cookie", "a=1; b[x]=2; c.d=3; a=4").header("Cookie", "e=5")),
        (
            "usual browser",
            get("")
                .header("User-Agent", "Mozilla/5.0 (X11)")
                .header("Accept", "text/html,*/*;q=0.8")
                .header("Accept-Language", "de,en;q=0.5")
                .header("Accept-Encoding", "identity")
                .header("Referer", "http://test.example/?x=1")
                .header("DNT", "1")
                .header("If-None-Match", "\"e\""),
        ),
        ("forwarded", get("").header("X-Forwarded-For", "192.0.2.7, 10.0.0.1").header("X-Forwarded-Proto", "https")),
        ("GET with content type", get("").header("Content-Type", "text/x-odd; charset=x")),
        ("POST form", Request::post(&format!("/{page}?q=get"), form, "q=post&a[b][]=1&a[b][]=2&x.y=z")),
        ("POST without type", Request::new("POST", &format!("/{page}")).body("raw")),
        ("POST of nothing", Request::post(&format!("/{page}"), form, "")),
        ("POST json", Request::post(&format!("/{page}/api"), "application/json", "{}")),
        ("PUT", Request::new("PUT", &format!("/{page}/res")).header("Content-Type", "text/plain").body("put me")),
        ("DELETE", Request::new("DELETE", &format!("/{page}/res?id=1"))),
        ("OPTIONS", Request::new("OPTIONS", &format!("/{page}"))),
        ("own method", Request::new("PROPFIND", &format!("/{page}")).header("Depth", "1")),
        ("absolute target", Request::get(&format!("http://test.example/{page}?q=1"))),
    ]
}

fn site() -> Site {
    let site = Site::new();
    for name in ["vars.php", "sub/vars.php", "sub/index.php"] {
        site.file(name, VARS_SCRIPT);
    }
    site
}

/// Sends each request to both fronts and compares the whole answers.
fn compare(what: &str, servers: &Pair, fronts: [&Address; 2], requests: &[(&str, Request)]) {
    let mut failures = Vec::new();
    for (name, request) in requests {
        let [reference, tested] = [0, 1].map(|i| {
            let answer = request.send(fronts[i]);
            assert!(!answer.status_line.contains(" 50"), "{what}, {name}: {}\n{}", answer.status_line, answer.text());
            assert!(!answer.text().contains("Fatal error"), "{what}, {name}: {}", answer.text());
            without_addresses(&http_text(&answer), &[(servers.both()[i].address(), "BACKEND"), (fronts[i], "FRONT")])
        });
        if let Some(difference) = difference(&reference, &tested) {
            failures.push(format!("{what}, {name}: {difference}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), requests.len(), failures.join("\n"));
}

#[test]
fn nginx() {
    let site = site();
    let servers = Pair::start(&site, &config());
    let config = NginxConfig {
        server: "underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;".into(),
        php: "fastcgi_param lower.case odd; fastcgi_param LIST[a] 1; fastcgi_param LIST[b] 2; fastcgi_param EMPTY '';
              fastcgi_param HTTPS on; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param FIRST from_params;"
            .into(),
        ..NginxConfig::default()
    };
    let fronts = servers.both().map(|server| Nginx::start_with(&site, server, &config));
    compare("nginx", &servers, [fronts[0].address(), fronts[1].address()], &requests("vars.php"));
}

#[test]
fn nginx_where_the_environment_is_kept() {
    let site = site();
    let pool = PoolConfig::new("www").children(1).set("clear_env", "no").set("env[FIRST]", "one");
    let config = ServerConfig::pool(pool)
        .env("FTM_MASTER", "inherited")
        .env("HTTP_PROXY", "from.master:80")
        .env("odd.name", "1")
        .env("FIRST", "of master")
        .env("SCRIPT_NAME", "of master")
        .ini("variables_order = EGPCS")
        .ini("expose_php = 0");
    let servers = Pair::start(&site, &config);
    let fronts = servers.both().map(|server| Nginx::start(&site, server));
    let requests: Vec<_> = requests("vars.php").into_iter().filter(|(name, _)| !name.contains("odd")).collect();
    compare("clear_env = no", &servers, [fronts[0].address(), fronts[1].address()], &requests);
}

#[test]
fn nginx_with_other_ini_settings() {
    let site = site();
    for ini in [
        &["variables_order = GPCS", "register_argc_argv = 0"][..],
        &["variables_order = S", "auto_globals_jit = 0", "register_argc_argv = 1"],
        &["variables_order = GP", "request_order = CGP"],
        &["cgi.fix_pathinfo = 0", "variables_order = EGPCS"],
        &["filter.default = full_special_chars", "max_input_vars = 2", "display_errors = 0"],
    ] {
        let config = ini.iter().fold(config(), |config, line| config.ini(line));
        let servers = Pair::start(&site, &config);
        let fronts = servers.both().map(|server| Nginx::start(&site, server));
        compare(&format!("{ini:?}"), &servers, [fronts[0].address(), fronts[1].address()], &requests("vars.php"));
    }
}

/// What sites add to Apache's configuration: authentication, rewriting, error documents, actions.
fn apache_extra(site: &Site) -> String {
    let passwords = site.dir().join("passwords");
    // user:password, in Apache's SHA-1 form.
    std::fs::write(&passwords, "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").expect("passwords");
    format!(
        "AllowEncodedSlashes NoDecode
AcceptPathInfo On
ErrorDocument 404 /vars.php?error
RewriteEngine On
RewriteRule ^/pretty/(.*)$ /vars.php/$1?pretty=1 [QSA,PT]
RewriteRule ^/env$ /vars.php [E=FROM_REWRITE:yes,PT]
SetEnv FROM_APACHE \"set env\"
SetEnvIf Authorization \"^(Digest|Bearer)\" HTTP_AUTHORIZATION=seen
<Location /private>\nAuthType Basic\nAuthName private\nAuthBasicProvider file\nAuthUserFile {}\nRequire valid-user\n</Location>
<Directory {}>\nCGIPassAuth On\n</Directory>\n",
        passwords.display(),
        site.docroot().display(),
    )
}

fn apache_requests() -> Vec<(&'static str, Request)> {
    let mut all = requests("vars.php");
    all.extend([
        ("rewritten", Request::get("/pretty/some/path?q=1")),
        ("rewritten, env", Request::get("/env")),
        ("error document", Request::get("/no/such/page?q=1")),
        ("encoded slash", Request::get("/vars.php/a%2Fb%3Fc%25d?q=1")),
        ("remote user", Request::get("/private/vars.php/x").header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")),
        ("unauthorised", Request::get("/private/vars.php/x")),
        ("by .htaccess", Request::get("/ht/any/thing?q=1")),
    ]);
    all
}

fn apache(handler: Handler, tcp: bool) {
    let site = site();
    site.file("private/vars.php", VARS_SCRIPT);
    site.file("ht/front.php", VARS_SCRIPT);
    let rules = "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^(.*)$ front.php/$1 [L]\n\
                 SetEnvIf Host (.*) FROM_HTACCESS=$1\n";
    site.file("ht/.htaccess", rules);
    let pool = PoolConfig::new("www").children(1);
    let config =
        ServerConfig::pool(if tcp { pool.tcp() } else { pool }).ini("variables_order = EGPCS").ini("expose_php = 0");
    let servers = Pair::start(&site, &config);
    let fronts = servers.both().map(|server| Apache::start(&site, server, handler, &apache_extra(&site)));
    let addresses = [fronts[0].address(), fronts[1].address()];
    let mut requests = apache_requests();
    if !servers.same_version() {
        // PHP 8.4 decodes the path info that it finds in Apache's SCRIPT_FILENAME.
        requests.retain(|(name, _)| *name != "path info and query");
    }
    compare(&format!("{handler:?}, tcp {tcp}"), &servers, addresses, &requests);
}

#[test]
fn apache_set_handler_unix() {
    apache(Handler::SetHandler, false);
}

#[test]
fn apache_set_handler_tcp() {
    apache(Handler::SetHandler, true);
}

#[test]
fn apache_proxy_pass_match_unix() {
    apache(Handler::ProxyPassMatch, false);
}

#[test]
fn apache_proxy_pass_match_tcp() {
    apache(Handler::ProxyPassMatch, true);
}

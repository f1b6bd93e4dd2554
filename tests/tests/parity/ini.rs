//! Settings in PHP_VALUE and PHP_ADMIN_VALUE params. Under php-fpm they stick to the worker, so that the configuration
//! gives each request a worker of its own.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

// The name is no constant: opcache's optimizer would put in the value that it has while the script is compiled, if that
// is one of PHP_ADMIN_VALUE.
const SHOW: &str = "foreach (['default_socket_timeout', 'memory_limit', 'precision', 'user_agent', 'display_errors', 'auto_append_file', 'open_basedir', 'disable_functions', 'upload_max_filesize', 'arg_separator.output', 'default_mimetype', 'error_reporting'] as $k) echo $k, '=', var_export(ini_get($k), true), \"\\n\"; echo ini_set('precision', 5), ini_get($_SERVER['NAME'] ?? 'precision');";

/// Params that set nothing.
pub fn faults(cases: &mut Cases<'_>) {
    for (name, value) in [("unknown", "no_such=1"), ("array", "precision[x]=9"), ("several", "no_such=1\nno.more=3")] {
        let call = Call::get(cases.site, "/hello.php").param("PHP_VALUE", value);
        cases.call(&format!("faulty PHP_VALUE: {name}"), call);
    }
}

pub fn cases(cases: &mut Cases<'_>) {
    let uri = cases.script("show", SHOW);
    let appended = cases.site.docroot().join("appended.inc");
    std::fs::write(&appended, "appended").expect("write");
    let append = format!("auto_append_file={}", appended.display());
    for (name, value) in [
        ("nothing", ""),
        ("one", "precision=9"),
        ("several", "precision=9\nmemory_limit=100M\n\nuser_agent = two words"),
        ("quoted", "user_agent = \"a;b=c\"\nprecision = '7'"),
        ("spaces", "  precision  =  9  \n\tuser_agent\t=\tx"),
        ("carriage returns", "precision=9\r\nuser_agent=x\r\n"),
        ("comment", "; precision=9\nuser_agent=x ; tail"),
        ("section", "[PHP]\nprecision=9"),
        ("section of a host", "[HOST=test.example]\nprecision=9"),
        ("bool", "display_errors=on\nuser_agent=off"),
        ("constant", "error_reporting=E_ALL & ~E_NOTICE"),
        ("unknown", "no_such=1\nprecision=9"),
        ("empty key", "=1"),
        ("no value", "precision"),
        ("empty value", "user_agent="),
        ("array", "precision[x]=9"),
        ("bad syntax", "precision=9\nuser_agent=\"open"),
        ("system setting", "upload_max_filesize=5M\nopen_basedir=/tmp:/var:/usr"),
        ("per dir setting", "arg_separator.output=;\nshort_open_tag=0"),
        ("type", "default_mimetype=text/x\ndefault_charset=x"),
        ("twice", "precision=9\nprecision=8"),
        ("disabled function", "disable_functions=hex2bin"),
        ("append", append.as_str()),
        ("out of range", "memory_limit=1K"),
        ("nul", "precision=9\0\nuser_agent=x"),
        ("long", &format!("user_agent={}", "x".repeat(5000))),
        ("held by the pool", "default_socket_timeout=8"),
        ("display", "display_errors=1\nhtml_errors=1"),
    ] {
        for param in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
            cases.call(&format!("{param} {name}"), Call::get(cases.site, &uri).param(param, value));
        }
    }
    let both = Call::get(cases.site, &uri).param("PHP_VALUE", "precision=9\nuser_agent=v");
    cases.call("both", both.clone().param("PHP_ADMIN_VALUE", "precision=8"));
    let other_order = Call::get(cases.site, &uri).param("PHP_ADMIN_VALUE", "precision=8");
    cases.call("both, the other way round", other_order.param("PHP_VALUE", "precision=9"));
    cases.call("in lower case", Call::get(cases.site, &uri).param("php_value", "precision=9"));
    cases.call(
        "for a script that is not there",
        Call::get(cases.site, "/missing.php").param("PHP_VALUE", "precision=9\nx"),
    );
}

//! .user.ini files, and the sections of php.ini for hosts and paths.

use ftm_tests::fcgi::Call;
use ftm_tests::parity::Cases;

const SHOW: &str = "<?php foreach (['precision', 'user_agent', 'memory_limit', 'upload_max_filesize', 'auto_prepend_file', 'include_path', 'serialize_precision', 'arg_separator.output'] as $k) echo $k, '=', var_export(ini_get($k), true), \"\\n\"; echo ini_set('user_agent', 'set'), ini_get('user_agent');";

/// Sections that are only meant for php.ini, and lists: php-fpm takes their tables for strings.
pub fn sections(cases: &mut Cases<'_>) {
    cases.site.file("ini/host/.user.ini", "[HOST=test.example]\nprecision = 6\n[PATH=/]\nuser_agent = path\n");
    cases.site.file("ini/host/show.php", "<?php echo ini_get('precision'), ini_get('user_agent');");
    cases.site.file("ini/list/.user.ini", "memory_limit[] = 1\nuser_agent[x] = y\nprecision = 6\n");
    cases.site.file("ini/list/show.php", "<?php echo ini_get('precision'), ini_get('user_agent');");
    cases.get("lists in .user.ini", "/ini/list/show.php");
    cases.get("sections in .user.ini", "/ini/host/show.php");
}

pub fn cases(cases: &mut Cases<'_>) {
    let files = [
        ("ini/.user.ini", "precision = 9\nuser_agent = outer\nupload_max_filesize = 3M\n"),
        ("ini/inner/.user.ini", "user_agent = inner\n; comment\n[section]\nmemory_limit = 100M\n"),
        ("ini/broken/.user.ini", "precision = 8\nuser_agent = \"open\n"),
        ("ini/system/.user.ini", "allow_url_include = 1\nextension = nothing\nno.such = 1\nprecision = 7\n"),
        ("ini/prepend/.user.ini", "auto_prepend_file = before.inc\n"),
        ("ini/empty/.user.ini", ""),
        ("ini/prepend/before.inc", "prepended\n"),
    ];
    files.iter().for_each(|(name, text)| drop(cases.site.file(name, text)));
    for dir in ["", "/inner", "/broken", "/system", "/prepend", "/empty", "/deep/er", "/section"] {
        let uri = format!("/ini{dir}/show.php");
        cases.site.file(&uri, SHOW);
        cases.get(&format!("in {dir:?}"), &uri);
    }
    let show = "/ini/inner/show.php";
    cases.get("outside", "/hello.php");
    cases.get("once more", show);
    for (name, host) in
        [("host", "other.example"), ("host in upper case", "OTHER.example"), ("unknown host", "third.example")]
    {
        cases.call(name, Call::get(cases.site, show).param("SERVER_NAME", host).param("HTTP_HOST", host));
    }
    cases.call("no root", Call::get(cases.site, show).without("DOCUMENT_ROOT"));
    cases.call("another document root", Call::get(cases.site, show).param("DOCUMENT_ROOT", "/var"));
    cases.call("root with a slash", {
        let root = format!("{}/", cases.site.docroot().display());
        Call::get(cases.site, show).param("DOCUMENT_ROOT", root)
    });
    cases.call("root below the script's folder", {
        let root = cases.site.docroot().join("ini/inner");
        Call::get(cases.site, show).param("DOCUMENT_ROOT", root.display().to_string())
    });
    cases.call("no host", Call::get(cases.site, show).without("SERVER_NAME"));
}

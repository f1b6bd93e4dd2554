//! What a script can ask about the server that it runs under.

use ftm_tests::parity::Cases;

const SCRIPTS: &[(&str, &str)] = &[
    ("sapi", "var_dump(PHP_SAPI, php_sapi_name(), defined('STDIN'), defined('STDERR'), PHP_OS, PHP_DEBUG);"),
    (
        "functions",
        "foreach (['dl', 'cli_set_process_title', 'apache_request_headers', 'getallheaders', 'apache_setenv', 'virtual', 'fastcgi_finish_request', 'fpm_get_status', 'litespeed_finish_request', 'headers_send', 'apache_response_headers', 'http_response_code', 'frankenphp_handle_request'] as $f) echo $f, (int) function_exists($f), ' ';",
    ),
    (
        "signatures",
        "foreach (['fastcgi_finish_request', 'fpm_get_status', 'getallheaders', 'apache_request_headers'] as $f) echo new ReflectionFunction($f);",
    ),
    (
        "ini file",
        "var_dump(basename(php_ini_loaded_file()), get_cfg_var('date.timezone'), get_cfg_var('none'), ini_get('cfg_file_path'));",
    ),
    (
        "ini of the server",
        "foreach (['html_errors', 'implicit_flush', 'max_execution_time', 'max_input_time', 'display_errors', 'log_errors', 'error_log', 'register_argc_argv', 'output_buffering', 'enable_dl', 'variables_order', 'auto_globals_jit', 'memory_limit', 'short_open_tag', 'ignore_user_abort', 'error_reporting', 'zend.assertions'] as $k) echo $k, '=', var_export(ini_get($k), true), \"\\n\";",
    ),
    ("user", "var_dump(get_current_user(), posix_getuid(), posix_getgid(), posix_getgroups(), posix_geteuid());"),
    (
        "cwd and umask",
        "var_dump(basename(getcwd()), decoct(umask()), $argv ?? null, $argc ?? null, $_SERVER['argv'] ?? null);",
    ),
    ("globals", "var_dump(array_keys($GLOBALS), array_keys($_SERVER), array_keys($_ENV));"),
    (
        "streams",
        "var_dump(stream_get_wrappers() !== [], @fopen('php://stdout', 'w') !== false, @fopen('php://stderr', 'w') !== false, @fopen('php://output', 'w') !== false); file_put_contents('php://output', 'out');",
    ),
    (
        "connection",
        "var_dump(connection_status(), connection_aborted(), ignore_user_abort(), ignore_user_abort(true), ignore_user_abort());",
    ),
    ("locale", "var_dump(setlocale(LC_ALL, 0), localeconv()['decimal_point']); var_dump(setlocale(LC_CTYPE, 0));"),
    (
        "time limit",
        "var_dump(set_time_limit(5), ini_get('max_execution_time'), set_time_limit(0), ini_get('max_execution_time'));",
    ),
    (
        "time zone",
        "var_dump(date_default_timezone_get(), gettype($_SERVER['REQUEST_TIME']), gettype($_SERVER['REQUEST_TIME_FLOAT']), abs($_SERVER['REQUEST_TIME'] - time()) < 5);",
    ),
    ("headers of the request", "var_dump(apache_request_headers() === getallheaders());"),
    ("temp dir", "var_dump(basename(sys_get_temp_dir()), is_writable(sys_get_temp_dir()));"),
    ("finish twice", "var_dump(fastcgi_finish_request()); error_log(json_encode(fastcgi_finish_request()));"),
    (
        "phpinfo",
        "ob_start(); phpinfo(INFO_GENERAL | INFO_MODULES); $t = ob_get_clean(); preg_match('~Server API.*~', $t, $m); echo trim(strip_tags($m[0])), strpos($t, '<h2>') !== false ? ' html' : ' text', preg_match('~cgi-fcgi.*?php-fpm.*?active~s', $t);",
    ),
    (
        "status of the pool",
        "$s = fpm_get_status(); echo json_encode(array_map('gettype', $s)), json_encode(array_map('gettype', $s['procs'][0])), $s['pool'], $s['process-manager'], count($s['procs']), $s['procs'][0]['state'], $s['procs'][0]['request-uri'], $s['procs'][0]['request-method'], $s['procs'][0]['query-string'], $s['procs'][0]['request-length'], $s['procs'][0]['user'], basename($s['procs'][0]['script']);",
    ),
    (
        "many outputs",
        "print 'a'; printf('%s', 'b'); echo 'c', 'd'; vprintf('%d', [1]); readfile(__FILE__, false); fpassthru(fopen('data:,x', 'r'));",
    ),
    (
        "included",
        "print_r(array_map('basename', get_included_files())); var_dump(basename(__FILE__), basename(__DIR__), basename($_SERVER['SCRIPT_FILENAME']));",
    ),
    ("tick and gc", "var_dump(gc_enabled(), gc_collect_cycles(), memory_get_usage(true) > 0);"),
    (
        "file names",
        "$root = sys_get_temp_dir() . '/names-' . getmypid();
        $tell = function ($name) use ($root) {
            clearstatcache();
            echo str_replace($root, 'ROOT', $name), ': ';
            foreach (['file_exists', 'is_file', 'is_dir', 'is_link', 'is_readable', 'filesize', 'fileperms', 'realpath',
                'file_get_contents', 'scandir', 'readlink'] as $function) {
                try { $found = @$function($name); } catch (ValueError $e) { $found = 'refused'; }
                echo str_replace($root, 'ROOT', json_encode($found, JSON_UNESCAPED_SLASHES)), ' ';
            }
            echo \"\\n\";
        };
        mkdir($root . '/a/b', 0755, true); mkdir(\"$root/c/d\", 0711, true);
        file_put_contents($root . '/file', 'root'); file_put_contents(\"$root/a/file\", 'of a');
        symlink('../c/d', $root . '/a/link'); symlink('none', $root . '/dead'); file_put_contents(\"$root/c/file\", 'of c');
        foreach (['', '/', '/.', '/file', '/file/', '/file/.', '/file/../file', '//a//file', '/a/link', '/a/link/', '/a/link/../file',
            '/a/./b/../file', '/none', '/none/../file', '/dead', '/dead/', '/' . str_repeat('x', 255), '/' . str_repeat('x', 256),
            str_repeat('/a/..', 900) . '/file', str_repeat('/.', 3000) . '/file'] as $name) $tell($root . $name);
        var_dump(rename($root . '/a/link/../file', $root . '/a/link/moved'), touch(\"$root/a/link/../new\", 86400),
            filemtime(\"$root/c/new\"), chmod(\"$root/a/link/../new\", 0600), decoct(fileperms(\"$root/c/new\")),
            unlink(\"$root/a/link/../new\"), mkdir($root . '/a/link/../made'), @rmdir(\"$root/a/made\"), rmdir(\"$root/a/link/../made\"),
            copy(\"$root/a/link/moved\", $root . '/a/copy'), fopen(\"$root/a/link/../opened\", 'x') !== false,
            file_exists(\"$root/c/opened\"), @unlink(\"$root/none\"), error_get_last()['message'] === \"unlink($root/none): No such file or directory\");
        print_r(scandir(\"$root/c\")); print_r(scandir(\"$root/a/link\"));
        chdir($root . '/a');
        foreach (['file', './copy', 'copy/.', '../file', 'b/../copy', 'link', 'link/moved', 'link/../file', 'none', ''] as $name) $tell($name);
        var_dump(rename('copy', \"$root/copied\"), rename($root . '/copied', 'copy'), mkdir('m'), rmdir('m'), touch('t'), unlink('t'));
        register_shutdown_function(fn() => print(json_encode([file_exists('copy'), file_exists('../file'), is_file(\"$root/a/copy\")])));",
    ),
    ("process title", "var_dump(function_exists('cli_get_process_title'));"),
    ("include of a url", "var_dump(@include 'http://127.0.0.1:1/');"),
    ("highlighted", "highlight_string('<?php echo 1;');"),
    (
        "environment given",
        "var_dump(getenv('HOME') !== false, getenv('USER') !== false, getenv('PATH') !== false, $_SERVER['HOME'] ?? null, $_SERVER['USER'] ?? null);",
    ),
    (
        "putenv",
        "var_dump(putenv('PARITY=1'), getenv('PARITY'), $_ENV['PARITY'] ?? null, putenv('PARITY'), getenv('PARITY'));",
    ),
    (
        "putenv of the request's",
        "putenv('QUERY_STRING=own'); var_dump(getenv('QUERY_STRING'), getenv('QUERY_STRING', true)); putenv('QUERY_STRING'); var_dump(getenv('QUERY_STRING'), getenv('QUERY_STRING', true));",
    ),
];

/// What the threads of one process have otherwise.
pub fn of_threads(cases: &mut Cases<'_>) {
    cases.php("extension", "var_dump(extension_loaded('cgi-fcgi')); $f = get_extension_funcs('cgi-fcgi'); sort($f); print_r($f); print_r(ini_get_all('cgi-fcgi'));");
    cases.php(
        "environment of programs",
        "putenv('MINE=1'); echo shell_exec('env | grep -v ^_= | grep -v SHLVL | grep -v ^PWD | sort');",
    );
}

pub fn cases(cases: &mut Cases<'_>) {
    SCRIPTS.iter().for_each(|(name, code)| cases.php(name, code));
}

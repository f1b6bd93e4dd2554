//! All that php-ftm does otherwise than php-fpm in these tests. Each entry has to occur: one that does not is an error.

use ftm_tests::parity::Difference;

const UNANNOUNCED: &str = "A body without a length reaches the script.";
const WHOLE_MESSAGES: &str = "The web server gets messages whole: log_limit is a limit of lines of the error log.";
const POOL_WINS: &str = "A pool's php_admin_value holds against the web server's params.";
const REFUSED_VALUES: &str = "Values that a setting refuses are named; php-fpm passes over them.";
const STREAM_END: &str = "STDOUT ends with the empty record that the specification asks for.";
const OWN_METRICS: &str = "php-ftm has figures of its own beside php-fpm's, on the pages for machines.";
const ONE_LINE: &str = "What a client sends makes no lines and no columns of its own in the access log.";
const KEPT_TEXT: &str =
    "What the C library had buffered is logged when the process ends; php-fpm does not read it then.";
const BUFFERED: &str = "Fatal error: ob_start(): Cannot use output buffering in output buffering display handlers in \
                        SITE/www/cases/error-in-a-buffer-callback.php on line 1\n[TIME] NOTICE: exiting";
const BUFFERED_WARNING: &str = "[TIME] WARNING: [pool www] child PID said into stdout: \"Fatal error: ob_start(): Cannot \
                                use output buffering in output buffering display handlers in \
                                SITE/www/cases/error-in-a-buffer-callback.php on line 1\"\nACCESS LOG";
const OWN_ROW: &str = "The page needs no thread, so that the only one has the request before as its last.";

const HELD: &str = "STDERR Passing INI directive through FastCGI: unable to set 'default_socket_timeout'";
const OUT_OF_RANGE: &str = "on line 0; Passing INI directive through FastCGI: unable to set 'memory_limit'\n";
const ODD: &str = "/hello.php?<b>&\"quoted\"\\back%20%C3%A4";
const ODD_IN_JSON: &str = "\\/hello.php?<b>&\\\"quoted\\\"\\\\back%20%C3%A4";
const ODD_IN_MARKUP: &str = "/hello.php?&lt;b&gt;&amp;&quot;quoted&quot;\\back%20%C3%A4";
const METRICS: &str = "\
# HELP phpftm_recycles The number of times that a thread was replaced by a fresh one.
# TYPE phpftm_recycles counter
phpftm_recycles_total N
# HELP phpftm_crashes The number of times that the pool's process died by a fault.
# TYPE phpftm_crashes counter
phpftm_crashes_total N
# HELP phpftm_kills_by_error The number of scripts whose time was up, ended at their next opcode.
# TYPE phpftm_kills_by_error counter
phpftm_kills_by_error_total N
# HELP phpftm_kills_by_socket The number of scripts whose time was up, ended by closing what they waited for.
# TYPE phpftm_kills_by_socket counter
phpftm_kills_by_socket_total N
# HELP phpftm_kills_by_program The number of scripts whose time was up, ended by killing the program that they waited for.
# TYPE phpftm_kills_by_program counter
phpftm_kills_by_program_total N
# HELP phpftm_abandoned_threads The number of threads that were left to themselves, stuck inside C code.
# TYPE phpftm_abandoned_threads counter
phpftm_abandoned_threads_total N
# HELP phpftm_opcache_restarts The number of times that opcache emptied itself.
# TYPE phpftm_opcache_restarts counter
phpftm_opcache_restarts_total N
# HELP phpftm_queue_seconds How long requests waited for a thread.
# TYPE phpftm_queue_seconds histogram
phpftm_queue_seconds_bucket{le=\"0.001\"} N
phpftm_queue_seconds_bucket{le=\"0.005\"} N
phpftm_queue_seconds_bucket{le=\"0.01\"} N
phpftm_queue_seconds_bucket{le=\"0.05\"} N
phpftm_queue_seconds_bucket{le=\"0.1\"} N
phpftm_queue_seconds_bucket{le=\"0.5\"} N
phpftm_queue_seconds_bucket{le=\"1.0\"} N
phpftm_queue_seconds_bucket{le=\"5.0\"} N
phpftm_queue_seconds_bucket{le=\"10.0\"} N
phpftm_queue_seconds_bucket{le=\"+Inf\"} N
phpftm_queue_seconds_sum N
phpftm_queue_seconds_count N
# HELP phpfpm_up";
const USER_INI_CRASH: &str = "php-fpm's worker takes tables for strings, and crashes.";
const AS_OUTSIDE: &str =
    "X-Powered-By: PHP/VERSION\r\nContent-type: text/html; charset=UTF-8\r\n\r\n9outer\nSTDERR \nEND 0 0\nCLOSED\n";
const WITHOUT_LISTS: &str =
    "X-Powered-By: PHP/VERSION\r\nContent-type: text/html; charset=UTF-8\r\n\r\n6outer\nSTDERR \nEND 0 0\nCLOSED\n";

/// One entry of the table.
const fn differs(
    configuration: &'static str,
    case: &'static str,
    reason: &'static str,
    php_fpm: &'static str,
    php_ftm: &'static str,
) -> Difference {
    Difference { configuration, case, php_fpm, php_ftm, reason }
}

/// The table.
pub const DIFFERENCES: &[Difference] = &[
    differs("defaults", "no length", UNANNOUNCED, "[[],[],[],0]", r#"[[],{"a":"1"},[],3]"#),
    differs("defaults", "empty length", UNANNOUNCED, "[[],[],[],0]", r#"[[],{"a":"1"},[],3]"#),
    differs(
        "defaults",
        "extension",
        "php-ftm has a function of its own.",
        "[3] => getallheaders",
        "[3] => ftm_get_status\n    [4] => getallheaders",
    ),
    differs(
        "defaults",
        "environment of programs",
        "Thread-safe PHP starts programs by a shell that changes to the script's directory first.",
        "MINE=1\n",
        "MINE=1\nOLDPWD=SITE/www/cases\n",
    ),
    differs(
        "defaults",
        "action with path info",
        "php-fpm finds the script and then forgets that it did.",
        "Status: 403 Forbidden\r\n",
        "",
    ),
    differs(
        "defaults",
        "action with path info",
        "As above.",
        "Access denied.\n\nSTDERR Access to the script 'SITE/www/cases/where.php/x/y' has been denied (see \
         security.limit_extensions)\n",
        "/cases/where.php /x/y\nSTDERR \n",
    ),
    differs("errors not shown", "long error_log", WHOLE_MESSAGES, "x{999 times}...", "x{5000 times}"),
    differs("errors not shown", "very long error_log", WHOLE_MESSAGES, "x{999 times}...", "x{100000 times}"),
    differs(
        "chroot",
        "user",
        "php-ftm looks up all groups of the user before it goes to the new root, and so has loaded the C library's \
         sources of names: one of them knows root without a file.",
        "string(0) \"\"",
        "string(4) \"root\"",
    ),
    differs("settings in params", "PHP_VALUE held by the pool", POOL_WINS, "timeout='8'", "timeout='7'"),
    differs("settings in params", "PHP_VALUE held by the pool", POOL_WINS, "STDERR ", HELD),
    differs("settings in params", "PHP_ADMIN_VALUE held by the pool", POOL_WINS, "timeout='8'", "timeout='7'"),
    differs("settings in params", "PHP_ADMIN_VALUE held by the pool", POOL_WINS, "STDERR ", HELD),
    differs("settings in params", "PHP_VALUE out of range", REFUSED_VALUES, "on line 0\n", OUT_OF_RANGE),
    differs("settings in params", "PHP_ADMIN_VALUE out of range", REFUSED_VALUES, "on line 0\n", OUT_OF_RANGE),
    differs(
        "settings in params",
        "PHP_VALUE per dir setting",
        REFUSED_VALUES,
        "STDERR ",
        "STDERR Passing INI directive through FastCGI: unable to set 'arg_separator.output'",
    ),
    differs(
        "settings in params",
        "PHP_ADMIN_VALUE per dir setting",
        REFUSED_VALUES,
        "STDERR ",
        "STDERR Passing INI directive through FastCGI: unable to set 'arg_separator.output'",
    ),
    differs(".user.ini", "sections in .user.ini", USER_INI_CRASH, "BROKEN OFF\n", AS_OUTSIDE),
    differs(".user.ini", "lists in .user.ini", USER_INI_CRASH, "BROKEN OFF\n", WITHOUT_LISTS),
    differs("protocol, unix", "id 65535", STREAM_END, "END 65535", "6 65535 \nEND 65535"),
    differs("protocol, unix", "body in single bytes", STREAM_END, "END 7", "6 7 \nEND 7"),
    differs("protocol, unix", "large records", STREAM_END, "END 7", "6 7 \nEND 7"),
    differs("protocol, unix", "padded", STREAM_END, "END 1", "6 1 \nEND 1"),
    differs(
        "protocol, unix",
        "unknown role",
        "The specification has an answer for it.",
        "BROKEN OFF",
        "END 1 [0, 0, 0, 0, 3]\nCLOSED",
    ),
    differs(
        "protocol, unix",
        "another version",
        "What a later version means is not known.",
        "6 1 X-Powered-By: PHP/VERSION\r\nContent-type: text/html; charset=UTF-8\r\n\r\nHello you\n\nEND 1 [0, 0, 0, 0, 0]\n",
        "",
    ),
    differs("protocol, unix", "values and a request", "Requests may share a connection.", "CONNS0", "CONNS1"),
    differs("protocol, unix", "values and a request", STREAM_END, "END 1", "6 1 \nEND 1"),
    differs("pages", "metrics", OWN_METRICS, "# HELP phpfpm_up", METRICS),
    differs("pages", "metrics, full", OWN_METRICS, "# HELP phpfpm_up", METRICS),
    differs("pages", "slots ?full&json", OWN_METRICS, "}]}", "}], \"php-ftm\":N}"),
    differs("pages", "slots ?full", OWN_ROW, "state:                Running", "state:                Idle"),
    differs("pages", "slots ?full", OWN_ROW, "method:       GET", "method:       O<\"DD"),
    differs("pages", "slots ?full", OWN_ROW, "/status?full", ODD),
    differs("pages", "slots ?full", OWN_ROW, "user:                 -", "user:                 u<&>"),
    differs("pages", "slots ?full", OWN_ROW, "script:               -", "script:               SITE/www/hello.php"),
    differs("pages", "slots ?full&json", OWN_ROW, "\"Running\"", "\"Idle\""),
    differs("pages", "slots ?full&json", OWN_ROW, "\"GET\"", "\"O<\\\"DD\""),
    differs("pages", "slots ?full&json", OWN_ROW, "\\/status?full&json", ODD_IN_JSON),
    differs("pages", "slots ?full&json", OWN_ROW, "\"user\":\"-\"", "\"user\":\"u<&>\""),
    differs("pages", "slots ?full&json", OWN_ROW, "\"script\":\"-\"", "\"script\":\"SITE\\/www\\/hello.php\""),
    differs("pages", "slots ?full&xml", OWN_ROW, "<state>Running<", "<state>Idle<"),
    differs("pages", "slots ?full&xml", OWN_ROW, ">GET<", ">O&lt;&quot;DD<"),
    differs("pages", "slots ?full&xml", OWN_ROW, "/status?full&amp;xml", ODD_IN_MARKUP),
    differs("pages", "slots ?full&xml", OWN_ROW, "<user>-<", "<user>u&lt;&amp;&gt;<"),
    differs("pages", "slots ?full&xml", OWN_ROW, "<script>-<", "<script>SITE/www/hello.php<"),
    differs("pages", "slots ?full&html", OWN_ROW, "<td>Running<", "<td>Idle<"),
    differs("pages", "slots ?full&html", OWN_ROW, ">GET<", ">O&lt;&quot;DD<"),
    differs("pages", "slots ?full&html", OWN_ROW, "/status?full&amp;html", ODD_IN_MARKUP),
    differs(
        "pages",
        "slots ?full&html",
        OWN_ROW,
        "<td>-</td><td>-</td>",
        "<td>u&lt;&amp;&gt;</td><td>SITE/www/hello.php</td>",
    ),
    differs("access log", "odd method", ONE_LINE, "O \"D\tD", "O \"D\\x09D"),
    differs("access log", "odd name", ONE_LINE, "ä\u{1}\t%41", "ä\\x01\\x09%41"),
    differs("access log", "name with a line break", ONE_LINE, "/a\nb", "/a\\x0Ab"),
    differs(
        "workers' output",
        "message of 5000",
        WHOLE_MESSAGES,
        "STDERR PHP message: x{999 times}...",
        "STDERR PHP message: x{5000 times}",
    ),
    differs(
        "workers' output",
        "two long messages",
        WHOLE_MESSAGES,
        "STDERR PHP message: x{999 times}...; PHP message: y{999 times}...",
        "STDERR PHP message: x{3000 times}; PHP message: y{3000 times}",
    ),
    differs(
        "log_limit",
        "message of 1000",
        WHOLE_MESSAGES,
        "STDERR PHP message: x{487 times}...",
        "STDERR PHP message: x{1000 times}",
    ),
    differs(
        "log_limit",
        "message of 5000",
        WHOLE_MESSAGES,
        "STDERR PHP message: x{487 times}...",
        "STDERR PHP message: x{5000 times}",
    ),
    differs(
        "log_limit",
        "two long messages",
        WHOLE_MESSAGES,
        "STDERR PHP message: x{487 times}...; PHP message: y{487 times}...",
        "STDERR PHP message: x{3000 times}; PHP message: y{3000 times}",
    ),
    differs("undecorated output", "the end", KEPT_TEXT, "[TIME] NOTICE: exiting", BUFFERED),
    differs("log_level warning", "the end", KEPT_TEXT, "ACCESS LOG", BUFFERED_WARNING),
];

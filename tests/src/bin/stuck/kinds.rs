//! The ways in which scripts hang.

/// What is to become of a script of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It ends: it comes to an opcode of its own, or once what it waits for is ended.
    Ends,
    /// As [`Class::Ends`]; it hangs after the script's own end.
    EndsLate,
    /// As [`Class::Ends`]; its client has had a whole answer before.
    Answers,
    /// It stays inside C code: its thread is left to itself.
    InC,
}

/// What the client does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Waits for the answer.
    Waits,
    /// Sends no more than the beginning of a body.
    HoldsBody,
    /// Reads nothing of the answer as long as it may take.
    HoldsAnswer,
}

/// What a kind needs, besides the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// The extension tests/ext/ftmstuck, which is built for php-ftm's PHP.
    Extension,
    /// A mount namespace, for a name server that is silent.
    NameServer,
}

/// One way to hang.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub class: Class,
    pub client: Client,
    pub needs: Needs,
    /// The body of the script. {names} in it stand for what [`super::peers::Peers`] offers.
    pub code: &'static str,
    /// The file is not cached by opcache, and so not compiled to machine code.
    pub interpreted: bool,
}

impl Kind {
    /// How many of its requests run at once. Threads that compute without end are few, so that others have a processor too.
    pub fn at_once(&self) -> usize {
        if self.class == Class::InC { 4 } else { 20 }
    }

    /// Whether the script may send a part of its answer before it hangs: a session is begun before, or not at all.
    pub fn may_answer_before(&self) -> bool {
        self.class != Class::Answers && !["session_", "header_"].iter().any(|name| self.code.contains(name))
    }

    const fn needs(self, needs: Needs) -> Kind {
        Kind { needs, ..self }
    }
}

const fn ends(name: &'static str, code: &'static str) -> Kind {
    let (class, client, needs) = (Class::Ends, Client::Waits, Needs::Nothing);
    Kind { name, class, client, needs, code, interpreted: false }
}

const fn late(name: &'static str, code: &'static str) -> Kind {
    Kind { class: Class::EndsLate, ..ends(name, code) }
}

const fn in_c(name: &'static str, code: &'static str) -> Kind {
    Kind { class: Class::InC, ..ends(name, code) }
}

/// All kinds, in the order of the table.
pub const KINDS: &[Kind] = &[
    // Sleep.
    ends("sleep", "sleep(60);"),
    ends("usleep-loop", "while (true) usleep(100_000);"),
    ends("time_nanosleep", "time_nanosleep(60, 0);"),
    ends("time_sleep_until", "time_sleep_until(time() + 60);"),
    // Computing.
    Kind { interpreted: true, ..ends("loop", "while (true) { $x = 1; }") },
    Kind { interpreted: true, ..ends("loop-calls", "function f() { return 1; } while (true) f();") },
    ends(
        "loop-jit",
        "if (!opcache_get_status(false)['jit']['on']) exit('no JIT');
        function f($i) { return $i * 3 % 7; } for ($i = 0; ; $i++) { $x = f($i); }",
    ),
    ends("generator", "function g() { while (true) yield 1; } foreach (g() as $x);"),
    ends("recursion", "function r($n) { return $n ? r($n - 1) : 0; } while (true) r(10_000);"),
    ends("usort", "$a = range(1, 10); usort($a, function () { while (true); });"),
    ends("preg_replace_callback", "preg_replace_callback('/./', function () { while (true); }, 'aa');"),
    ends("array_map-usleep", "array_map('usleep', array_fill(0, 100_000, 10_000));"),
    ends("array_map-hash", "$a = array_fill(0, 300, str_repeat('x', 1 << 20)); while (true) array_map('sha1', $a);"),
    ends("iterator_count", "iterator_count(new InfiniteIterator(new ArrayIterator([1])));"),
    Kind { interpreted: true, ..ends("include-loop", "while (true) include '{docroot}/empty.php';") },
    // Files and locks.
    ends("flock", "$a = fopen('{locks}/own' . $_GET['run'], 'c'); flock($a, LOCK_EX);
        $b = fopen('{locks}/own' . $_GET['run'], 'c'); flock($b, LOCK_EX);"),
    ends("flock-held", "flock(fopen('{held}', 'r'), LOCK_SH);"),
    ends("flock-loop", "$f = fopen('{held}', 'r'); while (!flock($f, LOCK_EX));"),
    ends("session-lock", "session_id('held'); session_start();"),
    ends("fifo-open", "readfile('{fifo}');"),
    ends("fifo-read", "readfile('{fifo_held}');"),
    ends("fifo-include", "include '{fifo}';"),
    ends(
        "sqlite-busy",
        "$a = new SQLite3('{room}/' . $_GET['run'] . '.db'); $a->exec('BEGIN EXCLUSIVE');
        $b = new SQLite3('{room}/' . $_GET['run'] . '.db'); $b->busyTimeout(60_000); $b->exec('BEGIN EXCLUSIVE');",
    ),
    ends(
        "pdo_sqlite-busy",
        "$a = new PDO('sqlite:{room}/' . $_GET['run'] . '.db'); $a->exec('BEGIN EXCLUSIVE');
        $b = new PDO('sqlite:{room}/' . $_GET['run'] . '.db'); $b->exec('BEGIN EXCLUSIVE');",
    ),
    ends(
        "msg_receive",
        "$q = msg_get_queue({key} + (int) $_GET['run']); register_shutdown_function(fn() => msg_remove_queue($q));
        while (!msg_receive($q, 0, $t, 100, $m));",
    ),
    ends(
        "sem_acquire",
        "$a = sem_get({key} + (int) $_GET['run']); register_shutdown_function(fn() => sem_remove($a));
        sem_acquire($a); sem_acquire(sem_get({key} + (int) $_GET['run']));",
    ),
    // Sockets.
    ends("fread-socket", "$s = stream_socket_client('tcp://{silent}'); stream_set_timeout($s, 60); fread($s, 1);"),
    ends("fread-udp", "$s = stream_socket_client('udp://{silent}'); stream_set_timeout($s, 60); fread($s, 1);"),
    ends(
        "fread-udp-server",
        "$s = stream_socket_server('udp://127.0.0.1:0', $e, $m, STREAM_SERVER_BIND); stream_set_timeout($s, 60);
        fread($s, 1);",
    ),
    ends("fread-pair", "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($a, 1);"),
    ends(
        "fwrite-socket",
        "[$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); while (true) fwrite($a, str_repeat('x', 1 << 20));",
    ),
    ends(
        "stream_select",
        "$s = stream_socket_client('tcp://{silent}'); while (true) { $r = [$s]; $w = $e = []; stream_select($r, $w, $e, 60); }",
    ),
    ends("stream_accept", "$s = stream_socket_server('tcp://127.0.0.1:0'); stream_socket_accept($s, 60);"),
    ends(
        "socket_recv",
        "[$host, $port] = explode(':', '{silent}'); $s = socket_create(AF_INET, SOCK_STREAM, 0);
        socket_connect($s, $host, $port); while (!socket_recv($s, $data, 1, 0));",
    ),
    ends(
        "socket_select",
        "$s = socket_create(AF_INET, SOCK_DGRAM, 0); while (true) { $r = [$s]; $n = null; @socket_select($r, $n, $n, 60); }",
    ),
    ends("socket_accept", "$s = socket_create_listen(0); while (!@socket_accept($s));"),
    ends("fsockopen-connect", "fsockopen('{full}', -1, $e, $m, 60);"),
    ends("socket_connect", "[$host, $port] = explode(':', '{full}'); $s = socket_create(AF_INET, SOCK_STREAM, 0);
        while (!@socket_connect($s, $host, $port));"),
    ends("http", "file_get_contents('http://{silent}/');"),
    ends("https", "file_get_contents('https://{silent}/');"),
    ends("curl_exec", "curl_exec(curl_init('http://{silent}/'));"),
    ends("curl-connect", "$c = curl_init('http://{full}/'); curl_setopt($c, CURLOPT_CONNECTTIMEOUT, 60); curl_exec($c);"),
    ends(
        "curl_multi",
        "$m = curl_multi_init(); curl_multi_add_handle($m, curl_init('http://{silent}/'));
        do { curl_multi_exec($m, $n); curl_multi_select($m, 60); } while ($n);",
    ),
    ends("gethostbyname", "gethostbyname('nowhere.example');").needs(Needs::NameServer),
    ends("dns_get_record", "dns_get_record('nowhere.example', DNS_MX);").needs(Needs::NameServer),
    ends("http-name", "file_get_contents('http://nowhere.example/');").needs(Needs::NameServer),
    ends("ftp_connect", "[$host, $port] = explode(':', '{silent}'); ftp_connect($host, $port, 60);"),
    ends("ftp-stream", "file_get_contents('ftp://{silent}/file');"),
    ends(
        "soap",
        "(new SoapClient(null, ['location' => 'http://{silent}/', 'uri' => 'urn:x']))->call();",
    ),
    ends("soap-wsdl", "new SoapClient('http://{silent}/x.wsdl', ['cache_wsdl' => WSDL_CACHE_NONE]);"),
    ends("dom-load", "(new DOMDocument)->load('http://{silent}/x.xml');"),
    // Databases.
    ends("mysqli", "$d = new mysqli('localhost', 'root', '', '', 0, '{mysql}'); $d->query('SELECT SLEEP(60)');"),
    ends("pdo_mysql", "$d = new PDO('mysql:unix_socket={mysql}', 'root'); $d->query('SELECT SLEEP(60)');"),
    ends(
        "mysqli-retry",
        "mysqli_report(MYSQLI_REPORT_OFF);
        while (true) { $d = new mysqli('localhost', 'root', '', '', 0, '{mysql}'); $d->query('SELECT SLEEP(60)'); }",
    ),
    ends(
        "mysqli-persistent",
        "$d = new mysqli('p:localhost', 'root', '', '', 0, '{mysql}'); $d->query('SELECT SLEEP(60)');",
    ),
    ends("mysqli-connect", "[$host, $port] = explode(':', '{silent}'); new mysqli($host, 'root', '', '', $port);"),
    ends(
        "get_lock",
        "[$a, $b] = [new mysqli('localhost', 'root', '', '', 0, '{mysql}'), new mysqli('localhost', 'root', '', '', 0, '{mysql}')];
        foreach ([$a, $b] as $d) $d->query(\"SELECT GET_LOCK('x$_GET[run]', 60)\");",
    ),
    // Programs. Those that the script does not wait for run on.
    ends("shell_exec", "shell_exec('sleep 60');"),
    ends("exec", "exec('trap \"\" TERM INT HUP; sleep 60; sleep 60');"),
    ends("system-tree", "system('(sleep 60 & sleep 60) | cat');"),
    ends("popen", "fgets(popen('sleep 60', 'r'));"),
    ends("pclose", "pclose(popen('sleep 60', 'w'));"),
    ends("mail", "mail('a@example.org', 'x', 'x');"),
    ends("proc_open", "$p = proc_open('sleep 60', [1 => ['pipe', 'w']], $pipes); stream_get_contents($pipes[1]);"),
    ends(
        "proc_close",
        "$p = proc_open('trap \"\" TERM; echo; sleep 60; sleep 60', [1 => ['pipe', 'w']], $pipes); fgets($pipes[1]);
        proc_terminate($p); proc_close($p);",
    ),
    ends(
        "proc_open-write",
        "$p = proc_open('sleep 8', [['pipe', 'r']], $pipes); while (true) fwrite($pipes[0], str_repeat('x', 1 << 16));",
    ),
    ends(
        "proc_open-socket",
        "$p = proc_open('sleep 8', [1 => ['socket']], $pipes); stream_get_contents($pipes[1]);",
    ),
    ends(
        "proc_get_status",
        "$p = proc_open('exec sleep 8', [], $pipes); while (proc_get_status($p)['pid']) usleep(1000);",
    ),
    ends("pcntl_wait", "while (true) { if (function_exists('pcntl_wait')) @pcntl_wait($s); usleep(1000); }"),
    // The request itself.
    Kind { client: Client::HoldsBody, ..ends("body", "file_get_contents('php://input');") },
    Kind { client: Client::HoldsAnswer, ..ends("answer", "while (true) echo str_repeat('x', 100_000);") },
    // Code that PHP calls.
    ends("fiber-loop", "$f = new Fiber(function () { while (true); }); $f->start();"),
    ends("fiber-sleep", "$f = new Fiber(function () { while (true) sleep(60); }); $f->start();"),
    ends(
        "fiber-nested",
        "$f = new Fiber(function () { $g = new Fiber(function () { Fiber::suspend(); try { while (true) sleep(60); }
        finally { Fiber::suspend(); } }); $g->start(); while (true) $g->isTerminated() || $g->resume(); }); $f->start();",
    ),
    ends("error-handler", "set_error_handler(function () { while (true) sleep(60); }); echo $undefined;"),
    ends("exception-handler", "set_exception_handler(function () { while (true) sleep(60); }); $uncaught = new Exception;"),
    ends("autoloader", "spl_autoload_register(function () { while (true) sleep(60); }); new Missing;"),
    ends("tick", "declare(ticks=1); register_tick_function(function () { while (true) sleep(60); }); $x = 1;"),
    ends("to-string", "class S { function __toString() { while (true) sleep(60); } } strlen(new S);"),
    ends(
        "stream-wrapper",
        "class W { public $context; function stream_open() { return true; } function stream_read($n) { while (true) sleep(60); }
        function stream_eof() { return false; } function stream_stat() { return []; } }
        stream_wrapper_register('wait', 'W'); file_get_contents('wait://x');",
    ),
    ends("destructor", "class D { function __destruct() { while (true) sleep(60); } } $d = new D; unset($d);"),
    ends(
        "destructor-gc",
        "class D { public $d; function __destruct() { while (true) sleep(60); } } $d = new D; $d->d = $d; unset($d); gc_collect_cycles();",
    ),
    ends("session-read", "class H extends SessionHandler { function read($id): string { while (true) sleep(60); } }
        session_set_save_handler(new H); session_start();"),
    ends("output-callback", "ob_start(function ($s) { while (true) sleep(60); }); echo 'x'; ob_end_flush();"),
    // Code that does not take no for an answer.
    ends("caught", "while (true) { try { sleep(60); } catch (Throwable) {} }"),
    ends("finally-sleep", "try { sleep(60); } finally { while (true) sleep(60); }"),
    ends("error-suppressed", "error_reporting(0); set_error_handler(fn() => true); while (true) { try { @sleep(60); } catch (Throwable) {} }"),
    ends("reset-limit", "while (true) { set_time_limit(1000); usleep(1); }"),
    ends("shutdown-too", "register_shutdown_function(function () { while (true) sleep(60); }); sleep(60);"),
    ends("output-callback-too", "ob_start(function ($s) { while (true) sleep(60); }); sleep(60);"),
    ends("shutdown-recursive", "function again() { register_shutdown_function('again'); usleep(10_000); } again(); sleep(60);"),
    ends(
        "everything-too",
        "class D { function __destruct() { while (true) sleep(60); } } $d = new D;
        class H extends SessionHandler { function write($id, $data): bool { while (true) sleep(60); } }
        session_set_save_handler(new H); session_id('all' . $_GET['run']); session_start(); $_SESSION['x'] = 1;
        for ($i = 0; $i < 3; $i++) register_shutdown_function(function () { while (true) sleep(60); });
        ob_start(function ($s) { while (true) sleep(60); }); header_register_callback(function () { while (true) sleep(60); });
        sleep(60);",
    ),
    // After the script's end.
    late("shutdown-loop", "register_shutdown_function(function () { while (true); });"),
    late("shutdown-again", "for ($i = 0; $i < 100; $i++) register_shutdown_function(function () { while (true) sleep(60); });"),
    // It computes, too, or its memory would end before its time.
    late(
        "shutdown-registers",
        "function again() { for ($i = 0; $i < 1000; $i++); register_shutdown_function('again'); } again();",
    ),
    late("destructor-end", "class D { function __destruct() { while (true) sleep(60); } } $d = new D; $e = new D;"),
    late("destructor-makes", "class D { function __destruct() { $GLOBALS['d' . mt_rand()] = new D; usleep(1000); } } $d = new D;"),
    late("output-callback-end", "ob_start(function ($s) { while (true) sleep(60); }); echo 'x';"),
    late("header-callback", "header_register_callback(function () { while (true) sleep(60); });"),
    late("session-write", "class H extends SessionHandler { function write($id, $data): bool { while (true) sleep(60); } }
        session_set_save_handler(new H); session_id('w' . $_GET['run']); session_start(); $_SESSION['x'] = 1;"),
    Kind { class: Class::Answers, ..late("finished", "fastcgi_finish_request(); while (true) sleep(60);") },
    // Inside C code.
    in_c("pcre", "ini_set('pcre.jit', 0); ini_set('pcre.backtrack_limit', '4000000000');
        preg_match('/^(a+)+$/', str_repeat('a', 30) . 'b');"),
    in_c("pbkdf2", "hash_pbkdf2('sha256', 'x', 'y', 40_000_000);"),
    in_c("similar_text", "similar_text(str_repeat('ab', 10_000), str_repeat('ba', 10_000));"),
    in_c(
        "sort",
        "ini_set('memory_limit', '1G'); for ($i = 0; $i < 300; $i++) $a[] = str_repeat('x1', 500_000) . $i;
        shuffle($a); natsort($a);",
    ),
    // A fault of PHP's compiler: max_execution_time does not end it either.
    in_c("include-loop-jit", "while (true) include '{docroot}/empty.php';"),
    // libcurl waits for a thread of its own, and that for the name server.
    in_c("curl-name", "curl_exec(curl_init('http://nowhere.example/'));").needs(Needs::NameServer),
    in_c("extension-loop", "ftm_spin();").needs(Needs::Extension),
    in_c("extension-wait", "ftm_block();").needs(Needs::Extension),
];

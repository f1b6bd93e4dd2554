//! Fibers: left in every state in which a request can end, with output, headers, bodies and errors inside them.

use std::fs;

use ftm_tests::fcgi::Call;
use ftm_tests::script::{check_scripts, script};
use ftm_tests::*;

#[test]
fn suspended_resumed_and_left() {
    check_scripts(&Site::new(), &[
        script(
            "resumed",
            200,
            "a1b2c3",
            "$f = new Fiber(function () { echo 'a', Fiber::suspend(), 'b', Fiber::suspend(), 'c'; return 3; });
             $f->start(); $f->resume(1); $f->resume(2); echo $f->getReturn();",
        ),
        script(
            "left",
            200,
            "before, end, finally, destroyed",
            "class D { function __destruct() { echo ', destroyed'; } }
             $f = new Fiber(function () { $d = new D; try { echo 'before'; Fiber::suspend(); echo 'never'; }
             finally { echo ', finally'; } }); $f->start(); echo ', end';",
        ),
        script(
            "left-in-cycle",
            200,
            "end finally",
            "$f = new Fiber(function () use (&$f) { $o = new stdClass; $o->self = $o; $o->fiber = $f;
             try { Fiber::suspend(); } finally { echo ' finally'; } }); $f->start(); echo 'end';",
        ),
        script(
            "left-nested",
            200,
            "end outer inner",
            "$f = new Fiber(function () {
                 $g = new Fiber(function () { try { Fiber::suspend(); } finally { echo ' inner'; } });
                 $g->start();
                 try { Fiber::suspend(); } finally { echo ' outer'; } });
             $f->start(); echo 'end';",
        ),
        script(
            "left-suspends-again",
            500,
            "",
            "$f = new Fiber(function () { try { Fiber::suspend(); } finally { Fiber::suspend(); } }); $f->start();
             register_shutdown_function(function () use (&$f) { $f = null; });",
        ),
        script(
            "left-finally-throws",
            200,
            "end",
            "$f = new Fiber(function () { try { Fiber::suspend(); } finally { throw new Exception('late'); } });
             $f->start(); echo 'end';",
        ),
        script(
            "left-after-fatal",
            500,
            "finally",
            "$f = new Fiber(function () { try { Fiber::suspend(); } finally { echo 'finally'; } }); $f->start();
             undefined();",
        ),
        script(
            "never-started",
            200,
            "end",
            "class D { function __invoke() { echo 'no'; } } $f = new Fiber(new D); echo 'end';",
        ),
        script(
            "collected",
            200,
            "finally collected",
            "(function () { $f = new Fiber(function () use (&$f) { try { Fiber::suspend(); } finally { echo 'finally '; } });
             $f->start(); })(); gc_collect_cycles(); echo 'collected';",
        ),
        script(
            "generator",
            200,
            "abc",
            "function g() { yield 'a'; yield Fiber::suspend(); yield 'c'; }
             $f = new Fiber(function () { foreach (g() as $x) echo $x; }); $f->start(); $f->resume('b');",
        ),
        script(
            "in-shutdown",
            200,
            "xab",
            "register_shutdown_function(function () { $f = new Fiber(function () { echo 'a'; Fiber::suspend(); echo 'b'; });
             $f->start(); $f->resume(); }); echo 'x';",
        ),
        script(
            "in-destructor",
            200,
            "xab",
            // Not before PHP 8.4.
            "class D { function __destruct() { $f = new Fiber(function () { echo 'a'; Fiber::suspend(); });
             try { $f->start(); } catch (FiberError $e) { echo 'a'; } echo 'b'; } } $d = new D; echo 'x';",
        ),
        script(
            "across-includes",
            200,
            "included 7",
            "file_put_contents($n = tempnam(sys_get_temp_dir(), 'f'), '<?php echo \"included \"; return Fiber::suspend();');
             $f = new Fiber(function () use ($n) { echo include $n; }); $f->start(); unlink($n); $f->resume(7);",
        ),
    ]);
}

#[test]
fn throwing_and_exiting() {
    check_scripts(&Site::new(), &[
        script(
            "thrown-out",
            200,
            "caught",
            "$f = new Fiber(function () { Fiber::suspend(); throw new Exception('caught'); });
             try { $f->start(); $f->resume(); } catch (Exception $e) { echo $e->getMessage(); }",
        ),
        script(
            "thrown-in",
            200,
            "inside",
            "$f = new Fiber(function () { try { Fiber::suspend(); } catch (Exception $e) { echo $e->getMessage(); } });
             $f->start(); $f->throw(new Exception('inside'));",
        ),
        script("uncaught", 500, "", "$f = new Fiber(function () { throw new Exception('uncaught'); }); $f->start();"),
        script(
            "uncaught-with-others",
            500,
            "",
            "$all = []; for ($i = 0; $i < 20; $i++) { $all[] = $f = new Fiber(function () use ($i) {
             Fiber::suspend(); if ($i == 7) throw new Exception('uncaught'); Fiber::suspend(); }); $f->start(); }
             foreach ($all as $f) $f->resume();",
        ),
        script("misused", 500, "", "$f = new Fiber(fn() => 1); $f->start(); $f->resume();"),
        script("outside", 500, "", "Fiber::suspend();"),
        script("exit", 200, "in", "$f = new Fiber(function () { echo 'in'; exit; }); $f->start(); echo 'no';"),
        script(
            "exit-nested",
            200,
            "deep shutdown",
            "register_shutdown_function(function () { echo ' shutdown'; });
             function nest($n) { $f = new Fiber(function () use ($n) { $n ? nest($n - 1) : exit('deep'); }); $f->start();
             echo 'no'; } nest(20);",
        ),
        script(
            "exit-with-others",
            200,
            "exit",
            "$others = []; for ($i = 0; $i < 20; $i++) { $others[] = $f = new Fiber(function () {
             try { Fiber::suspend(); } finally { $x = 1; } }); $f->start(); }
             $f = new Fiber(function () { exit('exit'); }); $f->start();",
        ),
        script(
            "exit-in-finally",
            200,
            "end finally",
            "$f = new Fiber(function () { try { Fiber::suspend(); } finally { exit(' finally'); } }); $f->start();
             echo 'end';",
        ),
        script(
            "exit-in-error-handler",
            200,
            "handler",
            "set_error_handler(function () { exit('handler'); });
             $f = new Fiber(function () { echo $undefined; }); $f->start();",
        ),
        script("fatal", 500, "", "$f = new Fiber(function () { undefined(); }); $f->start();"),
        script("user-error", 500, "", "$f = new Fiber(function () { trigger_error('bad', E_USER_ERROR); }); $f->start();"),
        script("memory", 500, "", "$f = new Fiber(function () { str_repeat('x', 1 << 27); }); $f->start();"),
        script(
            "memory-recursion",
            500,
            "",
            "function r() { return r() + 1; } $f = new Fiber(function () { Fiber::suspend(); r(); }); $f->start();
             $f->resume();",
        ),
        script("time", 500, "", "set_time_limit(1); $f = new Fiber(function () { while (true); }); $f->start();"),
        script(
            "memory-with-others",
            500,
            "",
            "$all = []; while (true) { $all[] = $f = new Fiber(function () { $x = str_repeat('x', 1 << 20);
             Fiber::suspend(); }); $f->start(); }",
        ),
        script(
            "shutdown-after-fatal",
            500,
            "fiber",
            "register_shutdown_function(function () { $f = new Fiber(function () { echo 'fiber'; }); $f->start(); });
             $f = new Fiber(function () { undefined(); }); $f->start();",
        ),
    ]);
}

#[test]
fn output_and_headers() {
    check_scripts(
        &Site::new(),
        &[
            script(
                "buffered",
                200,
                "ABc",
                "$f = new Fiber(function () { ob_start(fn($b) => strtoupper($b)); echo 'a'; Fiber::suspend();
             echo 'b'; ob_end_flush(); }); $f->start(); $f->resume(); echo 'c';",
            ),
            script(
                "buffer-left",
                200,
                "AC",
                "$f = new Fiber(function () { ob_start(fn($b) => strtoupper($b)); echo 'a'; Fiber::suspend(); });
             $f->start(); echo 'c';",
            ),
            script(
                "callback",
                200,
                "[x]y",
                "ob_start(function ($b) { $f = new Fiber(fn() => '[' . Fiber::suspend() . ']');
             $f->start(); $f->resume($b); return $f->getReturn(); }); echo 'x'; ob_end_flush(); echo 'y';",
            ),
            script(
                "callback-suspends",
                200,
                "x",
                "$f = new Fiber(function () { ob_start(function ($b) { Fiber::suspend(); return 'z'; });
             echo 'x'; ob_end_flush(); }); $f->start();",
            ),
            script(
                "callback-throws",
                200,
                "x",
                "$f = new Fiber(function () { ob_start(function ($b) { throw new Exception; });
             echo 'x'; ob_end_flush(); }); $f->start();",
            ),
            script(
                "callback-exits",
                200,
                "",
                "$f = new Fiber(function () { ob_start(function ($b) { exit; }); echo 'x'; });
             $f->start();",
            ),
            script(
                "status",
                418,
                "tea",
                "$f = new Fiber(function () { http_response_code(418); echo 'tea'; }); $f->start();",
            ),
            script(
                "finished",
                200,
                "done",
                "$f = new Fiber(function () { echo 'done'; fastcgi_finish_request(); Fiber::suspend();
             echo 'lost'; }); $f->start(); $f->resume();",
            ),
            script(
                "header-callback",
                404,
                "x",
                "header_register_callback(function () { $f = new Fiber(function () {
             Fiber::suspend(); http_response_code(404); }); $f->start(); $f->resume(); }); echo 'x';",
            ),
            script(
                "session",
                200,
                "12",
                "$f = new Fiber(function () { session_start(); $_SESSION['n'] = 1; Fiber::suspend();
             echo $_SESSION['n']; session_write_close(); echo 2; }); $f->start(); $f->resume(); session_destroy_all();
             function session_destroy_all() { session_start(); session_destroy(); }",
            ),
        ],
    );
}

#[test]
fn headers_and_flushes_from_fibers_reach_the_client_as_they_happen() {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"
$fiber = new Fiber(function () {
    header('X-In-Fiber: 1');
    setcookie('fiber', 'yes');
    Fiber::suspend();
    header('X-Resumed: 2');
    http_response_code(201);
    echo 'first';
    flush();
    wait_for($_GET['dir'] . '/go');
    echo Fiber::suspend();
    flush();
});
$fiber->start();
header('X-Outside: 3');
$fiber->resume();
$late = new Fiber(fn() => headers_sent() ? ' sent' : ' not sent');
$late->start();
$fiber->resume(' second');
echo $late->getReturn();"#;
    site.file("flush.php", format!("{PHP_WAIT_FOR}{script}"));
    let server = Server::start(&site, ServerConfig::default());
    let mut conn = server.connect();
    conn.send(Call::get(&site, &format!("/flush.php?dir={}", dir.display())).encode(1));
    let mut answer = fcgi::Answer::default();
    while !answer.stdout.ends_with(b"first") {
        assert!(!answer.take(&conn.record()), "it has not ended");
    }
    fs::write(dir.join("go"), "").expect("go");
    while !answer.take(&conn.record()) {}
    let web = answer.web();
    assert_eq!((web.status, web.text().as_str()), (201, "first second sent"));
    for (name, value) in [("X-In-Fiber", "1"), ("X-Resumed", "2"), ("X-Outside", "3"), ("Set-Cookie", "fiber=yes")] {
        assert_eq!(web.header(name), Some(value));
    }
}

#[test]
fn bodies_are_read_and_large_answers_written_in_fibers() {
    let site = Site::new();
    let script = r#"<?php
$reader = new Fiber(function () {
    $input = fopen('php://input', 'r');
    while (($part = fread($input, 50000)) !== false && $part !== '') Fiber::suspend($part);
});
$writer = new Fiber(function () { for (;;) { $part = Fiber::suspend(); if ($part === null) return; echo $part; } });
$writer->start();
for ($part = $reader->start(); !$reader->isTerminated(); $part = $reader->resume()) $writer->resume($part);
$writer->resume(null);"#;
    site.file("echo.php", script);
    let server = Server::start(&site, ServerConfig::default());
    let body = Rng::new(7).bytes(5_000_000);
    let call = Call::post(&site, "/echo.php", "application/octet-stream", body.clone());
    // Reading and writing at the same time, as a web server does.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut conn = server.connect();
                let bytes = call.encode(1);
                let mut writer = conn.stream.try_clone().expect("a second handle");
                let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
                let got = conn.answer(1).web().body;
                sender.join().expect("the sender").expect("send");
                assert!(got == body, "{} bytes of {}", got.len(), body.len());
            });
        }
    });
}

#[test]
fn clients_that_leave_end_scripts_inside_fibers() {
    let site = Site::new();
    let dir = site.writable("state");
    let script = r#"<?php
register_shutdown_function(fn() => touch($_GET['dir'] . '/' . $_GET['n']));
$other = new Fiber(function () { try { Fiber::suspend(); } finally { echo 'other'; } });
$other->start();
$fiber = new Fiber(function () { while (true) { echo str_repeat('x', 10000); flush(); } });
$fiber->start();"#;
    site.file("endless.php", script);
    site.file("sound.php", PHP_SOUND);
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    for n in 0..10 {
        let mut conn = server.connect();
        conn.send(Call::get(&site, &format!("/endless.php?dir={}&n={n}", dir.display())).encode(1));
        conn.record();
        drop(conn);
        eventually("its script ends", || dir.join(n.to_string()).exists());
        assert_eq!(server.get("/sound.php").text(), "sound");
    }
    assert!(!server.log().contains("exited on signal"), "no process was lost");
}

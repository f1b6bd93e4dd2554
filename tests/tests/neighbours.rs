//! What a request learns of those beside it, and leaves to them: nothing, where php-fpm's processes leave nothing.

use std::fs;
use std::path::Path;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

fn server(site: &Site) -> Server {
    Server::start(site, ServerConfig::pool(PoolConfig::new("www").children(3).set("catch_workers_output", "yes")))
}

/// Starts a script that uses `wait_for()`, and shares `dir` with others.
fn begin(server: &Server, script: &str, dir: &Path) -> Conn {
    let mut conn = server.connect();
    conn.send(Call::get(server.site(), &format!("/{script}?dir={}", dir.display())).encode(1));
    conn
}

fn script(site: &Site, name: &str, code: &str) {
    site.file(name, format!("{PHP_WAIT_FOR}$dir = $_GET['dir'];\n{code}"));
}

#[test]
fn programs_get_no_descriptors_of_other_requests() {
    let site = Site::new();
    let dir = site.writable("dir");
    script(
        &site,
        "holds.php",
        "$file = fopen(\"$dir/held\", 'w'); touch(\"$dir/holding\"); wait_for(\"$dir/go\"); echo 'held';",
    );
    script(
        &site,
        "starts.php",
        "$list = ['ls', '-l', '/proc/self/fd'];
        $process = proc_open($list, [1 => ['pipe', 'w'], 5 => ['file', \"$dir/given\", 'w']], $pipes);
        $found = [stream_get_contents($pipes[1]), shell_exec('ls -l /proc/self/fd')];
        proc_close($process);
        $pipe = popen('ls -l /proc/self/fd', 'r');
        $found[] = stream_get_contents($pipe);
        echo count(array_filter($found)), count(preg_grep('~/held$~m', $found)), count(preg_grep('~ 5 -> .*/given$~m', $found));",
    );
    let server = server(&site);
    let mut holds = begin(&server, "holds.php", &dir);
    eventually("the file is open", || dir.join("holding").exists());
    assert_eq!(begin(&server, "starts.php", &dir).answer(1).text(), "301", "three lists, none with the other's file");
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(holds.answer(1).text(), "held");
    server.stop();
}

#[test]
fn a_background_program_keeps_no_pipe_of_another_request_open() {
    let site = Site::new();
    let dir = site.writable("dir");
    let pipes = "$pipe = popen('cat >/dev/null', 'w'); $process = proc_open('cat >/dev/null', [['pipe', 'r']], $pipes);
        touch(\"$dir/open\"); wait_for(\"$dir/go\"); fclose($pipes[0]); echo pclose($pipe), proc_close($process);";
    script(&site, "pipes.php", pipes);
    // The program ends when the test is over.
    let program = "while [ ! -e $dir/end ]; do sleep 0.1; done >/dev/null 2>&1 &";
    script(
        &site,
        "background.php",
        &format!("proc_close(proc_open(\"{program}\", [], $none)); shell_exec(\"{program}\"); echo 'started';"),
    );
    let server = server(&site);
    let mut pipes = begin(&server, "pipes.php", &dir);
    eventually("the pipes are open", || dir.join("open").exists());
    assert_eq!(begin(&server, "background.php", &dir).answer(1).text(), "started");
    fs::write(dir.join("go"), "").expect("go");
    assert_eq!(pipes.answer(1).text(), "00", "both programs have ended");
    fs::write(dir.join("end"), "").expect("end");
    server.stop();
}

#[test]
fn processor_time_is_the_requests_own() {
    let site = Site::new();
    let dir = site.writable("dir");
    // In milliseconds.
    let used = "function used() { $u = getrusage(); $t = posix_times();
        return [($u['ru_utime.tv_sec'] + $u['ru_stime.tv_sec']) * 1000 + ($u['ru_utime.tv_usec'] + $u['ru_stime.tv_usec']) / 1000,
            ($t['utime'] + $t['stime']) * 10]; }\n";
    script(
        &site,
        "busy.php",
        &format!(
            "{used}
        wait_for(\"$dir/idle\"); $begun = used();
        do {{ $now = used(); }} while ($now[0] - $begun[0] < 500 || $now[1] - $begun[1] < 500);
        touch(\"$dir/used\"); echo 'used';"
        ),
    );
    script(
        &site,
        "idle.php",
        &format!(
            "{used}
        $begun = used(); touch(\"$dir/idle\"); wait_for(\"$dir/used\"); $now = used();
        echo max($now[0] - $begun[0], $now[1] - $begun[1]) < 450 ? 'little' : json_encode([$begun, $now]);"
        ),
    );
    let server = server(&site);
    let mut busy = begin(&server, "busy.php", &dir);
    assert_eq!(begin(&server, "idle.php", &dir).answer(1).text(), "little");
    assert_eq!(busy.answer(1).text(), "used");
    server.stop();
}

#[test]
fn messages_to_syslog_have_the_requests_own_name() {
    let site = Site::new();
    let dir = site.writable("dir");
    // What goes to syslog is said on stderr, too.
    let first = "openlog('first', LOG_PERROR, LOG_USER); touch(\"$dir/open\"); wait_for(\"$dir/go\"); syslog(LOG_INFO, 'of the first');";
    script(&site, "first.php", first);
    script(&site, "second.php", "openlog('second', LOG_PERROR, LOG_USER); syslog(LOG_INFO, 'of the second');");
    let server = server(&site);
    let mut conn = begin(&server, "first.php", &dir);
    eventually("it has a name", || dir.join("open").exists());
    begin(&server, "second.php", &dir).answer(1);
    fs::write(dir.join("go"), "").expect("go");
    conn.answer(1);
    server.wait_log("\"second: of the second\"");
    server.wait_log("\"first: of the first\"");
    server.stop();
}

#[test]
fn services_and_protocols_are_those_that_were_asked_for() {
    let site = Site::new();
    let code = "<?php $asked = [['getservbyname', 'http', 'tcp'], ['getservbyname', 'smtp', 'tcp'], ['getservbyport', 22, 'tcp'],
            ['getservbyport', 443, 'tcp'], ['getprotobyname', 'tcp'], ['getprotobynumber', 17]];
        $right = [80, 25, 'ssh', 'https', 6, 'udp'];
        $keys = array_keys($asked);
        shuffle($keys);
        for ($i = 0; $i < 3000; $i++) foreach ($keys as $key) {
            $found = $asked[$key][0](...array_slice($asked[$key], 1));
            if ($found !== $right[$key]) exit(json_encode([$asked[$key], $found]));
        }
        echo 'right';";
    site.file("ask.php", code);
    let server = server(&site);
    let mut conns: Vec<Conn> = (0..3).map(|_| begin(&server, "ask.php", site.dir())).collect();
    for conn in &mut conns {
        assert_eq!(conn.answer(1).text(), "right");
    }
    server.stop();
}

#[test]
fn c_libraries_find_relative_files_where_the_script_is() {
    let site = Site::new();
    let dir = site.writable("dir");
    let place = "fn() => basename(getcwd()) . ' ' . basename(readlink('/proc/thread-self/cwd'))";
    for (name, other) in [("a", "b"), ("b", "a")] {
        let code = format!(
            "register_shutdown_function(fn() => print(getcwd() === readlink('/proc/thread-self/cwd') ? ', same' : ', other'));
            $place = {place}; $places = [$place()]; touch(\"$dir/{name}\"); wait_for(\"$dir/{other}\");
            $places[] = $place(); chdir('sub'); $places[] = $place(); @chdir('nonesuch'); $places[] = $place();
            echo implode(', ', $places);"
        );
        script(&site, &format!("{name}/place.php"), &code);
        site.file(&format!("{name}/sub/none"), "");
    }
    let server = server(&site);
    let mut conns: Vec<Conn> = ["a", "b"].map(|name| begin(&server, &format!("{name}/place.php"), &dir)).into();
    for (conn, name) in conns.iter_mut().zip(["a", "b"]) {
        assert_eq!(conn.answer(1).text(), format!("{name} {name}, {name} {name}, sub sub, sub sub, same"));
    }
    // And in the next request.
    assert_eq!(begin(&server, "a/place.php", &dir).answer(1).text(), "a a, a a, sub sub, sub sub, same");
    server.stop();
}

#[test]
fn a_script_is_where_the_link_leads_now() {
    let site = Site::new();
    let dir = site.writable("dir");
    for release in ["1", "2"] {
        let code = "chdir($_GET['way']); $name = basename(getcwd());
            echo $name, ' ', json_encode([file_exists($name), fopen($name, 'r') !== false, scandir('.') === ['.', '..', $name, 'where.php'],
            include './where.php', is_file('../link/where.php')]);";
        site.file(&format!("releases/{release}/where.php"), format!("<?php if (isset($name)) return $name; {code}"));
        site.file(&format!("releases/{release}/{release}"), "");
    }
    let link = site.docroot().join("releases/link");
    let server = Server::start(&site, ServerConfig::pool(PoolConfig::new("www").children(1)));
    for release in ["1", "2", "1"] {
        std::os::unix::fs::symlink(release, dir.join("next")).expect("a link");
        fs::rename(dir.join("next"), &link).expect("it leads to the next release at once");
        for way in [".", "../link"] {
            let answer = server.get(&format!("/releases/link/where.php?way={way}"));
            assert_eq!(answer.text(), format!("{release} [true,true,true,\"{release}\",true]"), "by {way}");
        }
    }
    server.stop();
}

#[test]
fn openssl_finds_certificates_by_the_requests_environment() {
    let site = Site::new();
    let dir = site.writable("dir");
    script(
        &site,
        "serve.php",
        "$key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $certificate = openssl_csr_sign(openssl_csr_new(['commonName' => 'localhost'], $key), null, $key, 1);
        openssl_x509_export_to_file($certificate, \"$dir/certificate\");
        openssl_pkey_export($key, $private);
        file_put_contents(\"$dir/both\", $private . file_get_contents(\"$dir/certificate\"));
        $context = stream_context_create(['ssl' => ['local_cert' => \"$dir/both\"]]);
        $socket = stream_socket_server('ssl://127.0.0.1:0', context: $context);
        file_put_contents(\"$dir/new\", stream_socket_get_name($socket, false));
        rename(\"$dir/new\", \"$dir/address\");
        echo json_encode([(bool) @stream_socket_accept($socket), (bool) @stream_socket_accept($socket)]);",
    );
    script(
        &site,
        "ask.php",
        "wait_for(\"$dir/address\");
        $address = 'ssl://' . file_get_contents(\"$dir/address\");
        $context = stream_context_create(['ssl' => ['peer_name' => 'localhost']]);
        $ask = fn() => (bool) @stream_socket_client($address, context: $context);
        $answers = [$ask()];
        putenv(\"SSL_CERT_FILE=$dir/certificate\");
        echo json_encode([...$answers, $ask()]);",
    );
    let server = server(&site);
    let mut serves = begin(&server, "serve.php", &dir);
    assert_eq!(begin(&server, "ask.php", &dir).answer(1).text(), "[false,true]");
    assert_eq!(serves.answer(1).text(), "[false,true]");
    server.stop();
}

/// A catalogue of gettext's with one message.
fn catalogue(message: &str, translation: &str) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).expect("small").to_ne_bytes();
    // Magic number, version, count, places of the two tables and of no hash table; the tables' only rows.
    let (first, second) = (44, 44 + message.len() + 1);
    let numbers = [0x9504_12de, 0, 1, 28, 36, 0, 44, message.len(), first, translation.len(), second];
    let head: Vec<u8> = numbers.into_iter().flat_map(number).collect();
    [&head, message.as_bytes(), b"\0", translation.as_bytes(), b"\0"].concat()
}

#[test]
fn messages_come_from_the_requests_own_domain() {
    only_php_ftm!("php-fpm has a process for each request");
    let site = Site::new();
    let dir = site.writable("dir");
    let catalogues = site.writable("locale/C.UTF-8/LC_MESSAGES");
    for name in ["first", "second"] {
        fs::write(catalogues.join(format!("{name}.mo")), catalogue("hello", &format!("hello of the {name}")))
            .expect("write");
        let other = if name == "first" { "second" } else { "first" };
        let code = format!(
            "setlocale(LC_ALL, 'C.UTF-8'); bindtextdomain('{name}', '{}'); $set = textdomain('{name}');
            touch(\"$dir/{name}\"); wait_for(\"$dir/{other}\"); echo \"$set: \", gettext('hello'), gettext('unknown');",
            site.dir().join("locale").display()
        );
        script(&site, &format!("{name}.php"), &code);
    }
    let pool = PoolConfig::new("www").children(2);
    let pool = pool.set("php_admin_value[extension]", &extension::build("gettext").display().to_string());
    let server = Server::start(&site, ServerConfig::pool(pool));
    let mut conns: Vec<Conn> = ["first", "second"].map(|name| begin(&server, &format!("{name}.php"), &dir)).into();
    for (conn, name) in conns.iter_mut().zip(["first", "second"]) {
        assert_eq!(conn.answer(1).text(), format!("{name}: hello of the {name}unknown"));
    }
    server.stop();
}

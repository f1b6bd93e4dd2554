//! `openlog()` and `syslog()`: each request's name, options and facility are its own. The daemon is the test, in a chroot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use ftm_tests::fcgi::{Call, Conn};
use ftm_tests::*;

/// A server whose pool has a daemon of its own.
struct Logged {
    site: Site,
    jail: PathBuf,
    daemon: UnixDatagram,
}

impl Logged {
    /// `None`: it takes root.
    fn new() -> Option<Logged> {
        if !nix::unistd::geteuid().is_root() {
            wait::skipped("it takes root");
            return None;
        }
        let site = Site::new();
        let jail = site.dir().join("jail");
        site::mkdir(&jail.join("dev"));
        site::mkdir(&jail.join("state"));
        fs::set_permissions(jail.join("state"), fs::Permissions::from_mode(0o777)).expect("chmod");
        let daemon = Logged::listen(&jail);
        Some(Logged { site, jail, daemon })
    }

    fn listen(jail: &std::path::Path) -> UnixDatagram {
        let daemon = UnixDatagram::bind(jail.join("dev/log")).expect("bind");
        fs::set_permissions(jail.join("dev/log"), fs::Permissions::from_mode(0o666)).expect("chmod");
        daemon.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        daemon
    }

    fn start(&self, kind: Kind, children: usize) -> Server {
        let pool = PoolConfig::new("www").children(children).set("chroot", &self.jail.display().to_string());
        Server::start_as(kind, &self.site, ServerConfig::pool(pool))
    }

    fn call(&self, name: &str, script: &str) -> Call {
        fs::write(self.jail.join(name), script).expect("a script");
        let path = format!("/{name}");
        Call::get(&self.site, &path).param("SCRIPT_FILENAME", path.clone()).param("DOCUMENT_ROOT", "/")
    }

    /// The next message: its priority, and its text with N for the process id, without the time.
    fn message(&self) -> (String, String) {
        let mut buffer = vec![0; 1 << 17];
        let len = self.daemon.recv(&mut buffer).expect("a message");
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let (priority, rest) = text.split_once('>').expect("a priority");
        let time = "Nov 21 10:00:00 ".len();
        let text = &rest[time..];
        let text = match (text.find('['), text.find(']')) {
            (Some(from), Some(to)) if from < to && text[from + 1..to].bytes().all(|b| b.is_ascii_digit()) => {
                format!("{}[N]{}", &text[..from], &text[to + 1..])
            }
            _ => text.to_owned(),
        };
        (priority.trim_start_matches('<').to_owned(), text)
    }
}

#[test]
fn messages_are_php_fpms() {
    let Some(logged) = Logged::new() else { return };
    let scripts = [
        "openlog('mine', LOG_PID, LOG_LOCAL3); syslog(LOG_INFO, 'of mine'); syslog(LOG_MAIL | LOG_ERR, 'of mail');",
        "openlog('first', 0, LOG_USER); openlog('second', LOG_NDELAY | LOG_CONS, LOG_DAEMON); syslog(LOG_WARNING, \"two\\nlines\");",
        "ini_set('error_log', 'syslog'); error_log('of PHP'); openlog('named', LOG_PID, LOG_AUTH); error_log('with a name');",
        "openlog('again', 0, LOG_USER); closelog(); openlog('other', 0, LOG_USER); syslog(LOG_DEBUG, '%s %d %m');",
        "openlog('long', 0, LOG_USER); syslog(LOG_INFO, str_repeat('x', 5000));",
        "openlog('fault', 0, LOG_USER); syslog(LOG_INFO | 0x4000, 'more bits than there are');",
        "openlog('end', 0, LOG_USER); syslog(LOG_INFO, 'end');",
    ];
    let messages = |kind| {
        let server = logged.start(kind, 1);
        for (n, script) in scripts.iter().enumerate() {
            let answer = server.call(&logged.call(&format!("{n}.php"), &format!("<?php {script} echo 'ok';")));
            assert_eq!(answer.text(), "ok", "{script}");
        }
        let mut messages = Vec::new();
        while messages.last() != Some(&("14".to_owned(), "end: end".to_owned())) {
            messages.push(logged.message());
        }
        server.stop();
        messages
    };
    let (tested, reference) = (messages(Kind::under_test()), messages(Kind::PhpFpm));
    tested.iter().zip(&reference).for_each(|(tested, reference)| assert_eq!(tested, reference));
    assert_eq!(tested.len(), reference.len());
}

#[test]
fn requests_beside_each_other_have_their_own_names() {
    let Some(logged) = Logged::new() else { return };
    let server = logged.start(Kind::under_test(), 2);
    let script = format!(
        "{PHP_WAIT_FOR} openlog('of A', LOG_PID | LOG_PERROR, LOG_LOCAL1); touch('/state/open'); wait_for('/state/go'); syslog(LOG_INFO, 'message of A');"
    );
    let mut a = Conn::open(server.address());
    a.send(logged.call("a.php", &script).encode(1));
    eventually("it has opened", || logged.jail.join("state/open").exists());
    // Neither a name, nor anything else of the other's; and their end is none of the other's.
    let b = logged.call(
        "b.php",
        "<?php syslog(LOG_INFO, 'without a name'); openlog('of B', 0, LOG_MAIL); syslog(LOG_INFO, 'message of B');",
    );
    server.call(&b);
    let (priority, text) = logged.message();
    assert!(priority == "14" && text.ends_with(": without a name") && !text.contains("of A"), "{priority} {text}");
    assert_eq!(logged.message(), ("22".to_owned(), "of B: message of B".to_owned()));
    fs::write(logged.jail.join("state/go"), "").expect("go");
    a.answer(1);
    assert_eq!(logged.message(), ("142".to_owned(), "of A[N]: message of A".to_owned()));
    server.wait_log("]: message of A");
    assert!(!server.log().contains("message of B"), "{}", server.log());
    server.stop();
}

#[test]
fn a_request_begins_without_the_name_of_the_one_before() {
    let Some(logged) = Logged::new() else { return };
    let server = logged.start(Kind::under_test(), 1);
    server.call(&logged.call("named.php", "<?php openlog('named', LOG_NDELAY, LOG_USER); echo 'ok';"));
    server.call(&logged.call("next.php", "<?php syslog(LOG_INFO, 'next');"));
    let (_, text) = logged.message();
    assert!(text.ends_with(": next") && !text.starts_with("named"), "{text}");
    server.stop();
}

#[test]
fn a_daemon_that_is_restarted_is_found_again() {
    let Some(mut logged) = Logged::new() else { return };
    let server = logged.start(Kind::under_test(), 1);
    let script = format!(
        "{PHP_WAIT_FOR} openlog('mine', 0, LOG_USER); syslog(LOG_INFO, 'before'); touch('/state/open'); wait_for('/state/go'); syslog(LOG_INFO, 'after');"
    );
    let mut conn = Conn::open(server.address());
    conn.send(logged.call("a.php", &script).encode(1));
    assert_eq!(logged.message().1, "mine: before");
    eventually("it has logged", || logged.jail.join("state/open").exists());
    fs::remove_file(logged.jail.join("dev/log")).expect("the socket");
    logged.daemon = Logged::listen(&logged.jail);
    fs::write(logged.jail.join("state/go"), "").expect("go");
    conn.answer(1);
    assert_eq!(logged.message().1, "mine: after");
    server.stop();
}

#[test]
fn a_daemon_that_does_not_read_holds_no_request() {
    only_php_ftm!("php-fpm waits for the daemon");
    let Some(logged) = Logged::new() else { return };
    let server = logged.start(Kind::under_test(), 1);
    let call = logged.call(
        "flood.php",
        "<?php for ($i = 0; $i < 20000; $i++) syslog(LOG_INFO, str_repeat('x', 1000)); echo 'done';",
    );
    assert_eq!(server.call(&call).text(), "done");
    server.stop();
}

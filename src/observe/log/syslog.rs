//! `error_log = syslog`: the local syslog daemon, by a socket of our own. The C library's syslog() keeps one state for the
//! whole process, which scripts change by openlog(), and could not find the daemon again from within a chroot.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

use ftm_config::Level;

use super::{local_time, now};

/// Where the daemon listens.
const DAEMON: &str = "/dev/log";

/// The way to the daemon.
pub struct Syslog {
    ident: OsString,
    /// A `LOG_*` number, ready shifted.
    facility: i32,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Connects to the daemon, if it is there.
    pub fn open(ident: &OsStr, facility: i32) -> Syslog {
        Syslog { ident: ident.to_owned(), facility, socket: connect() }
    }

    /// Sends a message, as PHP-FPM words it. If the daemon was restarted, it is looked for again.
    pub fn send(&mut self, level: Level, message: &str) {
        let text = self.text(level, message);
        let sent = self.socket.as_ref().is_some_and(|socket| socket.send(&text).is_ok());
        if !sent && let Some(socket) = connect() {
            // There is nobody to tell when the log cannot be written to.
            let _ = socket.send(&text);
            self.socket = Some(socket);
        }
    }

    /// RFC 3164, as the C library writes it. The priority is the message's own; PHP-FPM gives each that of `log_level`.
    fn text(&self, level: Level, message: &str) -> Vec<u8> {
        let priority = self.facility | severity(level);
        let time = local_time(now(), c"%b %e %H:%M:%S");
        let start = format!("<{priority}>{time} ");
        let end = format!("[{}]: [{level}] {message}", std::process::id());
        [start.as_bytes(), self.ident.as_bytes(), end.as_bytes()].concat()
    }
}

fn connect() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(DAEMON).ok()?;
    // A daemon that does not read must not stop the server.
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn severity(level: Level) -> i32 {
    match level {
        Level::Debug => libc::LOG_DEBUG,
        Level::Notice => libc::LOG_NOTICE,
        Level::Warning => libc::LOG_WARNING,
        Level::Error => libc::LOG_ERR,
        Level::Alert => libc::LOG_ALERT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_form_that_daemons_read() {
        let syslog = Syslog { ident: "php-fpm".into(), facility: libc::LOG_DAEMON, socket: None };
        let text = String::from_utf8(syslog.text(Level::Warning, "[pool www] hello")).expect("UTF-8");
        assert!(text.starts_with("<28>"), "{text}");
        assert!(text.ends_with(&format!(" php-fpm[{}]: [WARNING] [pool www] hello", std::process::id())), "{text}");
        assert_eq!(text.len() - text.find("php-fpm").expect("the name"), text.len() - "<28>Nov 20 21:39:34 ".len());
    }
}

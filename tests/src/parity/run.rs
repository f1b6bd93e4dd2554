//! Runs a list of cases against both servers and compares what came of each.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::signal::Signal;

use super::case::{Case, Sent};
use super::normal::Normal;
use crate::apache::{Apache, Handler};
use crate::compare::{Pair, difference, fcgi_text, http_text};
use crate::fcgi::{Call, Conn, kind};
use crate::net::Address;
use crate::nginx::{Nginx, NginxConfig};
use crate::server::{Kind, Server, ServerConfig};
use crate::site::Site;
use crate::wait::eventually;

/// The script that leaves a mark in both logs, with the number of the case before it. What a script writes reaches
/// php-ftm's log by a pipe, what PHP says does at once: this way it comes behind both.
const MARK: &str = "<?php file_put_contents('php://stderr', 'mark ' . $_SERVER['MARK'] . \"\\n\");";

/// The beginning of a line that Debian's php-fpm logs even where there is no systemd.
const SYSTEMD: &str = "[TIME] NOTICE: systemd monitor interval set to ";

/// Where php-ftm is allowed to differ from php-fpm, and why.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// The configuration's name.
    pub configuration: &'static str,
    /// The case's name.
    pub case: &'static str,
    /// What php-fpm says there (after normalisation) …
    pub php_fpm: &'static str,
    /// … in the place of which php-ftm says this. All else has to be equal.
    pub php_ftm: &'static str,
    /// Why that is right.
    pub reason: &'static str,
}

/// How the logs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// Not at all.
    No,
    /// Line by line, for each case: the pool shows what its workers say (`catch_workers_output`), from NOTICE on.
    PerCase,
    /// As a whole, when the servers have stopped.
    Whole,
}

/// A configuration in which cases are compared.
#[derive(Debug)]
pub struct Comparison {
    name: &'static str,
    config: ServerConfig,
    logs: Logs,
    nginx: Option<NginxConfig>,
    apache: Option<(Handler, String)>,
    chrooted: bool,
}

/// A server with what stands in front of it.
struct Side<'a> {
    server: &'a Server,
    nginx: Option<Nginx>,
    apache: Option<Apache>,
    normal: Normal,
}

impl Comparison {
    /// Of the answers only. Its pool should be called `www` and have one child, so that the requests have an order.
    pub fn new(name: &'static str, config: ServerConfig) -> Self {
        Self { name, config, logs: Logs::No, nginx: None, apache: None, chrooted: false }
    }

    /// Compares the logs too. An access log is expected in `{room}/access.log` if the configuration names it; its
    /// format must then show SCRIPT_NAME (`%r`).
    pub fn logs(mut self, logs: Logs) -> Self {
        self.logs = logs;
        self
    }

    /// Puts an nginx in front of each, for [`Sent::Nginx`].
    pub fn nginx(mut self, config: NginxConfig) -> Self {
        self.nginx = Some(config);
        self
    }

    /// Puts an Apache in front of each, for [`Sent::Apache`].
    pub fn apache(mut self, handler: Handler, extra: String) -> Self {
        self.apache = Some((handler, extra));
        self
    }

    /// The pool is confined to the site's directory: paths in params go without it.
    pub fn chrooted(mut self) -> Self {
        self.chrooted = true;
        self
    }

    /// Sends all cases to both servers; panics with what differs and is not among `differences`, and with those of
    /// `differences` for this configuration that did not occur.
    #[track_caller]
    pub fn run(&self, site: &Site, cases: &[Case], differences: &[Difference]) {
        site.file("parity-mark.php", MARK);
        let mut pair = Pair::start(site, &self.config);
        if !pair.same_version() {
            return;
        }
        let sides = pair.both().map(|server| self.side(site, server));
        let mut outcomes = [Vec::new(), Vec::new()];
        if self.logs == Logs::PerCase {
            sides.iter().for_each(|side| self.mark(site, side.server, cases.len()));
        }
        for (n, case) in cases.iter().enumerate() {
            for (side, texts) in sides.iter().zip(&mut outcomes) {
                texts.push(self.send(site, side, &case.sent));
                if self.logs == Logs::PerCase {
                    self.mark(site, side.server, n);
                }
            }
        }
        let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        if self.logs == Logs::PerCase {
            names.push("the start");
            sides.iter().zip(&mut outcomes).for_each(|(side, texts)| add_logs(side.server, &side.normal, texts));
        }
        drop(sides);
        if self.logs != Logs::No {
            names.push("the end");
            for (server, texts) in [&mut pair.reference, &mut pair.tested].into_iter().zip(&mut outcomes) {
                texts.push(self.last_words(server));
            }
        }
        let [reference, tested] = outcomes;
        let rows = names.into_iter().zip(reference.into_iter().zip(tested));
        self.judge(&rows.map(|(name, texts)| (name, texts.into())).collect::<Vec<_>>(), differences);
    }

    fn side<'a>(&self, site: &Site, server: &'a Server) -> Side<'a> {
        let nginx = self.nginx.as_ref().map(|config| Nginx::start_with(site, server, config));
        let apache = self.apache.as_ref().map(|(handler, extra)| Apache::start(site, server, *handler, extra));
        let mut normal = normal(server);
        for address in [nginx.as_ref().map(Nginx::address), apache.as_ref().map(Apache::address)].into_iter().flatten()
        {
            normal = normal.address(address, "FRONT");
        }
        Side { server, nginx, apache, normal }
    }

    fn send(&self, site: &Site, side: &Side<'_>, sent: &Sent) -> String {
        let address = side.server.address();
        let text = match sent {
            Sent::Call(call) => calls(address, &[self.confine(site, call.clone())]),
            Sent::Kept(all) => {
                calls(address, &all.iter().map(|call| self.confine(site, call.clone())).collect::<Vec<_>>())
            }
            Sent::Bytes(bytes) => records(address, bytes),
            Sent::Nginx(request) => http_text(&side.nginx.as_ref().expect("an nginx").send(request)),
            Sent::Apache(request) => http_text(&side.apache.as_ref().expect("an Apache").send(request)),
        };
        side.normal.text(&text)
    }

    fn confine(&self, site: &Site, mut call: Call) -> Call {
        if self.chrooted {
            let outside = site.dir().display().to_string();
            for (_, value) in &mut call.params {
                if let Some(inside) = value.strip_prefix(outside.as_bytes()) {
                    *value = inside.to_vec();
                }
            }
        }
        call
    }

    /// Leaves a mark in both logs. What comes next is behind it, because it waits until the mark is there.
    fn mark(&self, site: &Site, server: &Server, n: usize) {
        let mark = Call::get(site, "/parity-mark.php").param("SCRIPT_NAME", format!("/mark-{n};"));
        server.call(&self.confine(site, mark.param("MARK", format!("{n};"))));
        server.wait_log(&format!("mark {n};"));
    }

    /// Stops a server; what it had not logged before, or, where the marks do not show, all that it has.
    fn last_words(&self, server: &mut Server) -> String {
        server.signal(Signal::SIGQUIT);
        let status = server.wait_end();
        let log = error_log(server, &normal(server));
        let tail = match self.logs {
            Logs::PerCase => log.rsplit_once("mark ").and_then(|(_, tail)| tail.split_once('\n')).map_or("", |t| t.1),
            _ => &log,
        };
        let access = access_log(server);
        let access = match self.logs {
            Logs::PerCase => {
                access.rsplit_once("/mark-").and_then(|(_, tail)| tail.split_once('\n')).map_or("", |t| t.1)
            }
            _ => &access,
        };
        format!("{status}\nERROR LOG\n{tail}ACCESS LOG\n{access}")
    }

    fn judge(&self, rows: &[(&str, [String; 2])], differences: &[Difference]) {
        let ours = Kind::under_test() == Kind::PhpFtm;
        let mine: Vec<_> = differences.iter().filter(|d| ours && d.configuration == self.name).collect();
        let mut wrong = Vec::new();
        for (name, [reference, tested]) in rows {
            let mut expected = reference.clone();
            for d in mine.iter().filter(|d| d.case == *name) {
                if !expected.contains(d.php_fpm) || reference == tested {
                    wrong.push(format!("{name}: the difference {:?} is listed, and there is none", d.php_fpm));
                }
                expected = expected.replace(d.php_fpm, d.php_ftm);
            }
            if let Some(difference) = difference(&expected, tested) {
                wrong.push(format!("{name}: {difference}"));
            }
        }
        for d in mine.iter().filter(|d| rows.iter().all(|(name, _)| d.case != *name)) {
            wrong.push(format!("{}: differences are listed for this case, and there is no such case", d.case));
        }
        let (count, of, text) = (wrong.len(), rows.len(), wrong.join("\n\n"));
        assert!(wrong.is_empty(), "{}: {count} differences in {of} cases:\n{text}", self.name);
    }
}

fn normal(server: &Server) -> Normal {
    let site = server.site().dir().to_owned();
    Normal::new().address(server.address(), "BACKEND").room(server.room().to_owned(), "ROOM").room(site, "SITE")
}

/// The answers on one connection, and whether the server closed it after the last one.
fn calls(address: &Address, calls: &[Call]) -> String {
    let mut conn = Conn::open(address);
    let mut text = String::new();
    for call in calls {
        conn.send(call.encode(1));
        match conn.read_answer(1) {
            Ok(answer) => text += &fcgi_text(&answer),
            Err(e) => return text + &broken(&e),
        }
        text += "\n";
    }
    // A connection that is kept would stay open until the deadline.
    if calls.iter().any(|call| call.keep_conn) {
        return text;
    }
    text + if conn.closed_by_server() { "CLOSED\n" } else { "OPEN\n" }
}

/// All records that come back before the server closes the connection.
fn records(address: &Address, bytes: &[u8]) -> String {
    let mut conn = Conn::open(address);
    conn.send(bytes);
    let mut text = String::new();
    loop {
        match conn.read_record() {
            // The reserved bytes are left out: php-fpm does not set them.
            Ok(Some(r)) if r.kind == kind::END_REQUEST => text += &format!("END {} {:?}\n", r.id, &r.content[..5]),
            Ok(Some(r)) => text += &format!("{} {} {}\n", r.kind, r.id, String::from_utf8_lossy(&r.content)),
            Ok(None) => return text + "CLOSED\n",
            Err(e) => return text + &broken(&e),
        }
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        // Whether the kernel resets a connection or closes it depends on what was still unread.
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => "BROKEN OFF\n".to_owned(),
        _ => format!("FAILED {error}\n"),
    }
}

fn error_log(server: &Server, normal: &Normal) -> String {
    let text = normal.text(&server.log());
    text.split_inclusive('\n').filter(|line| !line.starts_with(SYSTEMD)).collect()
}

fn access_log(server: &Server) -> String {
    let text = read_log(&server.room().join("access.log"));
    normal(server).text(&text)
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Appends to each case's text the lines of both logs between the mark before it and its own, and to all texts the lines
/// before the first mark.
fn add_logs(server: &Server, normal: &Normal, texts: &mut Vec<String>) {
    let access = server.room().join("access.log");
    let has_access_log = access.exists();
    if has_access_log {
        let last = format!("/mark-{};", texts.len() - 1);
        eventually("the last mark is in the access log", || read_log(&access).contains(&last));
    }
    let (error, access) = (error_log(server, normal), normal.text(&read_log(&access)));
    let (mut error, mut access) = (error.as_str(), access.as_str());
    let mut take = |n: usize| {
        let mut text = format!("ERROR LOG\n{}", up_to_mark(&mut error, &format!("mark {n};")));
        if has_access_log {
            text += &format!("ACCESS LOG\n{}", up_to_mark(&mut access, &format!("/mark-{n};")));
        }
        text
    };
    let start = take(texts.len());
    texts.iter_mut().enumerate().for_each(|(n, text)| *text += &take(n));
    texts.push(start);
}

/// Cuts the lines up to the one with the mark, and returns those before it.
fn up_to_mark(log: &mut &str, mark: &str) -> String {
    let at = log.find(mark).unwrap_or_else(|| panic!("no {mark:?} in the rest of the log:\n{log}"));
    let line = log[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let next = log[at..].find('\n').map_or(log.len(), |newline| at + newline + 1);
    let before = log[..line].to_owned();
    *log = &log[next..];
    before
}

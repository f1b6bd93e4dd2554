//! The status page and the ping page (`pm.status_path`, `ping.path`), answered by the main thread: they work while every
//! PHP thread is busy, and their clients wait for nothing.
//!
//! Their paths are compared with SCRIPT_NAME, and they go before any script of that name. Headers and bodies are
//! PHP-FPM's. No PHP runs for them: of php.ini only `default_charset`, `default_mimetype`, `expose_php` and `cgi.nph` act,
//! as the pool has them.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use ftm_config::Pool;
use ftm_fastcgi::Params;
use nix::unistd::{getpid, getppid};

use super::row::{Cpu, Shown};
use super::status::{self, Asker};
use crate::observe::access::{Entry, header_value};
use crate::observe::log;
use crate::observe::status::{Keys, Query, render};
use crate::php::{Engine, PathSettings, PhpPool, request_uri};
use crate::server::Request;

const NO_CACHE: [&str; 2] =
    ["Expires: Thu, 01 Jan 1970 00:00:00 GMT", "Cache-Control: no-cache, no-store, must-revalidate, max-age=0"];

/// Which requests ask for a page.
#[derive(Clone, Default)]
pub struct PageNames {
    status: Option<String>,
    ping: Option<String>,
    paths: PathSettings,
}

impl PageNames {
    /// Those that `config` names.
    pub fn new(config: &Pool, paths: PathSettings) -> PageNames {
        PageNames {
            status: config.status_path.clone(),
            ping: config.ping.as_ref().map(|ping| ping.path.clone()),
            paths,
        }
    }

    /// Whether a request with these parameters asks for one.
    pub fn any(&self, params: &Params) -> bool {
        self.find(params).is_some()
    }

    /// Which one it asks for.
    fn find(&self, params: &Params) -> Option<Name> {
        if self.status.is_none() && self.ping.is_none() {
            return None;
        }
        // PHP-FPM answers a request without a method before it looks for a page.
        params.get(b"REQUEST_METHOD")?;
        let uri = request_uri(params, &self.paths)?;
        let is = |path: &Option<String>| path.as_ref().is_some_and(|path| path.as_bytes() == uri);
        if is(&self.ping) { Some(Name::Ping) } else { is(&self.status).then_some(Name::Status) }
    }
}

enum Name {
    Ping,
    Status,
}

/// The pages of a pool.
pub struct Pages {
    pool: Arc<PhpPool>,
    names: PageNames,
    /// `ping.response`.
    pong: Vec<u8>,
    keys: Keys,
    headers: Headers,
    asker: Asker,
}

/// A page that a request asks for.
pub struct Page {
    kind: Kind,
    /// HEAD: no body.
    head_only: bool,
}

enum Kind {
    Ping,
    Status(Query),
}

impl Pages {
    /// The pages that `config` names, for those who ask at `listen` or, as `asker` says, at `pm.status_listen`.
    pub fn new(pool: Arc<PhpPool>, config: &Pool, engine: &Engine, asker: Asker) -> Pages {
        Pages {
            asker,
            names: PageNames::new(config, pool.paths.clone()),
            pong: config.ping.as_ref().map(|ping| ping.response.as_bytes().to_vec()).unwrap_or_default(),
            keys: if Engine::php_version_id() >= 80400 { Keys::Whole } else { Keys::Beginnings },
            headers: Headers::of(engine),
            pool,
        }
    }

    /// Whether requests are the pool's own, and not those at `pm.status_listen`.
    pub fn of_pool(&self) -> bool {
        self.asker == Asker::StatusPage
    }

    /// A request has begun. Those at `pm.status_listen` are not the pool's own.
    pub fn count_request(&self) {
        if self.of_pool() {
            self.pool.dispatcher.figures().count_request();
        }
    }

    /// The page that a request with these parameters asks for, if it does.
    pub fn find(&self, params: &Params) -> Option<Page> {
        let kind = match self.names.find(params)? {
            Name::Ping => Kind::Ping,
            Name::Status => Kind::Status(Query::parse(params.get(b"QUERY_STRING").unwrap_or_default(), self.keys)),
        };
        Some(Page { kind, head_only: params.get(b"REQUEST_METHOD") == Some(b"HEAD") })
    }

    /// The whole response, headers and body.
    pub fn render(&self, page: &Page) -> Vec<u8> {
        match (&page.kind, page.head_only) {
            (Kind::Ping, head_only) => {
                let head = self.headers.block(&[&self.headers.content_type("text/plain"), NO_CACHE[0], NO_CACHE[1]]);
                let body: &[u8] = if head_only { &[] } else { &self.pong };
                [&head, body].concat()
            }
            // PHP-FPM answers HEAD before it knows the format, so the type is PHP's default one.
            (Kind::Status(_), true) => {
                let default = self.headers.default_type.as_deref().unwrap_or_default();
                self.headers.block(&[NO_CACHE[0], NO_CACHE[1], default])
            }
            (Kind::Status(query), false) => {
                let snapshot = status::snapshot(&self.pool, self.asker, query.full);
                let content_type = self.headers.content_type(query.format.media_type());
                let mut page = self.headers.block(&[NO_CACHE[0], NO_CACHE[1], &content_type]);
                page.extend_from_slice(&render(&snapshot, *query));
                page
            }
        }
    }

    /// Writes the line of a request that no PHP thread has run to the access log. `status` is a CGI status such as `200 OK`,
    /// `response` what was answered.
    pub fn log(&self, request: &Request, params: &Params, status: &str, response: &[u8]) {
        let Some(access) = self.pool.access.as_ref().filter(|_| self.of_pool()) else { return };
        let mut shown = Shown::default();
        let uri = request_uri(params, &self.names.paths);
        shown.set(params.get(b"REQUEST_METHOD"), uri, params.get(b"QUERY_STRING"), None);
        shown.content_length = request.content_length().map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let (now, took) = (log::now(), request.begun().elapsed());
        let line = access.line(&Entry {
            shown: &shown,
            status: status.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0),
            duration: took,
            cpu: Cpu::default(),
            memory: 0,
            began: now - i64::try_from(took.as_secs()).unwrap_or(0),
            now,
            peer: request.peer(),
            pid: getpid().as_raw().into(),
            parent: getppid().as_raw().into(),
            // Of a page PHP-FPM finds no script, as a rule, and forgets its name then.
            param: &|name| match name {
                b"SCRIPT_FILENAME" => None,
                b"FCGI_ROLE" => Some(request.role().as_c_str().to_bytes()),
                _ => params.get(name),
            },
            header: &|name| {
                response
                    .split(|&b| b == b'\n')
                    .map(<[u8]>::trim_ascii_end)
                    .take_while(|line| !line.is_empty())
                    .find_map(|line| header_value(line, name))
            },
        });
        line.iter().for_each(|line| access.write(line));
    }
}

/// What php.ini says of headers.
struct Headers {
    nph: bool,
    powered_by: Option<String>,
    charset: Option<String>,
    /// The header for a response whose type nobody set.
    default_type: Option<String>,
}

impl Headers {
    fn of(engine: &Engine) -> Headers {
        let text = |name| engine.ini_string(name).map(|value| String::from_utf8_lossy(&value).into_owned());
        let charset = text(c"default_charset");
        let default_type = text(c"default_mimetype").map(|mime| match &charset {
            Some(charset) if is_text(&mime) => format!("Content-type: {mime}; charset={charset}"),
            _ => format!("Content-type: {mime}"),
        });
        let powered_by = engine.ini_bool(c"expose_php").then(|| format!("X-Powered-By: PHP/{}", Engine::php_version()));
        Headers { nph: engine.ini_bool(c"cgi.nph"), powered_by, charset, default_type }
    }

    /// The header for a media type, as PHP rewrites it: text gets the default charset, and the name another case with it.
    fn content_type(&self, media_type: &str) -> String {
        match &self.charset {
            Some(charset) if is_text(media_type) => format!("Content-type: {media_type};charset={charset}"),
            _ => format!("Content-Type: {media_type}"),
        }
    }

    /// The header block; empty lines are left out.
    fn block(&self, lines: &[&str]) -> Vec<u8> {
        let status = if self.nph { "Status: 200 OK" } else { "" };
        let first = [status, self.powered_by.as_deref().unwrap_or_default()];
        let lines = first.iter().chain(lines).filter(|line| !line.is_empty());
        let mut block: String = lines.map(|line| format!("{line}\r\n")).collect();
        block.push_str("\r\n");
        block.into_bytes()
    }
}

fn is_text(media_type: &str) -> bool {
    media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}

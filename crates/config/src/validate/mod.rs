//! php-fpm's rules for what was written (`fpm_conf_post_process` of `fpm_conf.c`), in its order
//! and its words. Values are replaced by what they come to: paths become absolute, what is
//! missing is filled in. Where php-fpm stops at the first error, all are collected.

mod listen;
mod manager;
mod pool;

use std::collections::HashMap;

pub(crate) use listen::parse as listen_address;

use crate::diagnostic::{Diagnostic, Level};
use crate::directive::Value;
use crate::options::LoadOptions;
use crate::paths;
use crate::table::{Global, Pool};
use crate::written::{Span, Written};

/// `log_limit` must not be less (`ZLOG_MIN_LIMIT`).
const MIN_LOG_LIMIT: i32 = 512;

/// Nice value that php-fpm takes for "not set".
const PRIORITY_UNSET: i32 = 64;

/// Event mechanisms of a php-fpm on Linux; only the first can tell edges, which ondemand needs.
pub(crate) const MECHANISMS: [&str; 3] = ["epoll", "poll", "select"];

/// Why a configuration cannot be used.
pub(crate) struct Invalid {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// php-fpm's sentence about the step that failed, if it has one.
    pub(crate) closing: Option<String>,
}

/// Checks everything, and completes it.
///
/// # Errors
/// All messages, at least one of them an error.
pub(crate) fn validate(
    written: Written,
    diagnostics: Vec<Diagnostic>,
    options: &LoadOptions<'_>,
) -> Result<(Written, Vec<Diagnostic>), Invalid> {
    let mut validator = Validator { written, options, diagnostics, late: Vec::new() };
    validator.global();
    if validator.written.pools.is_empty() {
        let message = "No pool defined. at least one pool section must be specified in config file";
        validator.say(Level::Error, message.into());
    }
    for pool in 0..validator.written.pools.len() {
        validator.pool(pool);
    }
    validator.listen_twice();
    validator.access_formats();
    let mut diagnostics = validator.diagnostics;
    let closing =
        diagnostics.iter().any(Diagnostic::is_error).then(|| "failed to post process the configuration".to_string());
    diagnostics.extend(validator.late);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(Invalid { diagnostics, closing });
    }
    Ok((validator.written, diagnostics))
}

struct Validator<'a> {
    written: Written,
    options: &'a LoadOptions<'a>,
    diagnostics: Vec<Diagnostic>,
    /// What php-fpm finds after post processing, when it makes its sockets.
    late: Vec<Diagnostic>,
}

impl Validator<'_> {
    fn say(&mut self, level: Level, message: String) {
        self.diagnostics.push(Diagnostic::new(level, message));
    }

    fn at(&self, level: Level, message: String, span: Option<&Span>) -> Diagnostic {
        match span {
            Some(span) => self.written.sources.diagnostic(level, message, span),
            None => Diagnostic::new(level, message),
        }
    }

    /// A message about a directive of `[global]`.
    fn say_global(&mut self, id: Global, message: String) {
        let span = self.written.global.span(id);
        let diagnostic = self.at(Level::Error, message, span);
        self.diagnostics.push(diagnostic);
    }

    fn global(&mut self) {
        let global = &mut self.written.global;
        if !global.is_set(Global::Pid)
            && let Some(pid) = &self.options.pid
        {
            let bytes = pid.as_os_str().as_encoded_bytes().to_vec();
            global.put(Global::Pid, Value::Text(bytes));
        }
        let state = &self.options.local_state;
        let full = |text: &[u8]| Value::Text(paths::absolute(text, None, state, self.options));
        if let Some(pid) = global.text(Global::Pid) {
            global.put(Global::Pid, full(&pid));
        }
        if let Some(daemonize) = self.options.daemonize {
            global.put(Global::Daemonize, Value::Bool(daemonize));
        }
        if let Some(log) = global.text(Global::ErrorLog)
            && !log.eq_ignore_ascii_case(b"syslog")
        {
            global.put(Global::ErrorLog, full(&log));
        }
        if let Some(ident) = global.text(Global::SyslogIdent) {
            global.put(Global::SyslogIdent, Value::Text(ident));
        }
        if global.integer(Global::SystemdInterval) < 0 {
            global.put(Global::SystemdInterval, Value::Integer(10));
        }

        if global.integer(Global::LogLimit) < MIN_LOG_LIMIT {
            let message = format!("log_limit must be greater than {MIN_LOG_LIMIT}");
            self.say_global(Global::LogLimit, message);
        }
        if self.written.global.integer(Global::ProcessMax) < 0 {
            self.say_global(Global::ProcessMax, "process_max can't be negative".into());
        }
        if let Some(message) = priority(self.written.global.value(Global::ProcessPriority)) {
            self.say_global(Global::ProcessPriority, message.into());
        }
        if self.written.global.is_set(Global::EventsMechanism) {
            let name = self.written.global.text(Global::EventsMechanism);
            let name = String::from_utf8_lossy(&name.unwrap_or_default()).into_owned();
            if self.mechanism().is_none() {
                let message = format!("event mechanism '{name}' is not available on this system");
                self.say_global(Global::EventsMechanism, message);
            }
        }
    }

    /// The event mechanism; `None` if there is no such.
    fn mechanism(&self) -> Option<&'static str> {
        let global = &self.written.global;
        if !global.is_set(Global::EventsMechanism) {
            return Some(MECHANISMS[0]);
        }
        let name = global.text(Global::EventsMechanism)?;
        let same = |known: &&str| known.as_bytes().eq_ignore_ascii_case(&name);
        MECHANISMS.into_iter().find(same)
    }

    /// Two pools must not listen at one address. The hidden pools of `pm.status_listen` count.
    fn listen_twice(&mut self) {
        let pools = self.written.pools.iter().enumerate();
        let main = pools.clone().map(|(index, pool)| {
            let address = pool.settings.filled(Pool::Listen);
            (index, pool.name.clone(), address, Pool::Listen)
        });
        let status = pools.map(|(index, pool)| {
            let address = pool.settings.filled(Pool::PmStatusListen);
            (index, format!("{}_status", pool.name), address, Pool::PmStatusListen)
        });
        let listeners: Vec<_> = main.chain(status).collect();
        let mut first: HashMap<&[u8], usize> = HashMap::new();
        let mut pairs = Vec::new();
        for (number, (_, _, address, _)) in listeners.iter().enumerate() {
            if let Some(address) = address {
                let earlier = *first.entry(address).or_insert(number);
                if earlier != number {
                    pairs.push((earlier, number));
                }
            }
        }
        pairs.sort_unstable();
        for (earlier, later) in pairs {
            let (pool, name, _, id) = &listeners[later];
            let message = format!(
                "[pool {name}] unable to set listen address as it's already used in another pool '{}'",
                listeners[earlier].1
            );
            let span = self.written.pools[*pool].settings.span(*id);
            let diagnostic = self.at(Level::Error, message, span);
            self.diagnostics.push(diagnostic);
        }
    }
}

/// php-fpm's complaint about a nice value.
fn priority(value: Option<Value>) -> Option<&'static str> {
    match value {
        None | Some(Value::Integer(PRIORITY_UNSET | -19..=20)) => None,
        Some(_) => Some("process.priority must be included into [-19,20]"),
    }
}

/// A nice value that is set.
pub(crate) fn priority_of(value: Option<Value>) -> Option<i32> {
    match value {
        Some(Value::Integer(number)) if number != PRIORITY_UNSET => Some(number),
        _ => None,
    }
}

//! Rules for one pool (`fpm_conf_process_all_pools` of `fpm_conf.c`).

use super::listen::{self, MAX_SOCKET_PATH};
use super::{Validator, priority};
use crate::access_format;
use crate::diagnostic::Level;
use crate::directive::Value;
use crate::paths;
use crate::table::{Pool, Table};
use crate::written::{Settings, Span};

/// php.ini directives that name files, which get the prefix (`FPM_PHP_INI_TO_EXPAND`).
const PATH_INIS: [&str; 15] = [
    "error_log",
    "extension_dir",
    "mime_magic.magicfile",
    "sendmail_path",
    "session.cookie_path",
    "session_pgsql.sem_file_name",
    "soap.wsdl_cache_dir",
    "uploadprogress.file.filename_template",
    "xdebug.output_dir",
    "xdebug.profiler_output_dir",
    "xdebug.trace_output_dir",
    "xmms.path",
    "axis2.client_home",
    "blenc.key_file",
    "coin_acceptor.device",
];

/// Default frames of a backtrace in slowlog.
const TRACE_DEPTH: i32 = 20;

/// Smallest `thread_stack_size`, in bytes: PHP does not start on less.
const MIN_STACK: u64 = 256 << 10;

impl Validator<'_> {
    pub(super) fn pool(&mut self, pool: usize) {
        self.pool_prefix(pool);
        self.pool_names(pool);
        if !self.settings(pool).is_set(Pool::User) && self.options.is_root && !self.options.root_allowed {
            self.header(pool, Level::Alert, "user has not been defined");
        }
        self.pool_listen(pool);
        let settings = self.settings(pool);
        if let Some(message) = priority(settings.value(Pool::ProcessPriority)) {
            self.value(pool, Pool::ProcessPriority, Level::Error, message);
        }
        self.pool_manager(pool);
        self.pool_status(pool);
        self.pool_logs(pool);
        self.pool_directories(pool);
        let settings = &mut self.written.pools[pool].settings;
        if let Some(extensions) = settings.text(Pool::SecurityLimitExtensions) {
            settings.put(Pool::SecurityLimitExtensions, Value::Text(extensions));
        }
        self.pool_php_values(pool);
        self.pool_own(pool);
    }

    pub(super) fn settings(&self, pool: usize) -> &Settings<Pool> {
        &self.written.pools[pool].settings
    }

    pub(super) fn put(&mut self, pool: usize, id: Pool, value: Value) {
        self.written.pools[pool].settings.put(id, value);
    }

    /// A message about a pool, shown at a place.
    fn tell(&mut self, pool: usize, span: &Span, level: Level, message: &str) {
        let message = format!("[pool {}] {message}", self.written.pools[pool].name);
        let diagnostic = self.at(level, message, Some(span));
        self.diagnostics.push(diagnostic);
    }

    /// A message about what a pool lacks.
    pub(super) fn header(&mut self, pool: usize, level: Level, message: &str) {
        let span = self.written.pools[pool].header.clone();
        self.tell(pool, &span, level, message);
    }

    /// A message about a directive's value, or about the pool if it is not written.
    pub(super) fn value(&mut self, pool: usize, id: Pool, level: Level, message: &str) {
        let span = self.settings(pool).span(id).cloned();
        let span = span.unwrap_or_else(|| self.written.pools[pool].header.clone());
        self.tell(pool, &span, level, message);
    }

    /// Makes a path of this pool absolute.
    fn full(&self, pool: usize, path: &[u8]) -> Vec<u8> {
        let prefix = self.settings(pool).text(Pool::Prefix);
        let default = &self.options.compile_prefix;
        paths::absolute(path, prefix.as_deref(), default, self.options)
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let path = paths::path(path.to_vec());
        self.options.files.is_directory(&path)
    }

    fn pool_prefix(&mut self, pool: usize) {
        let Some(prefix) = self.settings(pool).filled(Pool::Prefix) else {
            return;
        };
        let default = &self.options.compile_prefix;
        let prefix = paths::absolute(&prefix, None, default, self.options);
        let missing = !self.is_directory(&prefix);
        let message = format!("the prefix '{}' does not exist or is not a directory", String::from_utf8_lossy(&prefix));
        self.put(pool, Pool::Prefix, Value::Text(prefix));
        if missing {
            self.value(pool, Pool::Prefix, Level::Error, &message);
        }
    }

    /// Names that must be text.
    fn pool_names(&mut self, pool: usize) {
        for id in [
            Pool::User,
            Pool::Group,
            Pool::ListenOwner,
            Pool::ListenGroup,
            Pool::ListenAclUsers,
            Pool::ListenAclGroups,
            Pool::ListenAllowedClients,
            Pool::ApparmorHat,
        ] {
            let text = self.settings(pool).filled(id);
            if text.is_some_and(|text| std::str::from_utf8(&text).is_err()) {
                let message = format!("'{}' is not valid UTF-8", id.directive().name);
                self.value(pool, id, Level::Error, &message);
            }
        }
    }

    fn pool_listen(&mut self, pool: usize) {
        match self.settings(pool).filled(Pool::Listen) {
            None => self.value(pool, Pool::Listen, Level::Alert, "no listen address have been defined!"),
            Some(address) => {
                let full = match listen::is_tcp(&address) {
                    true => address,
                    false => self.full(pool, &address),
                };
                self.pool_address(pool, Pool::Listen, full);
            }
        }
        // pm.status_listen makes a hidden pool, without this pool's prefix.
        if !self.settings(pool).is_set(Pool::PmStatusListen) {
            return;
        }
        match self.settings(pool).filled(Pool::PmStatusListen) {
            None => {
                let name = &self.written.pools[pool].name;
                let message = format!("[pool {name}_status] no listen address have been defined!");
                let span = self.settings(pool).span(Pool::PmStatusListen);
                let diagnostic = self.at(Level::Alert, message, span);
                self.diagnostics.push(diagnostic);
            }
            Some(address) => {
                let default = &self.options.compile_prefix;
                let full = match listen::is_tcp(&address) {
                    true => address,
                    false => paths::absolute(&address, None, default, self.options),
                };
                self.pool_address(pool, Pool::PmStatusListen, full);
            }
        }
    }

    /// Checks an address. php-fpm does so when it makes the socket.
    fn pool_address(&mut self, pool: usize, id: Pool, mut address: Vec<u8>) {
        if !listen::is_tcp(&address) && address.len() > MAX_SOCKET_PATH {
            let message = format!(
                "[pool {}] cannot bind to UNIX socket '{}' as path is too long (found length: {}, \
                 maximal length: {})",
                self.written.pools[pool].name,
                String::from_utf8_lossy(&address),
                address.len(),
                MAX_SOCKET_PATH + 1
            );
            address.truncate(MAX_SOCKET_PATH);
            let cut = String::from_utf8_lossy(&address).into_owned();
            let (level, message) = match self.options.testing {
                true => (Level::Error, message),
                false => (Level::Warning, format!("{message}, trying cut socket path instead '{cut}'")),
            };
            let diagnostic = self.at(level, message, self.settings(pool).span(id));
            self.late.push(diagnostic);
        }
        if let Err(message) = listen::parse(&address) {
            let diagnostic = self.at(Level::Error, message, self.settings(pool).span(id));
            self.late.push(diagnostic);
        }
        self.put(pool, id, Value::Text(address));
    }

    fn pool_status(&mut self, pool: usize) {
        let listens = self.settings(pool).is_set(Pool::PmStatusListen);
        if listens && !self.settings(pool).is_set(Pool::PmStatusPath) {
            self.put(pool, Pool::PmStatusPath, Value::Text(b"/".to_vec()));
        }
        self.page(pool, Pool::PmStatusPath, "status", listens);
        self.page(pool, Pool::PingPath, "ping", false);
        if self.settings(pool).filled(Pool::PingPath).is_none() {
            let settings = &mut self.written.pools[pool].settings;
            settings.scalars.remove(&Pool::PingResponse);
        } else {
            let response = self.settings(pool).text(Pool::PingResponse);
            let response = response.unwrap_or_default();
            if response.is_empty() {
                let message = "the ping response page '' is not long enough";
                self.value(pool, Pool::PingResponse, Level::Error, message);
            }
            self.put(pool, Pool::PingResponse, Value::Text(response));
        }
    }

    /// Rules for the paths of the status and ping pages.
    fn page(&mut self, pool: usize, id: Pool, name: &str, short_allowed: bool) {
        let Some(path) = self.settings(pool).filled(id) else {
            return;
        };
        let shown = String::from_utf8_lossy(&path);
        let mut say = |problem: &str| {
            let message = format!("the {name} path '{shown}' {problem}");
            self.value(pool, id, Level::Error, &message);
        };
        if path[0] != b'/' {
            say("must start with a '/'");
        } else if path.len() < 2 && !short_allowed {
            say("is not long enough");
        }
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(b);
        if !path.iter().all(allowed) {
            say("must contain only the following characters '[alphanum]/_-.~'");
        }
    }

    fn pool_logs(&mut self, pool: usize) {
        for id in [Pool::AccessLog, Pool::Slowlog] {
            if let Some(path) = self.settings(pool).filled(id) {
                let full = self.full(pool, &path);
                self.put(pool, id, Value::Text(full));
            }
        }
        if self.settings(pool).filled(Pool::AccessLog).is_some()
            && let Some(format) = self.settings(pool).text(Pool::AccessFormat)
        {
            self.put(pool, Pool::AccessFormat, Value::Text(format));
        }
        let number = |id| self.settings(pool).integer(id);
        let slow = number(Pool::RequestSlowlogTimeout);
        let terminate = number(Pool::RequestTerminateTimeout);
        let no_log = self.settings(pool).filled(Pool::Slowlog).is_none();
        let depth = match self.settings(pool).is_set(Pool::RequestSlowlogTraceDepth) {
            true => number(Pool::RequestSlowlogTraceDepth),
            false => 0,
        };
        for (id, wanted) in [(Pool::RequestSlowlogTimeout, slow), (Pool::RequestSlowlogTraceDepth, depth)] {
            if wanted != 0 && no_log {
                let name = id.directive().name;
                let message = format!("'slowlog' must be specified for use with '{name}'");
                self.value(pool, id, Level::Error, &message);
            }
            let late = id == Pool::RequestSlowlogTimeout && slow > terminate;
            if late && slow != 0 && terminate != 0 {
                let message = format!(
                    "'request_slowlog_timeout' ({slow}) can't be greater than \
                     'request_terminate_timeout' ({terminate})"
                );
                self.value(pool, id, Level::Error, &message);
            }
        }
        if depth < 0 {
            let message = format!("'request_slowlog_trace_depth' ({depth}) must be a positive value");
            self.value(pool, Pool::RequestSlowlogTraceDepth, Level::Error, &message);
        } else if depth == 0 {
            let depth = Value::Integer(TRACE_DEPTH);
            self.put(pool, Pool::RequestSlowlogTraceDepth, depth);
        }
    }

    fn pool_directories(&mut self, pool: usize) {
        if let Some(chroot) = self.settings(pool).filled(Pool::Chroot) {
            let chroot = self.chroot(pool, chroot);
            self.directory(pool, Pool::Chroot, chroot, None);
        }
        if let Some(chdir) = self.settings(pool).filled(Pool::Chdir) {
            let full = self.full(pool, &chdir);
            let chroot = self.settings(pool).text(Pool::Chroot);
            self.directory(pool, Pool::Chdir, full, chroot);
        }
    }

    /// `chroot` made absolute; `$prefix` at its start is the prefix.
    fn chroot(&mut self, pool: usize, chroot: Vec<u8>) -> Vec<u8> {
        const TOKEN: &[u8] = b"$prefix";
        if chroot[0] == b'/' {
            return chroot;
        }
        match chroot.strip_prefix(TOKEN) {
            // The bare prefix: php-fpm puts no slash behind it.
            Some(b"") => {
                let mut full = self.full(pool, b"");
                full.pop();
                full
            }
            Some(rest) => {
                let prefix = self.settings(pool).text(Pool::Prefix);
                let default = &self.options.compile_prefix;
                paths::below(rest, prefix.as_deref(), default, self.options)
            }
            None if chroot.windows(TOKEN.len()).any(|part| part == TOKEN) => {
                let message = "'$prefix' must be use at the beginning of the value";
                let span = self.settings(pool).span(Pool::Chroot);
                let diagnostic = self.at(Level::Error, message.into(), span);
                self.diagnostics.push(diagnostic);
                chroot
            }
            None => self.full(pool, &chroot),
        }
    }

    fn directory(&mut self, pool: usize, id: Pool, path: Vec<u8>, chroot: Option<Vec<u8>>) {
        let name = id.directive().name;
        let shown = String::from_utf8_lossy(&path).into_owned();
        let inside = chroot.as_ref().map(|root| [root, &b"/"[..], &path].concat());
        let problem = if path.first() != Some(&b'/') {
            Some(format!("the {name} path '{shown}' must start with a '/'"))
        } else if self.is_directory(inside.as_ref().unwrap_or(&path)) {
            None
        } else if let (Some(root), Some(inside)) = (&chroot, &inside) {
            let root = String::from_utf8_lossy(root);
            let inside = String::from_utf8_lossy(inside);
            Some(format!(
                "the {name} path '{shown}' within the chroot path '{root}' ('{inside}') does not \
                 exist or is not a directory"
            ))
        } else {
            Some(format!("the {name} path '{shown}' does not exist or is not a directory"))
        };
        self.put(pool, id, Value::Text(path));
        if let Some(message) = problem {
            self.value(pool, id, Level::Error, &message);
        }
    }

    /// Relative files in php values get the prefix, unless the pool has its own root.
    fn pool_php_values(&mut self, pool: usize) {
        if self.settings(pool).is_set(Pool::Chroot) {
            return;
        }
        for index in 0..self.settings(pool).items.len() {
            let item = &self.settings(pool).items[index];
            let admin = matches!(item.id, Pool::PhpAdminValue | Pool::PhpAdminFlag);
            let plain = matches!(item.id, Pool::PhpValue | Pool::PhpFlag);
            let named = |name: &str| item.key.eq_ignore_ascii_case(name.as_bytes());
            let syslog = admin && named("error_log") && item.value.eq_ignore_ascii_case(b"syslog");
            if (admin || plain) && !syslog && PATH_INIS.iter().any(|name| named(name)) {
                let full = self.full(pool, &item.value);
                self.written.pools[pool].settings.items[index].value = full;
            }
        }
    }

    /// Rules for the directives beyond php-fpm.
    fn pool_own(&mut self, pool: usize) {
        let settings = self.settings(pool);
        let stack = settings.size(Pool::ThreadStackSize);
        let counts = [
            ("connection_max_requests", Pool::ConnectionMaxRequests),
            ("max_abandoned_threads", Pool::MaxAbandonedThreads),
        ]
        .map(|(name, id)| (name, id, settings.integer(id)));
        let times = [("response_timeout", Pool::ResponseTimeout), ("force_kill_deadline", Pool::ForceKillDeadline)]
            .map(|(name, id)| (name, id, settings.integer(id)));
        let params = settings.size(Pool::RequestParamsLimit);
        let positive = [
            ("opcache_restart_timeout", Pool::OpcacheRestartTimeout),
            ("crash_drain_timeout", Pool::CrashDrainTimeout),
        ]
        .map(|(name, id)| (name, id, settings.integer(id)));
        for (name, id, seconds) in positive.into_iter().filter(|time| time.2 < 1) {
            self.value(pool, id, Level::Alert, &format!("{name}({seconds}s) must be a positive value"));
        }
        if params == 0 {
            let message = "request_params_limit must be a positive value";
            self.value(pool, Pool::RequestParamsLimit, Level::Alert, message);
        }
        for (name, id, seconds) in times.into_iter().filter(|time| time.2 < 0) {
            self.value(pool, id, Level::Alert, &format!("{name}({seconds}s) can't be negative"));
        }
        for (name, id, n) in counts.into_iter().filter(|count| !(1..=i32::from(u16::MAX)).contains(&count.2)) {
            self.value(pool, id, Level::Alert, &format!("{name}({n}) must be between 1 and 65535"));
        }
        if stack != 0 && stack < MIN_STACK {
            let message = format!("thread_stack_size({stack}) must be 0 or at least {MIN_STACK}");
            self.value(pool, Pool::ThreadStackSize, Level::Alert, &message);
        }
    }

    /// The formats of those pools that have an access log.
    pub(super) fn access_formats(&mut self) {
        for pool in 0..self.written.pools.len() {
            let settings = self.settings(pool);
            let format = match settings.filled(Pool::AccessLog) {
                Some(_) => settings.text(Pool::AccessFormat).unwrap_or_default(),
                None => continue,
            };
            if let Err(warning) = access_format::parse(&format) {
                self.say(Level::Warning, warning);
                let shown = String::from_utf8_lossy(&format);
                let message = format!("wrong format for access.format '{shown}'");
                self.value(pool, Pool::AccessFormat, Level::Error, &message);
            }
        }
    }
}

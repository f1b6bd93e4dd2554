//! The configuration, validated and typed: the only form that leaves this crate.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use crate::access_format::AccessField;
use crate::diagnostic::{Diagnostic, Level, Location};
use crate::written::Written;

/// A whole configuration that is fit for use.
///
/// Negative times and limits, which php-fpm takes without complaint, count as 0 here.
#[derive(Debug, Clone)]
pub struct Config {
    /// The main file, as it was named.
    pub file: PathBuf,
    /// `[global]`.
    pub global: Global,
    /// The pools in the order of their first headers, at least one.
    pub pools: Vec<Pool>,
    /// What was written, with php-fpm's corrections: for `-tt` and for warnings.
    pub(crate) written: Written,
}

/// `[global]`.
#[derive(Debug, Clone)]
pub struct Global {
    /// `pid`, or `-g`.
    pub pid: Option<PathBuf>,
    /// `error_log`.
    pub error_log: ErrorLog,
    /// `syslog.ident`.
    pub syslog_ident: OsString,
    /// `syslog.facility`: a `LOG_*` number of `syslog.h`, ready shifted.
    pub syslog_facility: i32,
    /// `log_buffering`.
    pub log_buffering: bool,
    /// `log_level`.
    pub log_level: Level,
    /// `log_format = json`.
    pub log_json: bool,
    /// `log_limit` in bytes, at least 512.
    pub log_limit: usize,
    /// `emergency_restart_threshold` and `emergency_restart_interval`; `None` if either is 0.
    pub emergency_restart: Option<EmergencyRestart>,
    /// `process_control_timeout`; 0 is no patience.
    pub process_control_timeout: Duration,
    /// `process.max`.
    pub process_max: Option<NonZeroU32>,
    /// `process.priority`, -19 to 20.
    pub process_priority: Option<i32>,
    /// `daemonize`, unless `-D` or `-F` decides.
    pub daemonize: bool,
    /// `rlimit_files`.
    pub rlimit_files: Option<NonZeroU32>,
    /// `rlimit_core`.
    pub rlimit_core: Option<CoreLimit>,
    /// `events.mechanism`: epoll, poll or select.
    pub events_mechanism: Option<&'static str>,
    /// `systemd_interval`; `None` if it is 0. `WATCHDOG_USEC` is not looked at.
    pub systemd_interval: Option<Duration>,
}

/// Where the master's messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorLog {
    /// To syslog.
    Syslog,
    /// To this file.
    File(PathBuf),
}

/// When the server restarts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmergencyRestart {
    /// This many deaths by SIGSEGV or SIGBUS …
    pub threshold: NonZeroU32,
    /// … within this time.
    pub interval: Duration,
}

/// `rlimit_core`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreLimit {
    /// No limit.
    Unlimited,
    /// This many bytes.
    Bytes(NonZeroU32),
}

/// A pool.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Name of its section.
    pub name: String,
    /// `prefix`, with the outer one before it if it was relative.
    pub prefix: Option<PathBuf>,
    /// `user`, a name or a number.
    pub user: Option<String>,
    /// `group`, a name or a number.
    pub group: Option<String>,
    /// `listen` and `listen.*`.
    pub listen: Listen,
    /// `process.priority`, -19 to 20.
    pub process_priority: Option<i32>,
    /// `process.dumpable`.
    pub process_dumpable: bool,
    /// `pm`, with what belongs to it.
    pub process_manager: ProcessManager,
    /// `pm.max_children`, at least 1.
    pub max_children: u32,
    /// `pm.max_requests`.
    pub max_requests: Option<NonZeroU32>,
    /// `pm.max_thread_memory` in bytes; `None`: no limit.
    pub max_thread_memory: Option<NonZeroU64>,
    /// `pm.max_memory` in bytes; `None`: no limit.
    pub max_memory: Option<NonZeroU64>,
    /// `pm.status_path`.
    pub status_path: Option<String>,
    /// `pm.status_listen`.
    pub status_listen: Option<ListenAddress>,
    /// `ping.path` and `ping.response`.
    pub ping: Option<Ping>,
    /// `access.*`, if there is an `access.log`.
    pub access: Option<AccessLog>,
    /// `slowlog`.
    pub slowlog: Option<PathBuf>,
    /// `request_slowlog_timeout`.
    pub request_slowlog_timeout: Option<Duration>,
    /// `request_slowlog_trace_depth`.
    pub request_slowlog_trace_depth: u32,
    /// `request_terminate_timeout`.
    pub request_terminate_timeout: Option<Duration>,
    /// `request_terminate_timeout_track_finished`.
    pub request_terminate_timeout_track_finished: bool,
    /// `rlimit_files`.
    pub rlimit_files: Option<NonZeroU32>,
    /// `rlimit_core`.
    pub rlimit_core: Option<CoreLimit>,
    /// `chroot`, a directory that was there.
    pub chroot: Option<PathBuf>,
    /// `chdir`, a directory that was there (within `chroot`).
    pub chdir: Option<PathBuf>,
    /// `catch_workers_output`.
    pub catch_workers_output: bool,
    /// `decorate_workers_output`.
    pub decorate_workers_output: bool,
    /// `clear_env`.
    pub clear_env: bool,
    /// `security.limit_extensions`; empty: every script may run.
    pub limit_extensions: Vec<OsString>,
    /// `apparmor_hat`.
    pub apparmor_hat: Option<String>,
    /// `request_body_buffer` in bytes.
    pub request_body_buffer: usize,
    /// `response_buffer` in bytes.
    pub response_buffer: usize,
    /// `request_params_limit` in bytes, at least 1.
    pub request_params_limit: usize,
    /// `request_body_min_rate` in bytes per second; `None`: `max_input_time` is not extended.
    pub request_body_min_rate: Option<NonZeroU64>,
    /// `response_timeout`; `None`: a PHP thread waits for ever.
    pub response_timeout: Option<Duration>,
    /// `force_kill_deadline`; `None`: no thread is abandoned.
    pub force_kill_deadline: Option<Duration>,
    /// `max_abandoned_threads`, 1 to 65535.
    pub max_abandoned_threads: u16,
    /// `crash_drain_timeout`, at least a second.
    pub crash_drain_timeout: Duration,
    /// `opcache_restart_timeout`, at least a second.
    pub opcache_restart_timeout: Duration,
    /// `connection_max_requests`, 1 to 65535.
    pub connection_max_requests: u16,
    /// `max_execution_clock`.
    pub max_execution_clock: ExecutionClock,
    /// `thread_stack_size` in bytes; `None`: soft limit `RLIMIT_STACK`, or 8 MiB if unlimited.
    pub thread_stack_size: Option<usize>,
    /// `env[]` in the order in which php-fpm sets them: the last of the file first, so that of
    /// two with one name the first of the file stays. `USER` and `HOME`, which php-fpm sets
    /// behind these, it leaves alone if they are here.
    pub env: Vec<(OsString, EnvValue)>,
    /// `php_value[]`, `php_flag[]` and then `php_admin_value[]`, `php_admin_flag[]`, each group in
    /// the order in which php-fpm applies it: the last of the file first.
    pub php_values: Vec<PhpValue>,
}

/// `listen` and `listen.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `listen`.
    pub address: ListenAddress,
    /// The address as messages and `FPM_SOCKETS` name it: as written, a file made absolute.
    pub name: OsString,
    /// `listen.backlog`; negative: the kernel's maximum.
    pub backlog: i32,
    /// `listen.owner`, a name or a number.
    pub owner: Option<String>,
    /// `listen.group`, a name or a number.
    pub group: Option<String>,
    /// `listen.mode`.
    pub mode: u32,
    /// `listen.acl_users`.
    pub acl_users: Vec<String>,
    /// `listen.acl_groups`.
    pub acl_groups: Vec<String>,
    /// `listen.allowed_clients`; `None`: everyone. Set to nothing, it allows nobody.
    pub allowed_clients: Option<AllowedClients>,
}

/// Where a pool listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A socket file.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// Name or address, without the brackets of IPv6. `None`: all addresses, `::` first and
        /// `0.0.0.0` if there is no IPv6.
        host: Option<String>,
        /// 1 to 65535.
        port: u16,
    },
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Unix(path) => write!(f, "{}", path.display()),
            ListenAddress::Tcp { host: None, port } => write!(f, "{port}"),
            ListenAddress::Tcp { host: Some(host), port } => match host.contains(':') {
                true => write!(f, "[{host}]:{port}"),
                false => write!(f, "{host}:{port}"),
            },
        }
    }
}

/// `listen.allowed_clients`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedClients {
    /// Those that may connect.
    pub addresses: Vec<IpAddr>,
    /// What is no address (`Wrong IP address 'X' in listen.allowed_clients`).
    pub wrong: Vec<String>,
}

/// `pm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessManager {
    /// Always [`Pool::max_children`].
    Static,
    /// As many as needed.
    Dynamic {
        /// `pm.start_servers`, between the next two.
        start_servers: u32,
        /// `pm.min_spare_servers`, at least 1.
        min_spare_servers: u32,
        /// `pm.max_spare_servers`, at most [`Pool::max_children`].
        max_spare_servers: u32,
        /// `pm.max_spawn_rate`, at least 1.
        max_spawn_rate: u32,
    },
    /// None until there are requests.
    Ondemand {
        /// `pm.process_idle_timeout`, at least a second.
        process_idle_timeout: Duration,
    },
}

/// `ping.path` and `ping.response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// SCRIPT_NAME that is answered.
    pub path: String,
    /// Body of the answer.
    pub response: OsString,
}

/// `access.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// `access.log`.
    pub file: PathBuf,
    /// `access.format`.
    pub format: Vec<AccessField>,
    /// `access.suppress_path[]`.
    pub suppress_paths: Vec<OsString>,
}

/// `max_execution_clock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionClock {
    /// Time a script computes.
    Cpu,
    /// All time.
    Wall,
}

/// Value of an `env[]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// This text.
    Text(OsString),
    /// What this variable holds in the master's environment at its start; empty if it is not
    /// there.
    Inherited(OsString),
}

/// One php.ini directive of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhpValue {
    /// php.ini's name, or `extension`.
    pub name: OsString,
    /// The value; of a flag `1` or `0`.
    pub value: OsString,
    /// Whether nothing may change it later (`php_admin_*`).
    pub admin: bool,
    /// Whether it was written as a flag.
    pub flag: bool,
}

impl Config {
    /// Where a pool's php.ini directive is written.
    pub fn place_of_php_value(&self, pool: &Pool, value: &PhpValue) -> Option<Location> {
        let written = self.written.pools.iter().find(|written| written.name == pool.name)?;
        let same =
            |key: &[u8], text: &[u8]| key == value.name.as_encoded_bytes() && text == value.value.as_encoded_bytes();
        let item = written.settings.items.iter().find(|item| same(&item.key, &item.value))?;
        Some(self.written.sources.location(&item.name_span))
    }

    /// php-fpm's notices about what only root can have, for a start as another user. php-fpm does
    /// not print them with `-t`.
    pub fn ignored_without_root(&self) -> Vec<Diagnostic> {
        let mut notices = Vec::new();
        if self.global.process_priority.is_some() {
            let message = "'process.priority' directive is ignored when FPM is not running as root";
            notices.push(Diagnostic::new(Level::Notice, message));
        }
        for pool in &self.pools {
            for (set, name) in [
                (pool.user.is_some(), "user"),
                (pool.group.is_some(), "group"),
                (pool.chroot.is_some(), "chroot"),
                (pool.process_priority.is_some(), "process.priority"),
            ] {
                if set {
                    let message =
                        format!("[pool {}] '{name}' directive is ignored when FPM is not running as root", pool.name);
                    notices.push(Diagnostic::new(Level::Notice, message));
                }
            }
        }
        notices
    }
}

//! From [`Written`], checked and completed, to [`Config`]. Nothing can fail any more: what would
//! not fit was refused by validation.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use crate::access_format;
use crate::config::{
    AccessLog, AllowedClients, Config, CoreLimit, EmergencyRestart, EnvValue, ErrorLog, ExecutionClock, Global, Listen,
    ListenAddress, PhpValue, Ping, Pool, ProcessManager,
};
use crate::diagnostic::Level;
use crate::number;
use crate::paths;
use crate::table::{Global as G, Pool as P, Table};
use crate::validate::{MECHANISMS, listen_address, priority_of};
use crate::written::{Settings, Written, WrittenPool};

/// Makes the typed configuration.
pub(crate) fn config(file: &Path, written: Written) -> Config {
    Config {
        file: file.to_path_buf(),
        global: global(&written.global),
        pools: written.pools.iter().map(pool).collect(),
        written,
    }
}

fn global(settings: &Settings<G>) -> Global {
    let log = settings.text(G::ErrorLog).unwrap_or_default();
    let threshold = count(settings, G::EmergencyRestartThreshold);
    let interval = time(settings, G::EmergencyRestartInterval);
    let mechanism = settings.text(G::EventsMechanism).unwrap_or_default();
    Global {
        pid: settings.text(G::Pid).map(paths::path),
        error_log: match log.eq_ignore_ascii_case(b"syslog") {
            true => ErrorLog::Syslog,
            false => ErrorLog::File(paths::path(log)),
        },
        syslog_ident: OsString::from_vec(settings.text(G::SyslogIdent).unwrap_or_default()),
        syslog_facility: settings.integer(G::SyslogFacility),
        log_buffering: settings.boolean(G::LogBuffering),
        log_json: settings.integer(G::LogFormat) == 1,
        log_level: Level::from_number(settings.integer(G::LogLevel)).unwrap_or(Level::Notice),
        log_limit: settings.integer(G::LogLimit).unsigned_abs() as usize,
        emergency_restart: threshold
            .zip(interval)
            .map(|(threshold, interval)| EmergencyRestart { threshold, interval }),
        process_control_timeout: time(settings, G::ProcessControlTimeout).unwrap_or_default(),
        process_max: count(settings, G::ProcessMax),
        process_priority: priority_of(settings.value(G::ProcessPriority)),
        daemonize: settings.boolean(G::Daemonize),
        rlimit_files: count(settings, G::RlimitFiles),
        rlimit_core: core_limit(settings, G::RlimitCore),
        events_mechanism: MECHANISMS.into_iter().find(|name| name.as_bytes().eq_ignore_ascii_case(&mechanism)),
        systemd_interval: time(settings, G::SystemdInterval),
    }
}

fn pool(written: &WrittenPool) -> Pool {
    let settings = &written.settings;
    let text = |id| settings.filled(id).map(string);
    let path = |id| settings.filled(id).map(paths::path);
    let number = |id| settings.integer(id).max(0).unsigned_abs();
    let bytes = |id| usize::try_from(settings.size(id)).unwrap_or(usize::MAX);
    Pool {
        name: written.name.clone(),
        prefix: path(P::Prefix),
        user: text(P::User),
        group: text(P::Group),
        listen: listen(settings),
        process_priority: priority_of(settings.value(P::ProcessPriority)),
        process_dumpable: settings.boolean(P::ProcessDumpable),
        process_manager: match settings.integer(P::Pm) {
            2 => ProcessManager::Dynamic {
                start_servers: number(P::PmStartServers),
                min_spare_servers: number(P::PmMinSpareServers),
                max_spare_servers: number(P::PmMaxSpareServers),
                max_spawn_rate: number(P::PmMaxSpawnRate),
            },
            3 => ProcessManager::Ondemand {
                process_idle_timeout: time(settings, P::PmProcessIdleTimeout).unwrap_or_default(),
            },
            _ => ProcessManager::Static,
        },
        max_children: number(P::PmMaxChildren),
        max_requests: count(settings, P::PmMaxRequests),
        max_thread_memory: NonZeroU64::new(settings.size(P::PmMaxThreadMemory)),
        max_memory: NonZeroU64::new(settings.size(P::PmMaxMemory)),
        status_path: text(P::PmStatusPath),
        status_listen: address(settings, P::PmStatusListen),
        ping: text(P::PingPath).map(|path| Ping {
            path,
            response: OsString::from_vec(settings.text(P::PingResponse).unwrap_or_default()),
        }),
        access: path(P::AccessLog).map(|file| AccessLog {
            file,
            // It was checked.
            format: access_format::parse(&settings.text(P::AccessFormat).unwrap_or_default()).unwrap_or_default(),
            suppress_paths: (settings.items.iter())
                .filter(|item| item.id == P::AccessSuppressPath)
                .map(|item| OsString::from_vec(item.value.clone()))
                .collect(),
        }),
        slowlog: path(P::Slowlog),
        request_slowlog_timeout: time(settings, P::RequestSlowlogTimeout),
        request_slowlog_trace_depth: number(P::RequestSlowlogTraceDepth),
        request_terminate_timeout: time(settings, P::RequestTerminateTimeout),
        request_terminate_timeout_track_finished: settings.boolean(P::RequestTerminateTimeoutTrackFinished),
        rlimit_files: count(settings, P::RlimitFiles),
        rlimit_core: core_limit(settings, P::RlimitCore),
        chroot: path(P::Chroot),
        chdir: path(P::Chdir),
        catch_workers_output: settings.boolean(P::CatchWorkersOutput),
        decorate_workers_output: settings.boolean(P::DecorateWorkersOutput),
        clear_env: settings.boolean(P::ClearEnv),
        limit_extensions: list(settings, P::SecurityLimitExtensions, b" \t")
            .into_iter()
            .map(OsString::from_vec)
            .collect(),
        apparmor_hat: text(P::ApparmorHat),
        request_body_buffer: bytes(P::RequestBodyBuffer),
        response_buffer: bytes(P::ResponseBuffer),
        request_params_limit: bytes(P::RequestParamsLimit),
        request_body_min_rate: NonZeroU64::new(settings.size(P::RequestBodyMinRate)),
        response_timeout: time(settings, P::ResponseTimeout),
        force_kill_deadline: time(settings, P::ForceKillDeadline),
        max_abandoned_threads: u16::try_from(number(P::MaxAbandonedThreads)).unwrap_or(u16::MAX),
        crash_drain_timeout: time(settings, P::CrashDrainTimeout).unwrap_or(Duration::from_secs(1)),
        opcache_restart_timeout: time(settings, P::OpcacheRestartTimeout).unwrap_or(Duration::from_secs(1)),
        connection_max_requests: u16::try_from(number(P::ConnectionMaxRequests)).unwrap_or(u16::MAX),
        max_execution_clock: match settings.integer(P::MaxExecutionClock) {
            0 => ExecutionClock::Cpu,
            _ => ExecutionClock::Wall,
        },
        thread_stack_size: Some(bytes(P::ThreadStackSize)).filter(|&size| size > 0),
        env: env(settings),
        php_values: php_values(settings),
    }
}

fn listen(settings: &Settings<P>) -> Listen {
    let names = |id| list(settings, id, b",").into_iter().map(string).collect();
    // Set to nothing, it allows nobody.
    let clients = settings.text(P::ListenAllowedClients).map(string);
    Listen {
        // Validation made sure of it.
        address: address(settings, P::Listen).unwrap_or(ListenAddress::Unix("".into())),
        name: OsString::from_vec(settings.text(P::Listen).unwrap_or_default()),
        backlog: settings.integer(P::ListenBacklog),
        owner: settings.filled(P::ListenOwner).map(string),
        group: settings.filled(P::ListenGroup).map(string),
        mode: match settings.filled(P::ListenMode) {
            Some(mode) => number::octal(&mode),
            None => 0o660,
        },
        acl_users: names(P::ListenAclUsers),
        acl_groups: names(P::ListenAclGroups),
        allowed_clients: clients.map(|text| {
            let (addresses, wrong): (Vec<_>, Vec<_>) =
                text.split(',').map(|name| name.parse().map_err(|_| name.to_string())).partition(Result::is_ok);
            AllowedClients {
                addresses: addresses.into_iter().flatten().collect(),
                wrong: wrong.into_iter().filter_map(Result::err).collect(),
            }
        }),
    }
}

fn address(settings: &Settings<P>, id: P) -> Option<ListenAddress> {
    listen_address(&settings.filled(id)?).ok()
}

/// php-fpm keeps these as stacks: the last that was written comes first.
fn env(settings: &Settings<P>) -> Vec<(OsString, EnvValue)> {
    let items = settings.items.iter().rev();
    let mine = items.filter(|item| item.id == P::Env);
    mine.map(|item| {
        let value = match item.value.strip_prefix(b"$") {
            Some(name) => EnvValue::Inherited(OsString::from_vec(name.to_vec())),
            None => EnvValue::Text(OsString::from_vec(item.value.clone())),
        };
        (OsString::from_vec(item.key.clone()), value)
    })
    .collect()
}

fn php_values(settings: &Settings<P>) -> Vec<PhpValue> {
    let group = |value: P, flag: P, admin: bool| {
        let items = settings.items.iter().rev();
        let mine = items.filter(move |item| item.id == value || item.id == flag);
        mine.map(move |item| PhpValue {
            name: OsString::from_vec(item.key.clone()),
            value: OsString::from_vec(item.value.clone()),
            admin,
            flag: item.id == flag,
        })
    };
    group(P::PhpValue, P::PhpFlag, false).chain(group(P::PhpAdminValue, P::PhpAdminFlag, true)).collect()
}

/// A time that is set; 0 and less are not.
fn time<Id: Table>(settings: &Settings<Id>, id: Id) -> Option<Duration> {
    let seconds = u64::try_from(settings.integer(id)).ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// A number that is set; 0 and less are not.
fn count<Id: Table>(settings: &Settings<Id>, id: Id) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(settings.integer(id)).ok()?)
}

fn core_limit<Id: Table>(settings: &Settings<Id>, id: Id) -> Option<CoreLimit> {
    match settings.integer(id) {
        -1 => Some(CoreLimit::Unlimited),
        _ => count(settings, id).map(CoreLimit::Bytes),
    }
}

/// Parts between separators, empty ones left out.
fn list(settings: &Settings<P>, id: P, separators: &[u8]) -> Vec<Vec<u8>> {
    let text = settings.filled(id).unwrap_or_default();
    let parts = text.split(|b| separators.contains(b));
    parts.filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Text that validation found to be UTF-8.
fn string(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

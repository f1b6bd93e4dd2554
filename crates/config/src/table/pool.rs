//! Directives of a pool.

use super::table;
use crate::directive::{Choice, Type};

/// Words for `pm`, with php-fpm's numbers.
const PROCESS_MANAGERS: &[Choice] = &[
    Choice { name: "static", number: 1 },
    Choice { name: "dynamic", number: 2 },
    Choice { name: "ondemand", number: 3 },
];

/// Words for `max_execution_clock`.
const CLOCKS: &[Choice] = &[Choice { name: "cpu", number: 0 }, Choice { name: "wall", number: 1 }];

table! { Pool, Pool;
    Prefix = "prefix": Type::Path, -,
        "Directory that relative paths of this pool are taken from: listen, access.log, slowlog, \
         chroot, chdir and php values that name files. Relative itself, it is taken from -p.";
    User = "user": Type::Text, -,
        "User that the pool runs as, by name or number. Needs root, and is then mandatory unless \
         -R is given.";
    Group = "group": Type::Text, -,
        "Group that the pool runs as, by name or number. Unset: the user's own.";
    Listen = "listen": Type::Text, -,
        "Address for FastCGI requests, mandatory: a socket file, host:port, [IPv6]:port, or a \
         port alone for all addresses.";
    ListenBacklog = "listen.backlog": Type::Integer, "-1",
        "Connections that may wait to be accepted, as in listen(2). Negative: as many as the \
         kernel allows.";
    ListenAclUsers = "listen.acl_users": Type::List(','), -,
        "Users who may connect to the socket file, by POSIX ACL. listen.owner and listen.group \
         then do not count.";
    ListenAclGroups = "listen.acl_groups": Type::List(','), -,
        "Groups that may connect to the socket file, by POSIX ACL. listen.owner and listen.group \
         then do not count.";
    ListenOwner = "listen.owner": Type::Text, -,
        "Owner of the socket file, by name or number. Unset: the user who starts the server.";
    ListenGroup = "listen.group": Type::Text, -,
        "Group of the socket file, by name or number. Unset: the group of listen.owner.";
    ListenMode = "listen.mode": Type::Mode, "0660",
        "Permissions of the socket file.";
    ListenAllowedClients = "listen.allowed_clients": Type::List(','), -,
        "IP addresses that may connect to a TCP listener, without blanks between them. Unset: \
         all; set to nothing: none.";
    ProcessPriority = "process.priority": Type::Priority, -,
        "nice(2) value of the pool, from -19 (first) to 20 (last). Unset: the master's. Needs \
         root.";
    ProcessDumpable = "process.dumpable": Type::Bool, "no",
        "Whether the pool may be traced and leave core files although it changed its user.";
    Pm = "pm": Type::Choice {
            choices: PROCESS_MANAGERS,
            complaint: "invalid process manager (static, dynamic or ondemand)",
        }, -,
        "How many PHP threads there are, mandatory. static: always pm.max_children. dynamic: as \
         many as are needed, with some spare. ondemand: none until there is a request.";
    PmMaxChildren = "pm.max_children": Type::Integer, "0",
        "Number of PHP threads (pm = static), or the most there may be. Mandatory.";
    PmStartServers = "pm.start_servers": Type::Integer, "0",
        "PHP threads at the start, for pm = dynamic. Unset: half way between \
         pm.min_spare_servers and pm.max_spare_servers.";
    PmMinSpareServers = "pm.min_spare_servers": Type::Integer, "0",
        "With pm = dynamic, fewer idle PHP threads than this make new ones. Mandatory there.";
    PmMaxSpareServers = "pm.max_spare_servers": Type::Integer, "0",
        "With pm = dynamic, more idle PHP threads than this make some end. Mandatory there.";
    PmMaxSpawnRate = "pm.max_spawn_rate": Type::Integer, "32",
        "Most PHP threads that pm = dynamic starts at once.";
    PmProcessIdleTimeout = "pm.process_idle_timeout": Type::Time, "10",
        "Time after which pm = ondemand ends an idle PHP thread.";
    PmMaxRequests = "pm.max_requests": Type::Integer, "0",
        "Requests after which a PHP thread is replaced by a fresh one, against leaks. 0: never.";
    PmMaxThreadMemory = "pm.max_thread_memory": Type::Size, "0", own,
        "Bytes of memory that PHP threads may keep on average, running requests aside. With more, \
         one after the other is replaced by a fresh one, against leaks. 0: no limit.";
    PmMaxMemory = "pm.max_memory": Type::Size, "0", own,
        "Bytes of memory that the pool's process may have, opcache's aside. With more, it is \
         replaced by a fresh one, without losing requests. 0: no limit.";
    PmStatusPath = "pm.status_path": Type::Text, -,
        "SCRIPT_NAME that answers with the pool's status. Unset: none does.";
    PmStatusListen = "pm.status_listen": Type::Text, -,
        "Further address that answers status requests even while the pool is busy.";
    PingPath = "ping.path": Type::Text, -,
        "SCRIPT_NAME that answers with ping.response, to see whether the pool is alive. Unset: \
         none does.";
    PingResponse = "ping.response": Type::Text, "pong",
        "Body of the answer to ping.path.";
    AccessLog = "access.log": Type::Path, -,
        "File with a line for each request.";
    AccessFormat = "access.format": Type::Text, "%R - %u %t \"%m %r\" %s",
        "What a line in access.log says.";
    AccessSuppressPath = "access.suppress_path": Type::Paths, -,
        "SCRIPT_NAME whose successful, plain GET and HEAD requests are not logged in access.log.";
    Slowlog = "slowlog": Type::Path, -,
        "File with a backtrace of each slow request.";
    RequestSlowlogTimeout = "request_slowlog_timeout": Type::Time, "0",
        "Time after which a request is slow. 0: never.";
    RequestSlowlogTraceDepth = "request_slowlog_trace_depth": Type::Integer, "20",
        "Most frames of a backtrace in slowlog.";
    RequestTerminateTimeout = "request_terminate_timeout": Type::Time, "0",
        "Time after which a request is ended, whatever it does. 0: never.";
    RequestTerminateTimeoutTrackFinished = "request_terminate_timeout_track_finished":
        Type::Bool, "no",
        "Whether request_terminate_timeout goes on after the response is finished, in shutdown \
         functions and after fastcgi_finish_request().";
    RlimitFiles = "rlimit_files": Type::Integer, "0",
        "Limit of open files for the pool (RLIMIT_NOFILE), which its connections count towards. \
         0: what the master's hard limit allows, but no more than 65536.",
        threads "All threads of a pool share its open files; under php-fpm each worker has as many.";
    RlimitCore = "rlimit_core": Type::CoreLimit, "0",
        "Largest core file of the pool in bytes (RLIMIT_CORE), or 'unlimited'. 0: the master's.";
    Chroot = "chroot": Type::Path, -,
        "Directory that becomes the pool's file system root. $prefix at its start stands for the \
         prefix. Needs root.";
    Chdir = "chdir": Type::Path, -,
        "Directory that the pool starts in. Unset: the current one, or / with chroot.";
    CatchWorkersOutput = "catch_workers_output": Type::Bool, "no",
        "Whether what PHP writes to its process's stdout and stderr goes to error_log.";
    DecorateWorkersOutput = "decorate_workers_output": Type::Bool, "yes",
        "Whether lines caught by catch_workers_output are wrapped in the worker's name and level.";
    ClearEnv = "clear_env": Type::Bool, "yes",
        "Whether the pool starts with an empty environment, apart from env[].";
    SecurityLimitExtensions = "security.limit_extensions": Type::List(' '), ".php .phar",
        "Endings that a main script must have one of. Empty: all scripts run.";
    ApparmorHat = "apparmor_hat": Type::Text, -,
        "AppArmor hat that the pool changes to.";

    RequestBodyBuffer = "request_body_buffer": Type::Size, "256K", own,
        "Bytes of a request's body that are read before a PHP thread gets the request; what is \
         beyond streams. 0: nothing is awaited.";
    ResponseBuffer = "response_buffer": Type::Size, "1M", own,
        "Bytes of a response that are taken off a PHP thread for a client that reads slowly, \
         before the thread has to wait for it. As many are asked for of the kernel, which has \
         a limit of its own (net.core.wmem_max), for a Unix socket that has been full.";
    RequestParamsLimit = "request_params_limit": Type::Size, "1M", own,
        "Most bytes of parameters (headers and the like) of one request.";
    RequestBodyMinRate = "request_body_min_rate": Type::Rate, "1K", own,
        "Each time this many bytes of a body have arrived, max_input_time is extended by one \
         second, so that large uploads over slow lines are not cut off. 0: it is not extended.";
    ResponseTimeout = "response_timeout": Type::Time, "300s", own,
        "Time after which a PHP thread stops waiting for a client that takes nothing of the \
         response, and ends it. 0: it waits for ever.";
    ForceKillDeadline = "force_kill_deadline": Type::Time, "5s", own,
        "Time after request_terminate_timeout at which a thread that is stuck inside C code is \
         abandoned: the client gets an answer, and another thread takes its place. 0: never.";
    MaxAbandonedThreads = "max_abandoned_threads": Type::Integer, "4", own,
        "Most threads that may be abandoned at once before the pool's process is replaced by \
         a fresh one, without losing other requests.";
    CrashDrainTimeout = "crash_drain_timeout": Type::Time, "10s", own,
        "Longest time that the other requests of a process have to end after one of them has \
         crashed it (SIGSEGV and the like). New ones are served by another process at once.";
    OpcacheRestartTimeout = "opcache_restart_timeout": Type::Time, "5s", own,
        "Longest time that new requests wait for running ones, when opcache has to empty itself \
         (opcache_reset(), or because it is full). After it, that is put off for a while.";
    ConnectionMaxRequests = "connection_max_requests": Type::Integer, "128", own,
        "Most requests in progress at the same time on one connection, 1 to 65535.";
    MaxExecutionClock = "max_execution_clock": Type::Choice {
            choices: CLOCKS,
            complaint: "invalid clock (cpu or wall)",
        }, "cpu", own,
        "What max_execution_time counts: cpu, the time a script computes, as under php-fpm; or \
         wall, all time, waiting for a database included.";
    ThreadStackSize = "thread_stack_size": Type::Size, "0", own,
        "Stack of a PHP thread in bytes, at least 256K. 0: the soft limit RLIMIT_STACK, or 8M if \
         that is unlimited.";

    Env = "env": Type::Map { flag: false }, -,
        "Environment variable of the pool. A value that starts with $ is taken from the master's \
         environment: env[PATH] = $PATH.";
    PhpValue = "php_value": Type::Map { flag: false }, -,
        "php.ini directive for this pool, which scripts and .user.ini files may change. Relative \
         files are taken from the prefix.";
    PhpFlag = "php_flag": Type::Map { flag: true }, -,
        "php_value for booleans: yes and no become 1 and 0.";
    PhpAdminValue = "php_admin_value": Type::Map { flag: false }, -,
        "php.ini directive for this pool that nothing can change later. Relative files are taken \
         from the prefix.";
    PhpAdminFlag = "php_admin_flag": Type::Map { flag: true }, -,
        "php_admin_value for booleans: yes and no become 1 and 0.";
}

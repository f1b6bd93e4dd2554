//! Directives of `[global]`.

use super::table;
use crate::directive::{Choice, Type};

/// Words for `log_level`, with zlog's numbers.
pub(crate) const LOG_LEVELS: &[Choice] = &[
    Choice { name: "debug", number: 1 },
    Choice { name: "notice", number: 2 },
    Choice { name: "warning", number: 3 },
    Choice { name: "warn", number: 3 },
    Choice { name: "error", number: 4 },
    Choice { name: "alert", number: 5 },
];

/// Words for `log_format`.
const LOG_FORMATS: &[Choice] = &[Choice { name: "text", number: 0 }, Choice { name: "json", number: 1 }];

/// Words for `syslog.facility`, with the numbers of Linux's `syslog.h`.
const FACILITIES: &[Choice] = &[
    Choice { name: "AUTH", number: 4 << 3 },
    Choice { name: "AUTHPRIV", number: 10 << 3 },
    Choice { name: "CRON", number: 9 << 3 },
    Choice { name: "DAEMON", number: 3 << 3 },
    Choice { name: "FTP", number: 11 << 3 },
    Choice { name: "KERN", number: 0 },
    Choice { name: "LPR", number: 6 << 3 },
    Choice { name: "MAIL", number: 2 << 3 },
    Choice { name: "NEWS", number: 7 << 3 },
    Choice { name: "SYSLOG", number: 5 << 3 },
    Choice { name: "USER", number: 1 << 3 },
    Choice { name: "UUCP", number: 8 << 3 },
    Choice { name: "LOCAL0", number: 16 << 3 },
    Choice { name: "LOCAL1", number: 17 << 3 },
    Choice { name: "LOCAL2", number: 18 << 3 },
    Choice { name: "LOCAL3", number: 19 << 3 },
    Choice { name: "LOCAL4", number: 20 << 3 },
    Choice { name: "LOCAL5", number: 21 << 3 },
    Choice { name: "LOCAL6", number: 22 << 3 },
    Choice { name: "LOCAL7", number: 23 << 3 },
];

table! { Global, Global;
    Pid = "pid": Type::Path, -, yes,
        "File that holds the master's process id while it runs. Relative paths are taken from the \
         prefix, or from the state directory (/var) if there is none.";
    ErrorLog = "error_log": Type::Path, "log/php-fpm.log", yes,
        "File for the master's messages, or 'syslog'. Relative paths are taken from the prefix, \
         or from the state directory (/var) if there is none.";
    SyslogIdent = "syslog.ident": Type::Text, "php-fpm", yes,
        "Name in front of each message sent to syslog.";
    SyslogFacility = "syslog.facility":
        Type::Choice { choices: FACILITIES, complaint: "invalid value" }, "DAEMON", yes,
        "Kind of program that syslog files the messages under.";
    LogBuffering = "log_buffering": Type::Bool, "yes", yes,
        "Whether a worker's output is collected to whole lines before it is logged. It always is: no lets \
         php-fpm write pieces of lines, between which others may get.";
    LogLevel = "log_level":
        Type::Choice { choices: LOG_LEVELS, complaint: "invalid value for 'log_level'" },
        "notice", yes,
        "Least important kind of message that is logged.";
    LogLimit = "log_limit": Type::Integer, "1024", yes,
        "Longest line, in bytes, that a worker's output is logged in; longer ones are wrapped. \
         At least 512.";
    EmergencyRestartInterval = "emergency_restart_interval": Type::Time, "0", yes,
        "Time in which emergency_restart_threshold workers must die for a restart. 0 turns \
         emergency restarts off.";
    EmergencyRestartThreshold = "emergency_restart_threshold": Type::Integer, "0", yes,
        "Number of workers that must die by SIGSEGV or SIGBUS within emergency_restart_interval \
         for the server to restart itself. 0 turns emergency restarts off.";
    ProcessControlTimeout = "process_control_timeout": Type::Time, "0", yes,
        "Time that running requests have at a stop by SIGQUIT before they are cut off. With 0 they \
         have as long as they take, where php-fpm cuts them off at once.";
    ProcessMax = "process.max": Type::Integer, "0", yes,
        "Most PHP threads that all pools may have together; 0 is no limit.";
    ProcessPriority = "process.priority": Type::Priority, -, yes,
        "nice(2) value of the master, from -19 (first) to 20 (last). Unset: as it was started. \
         Needs root.";
    Daemonize = "daemonize": Type::Bool, "yes", yes,
        "Whether the master goes to the background. -F and -D on the command line win over it.";
    RlimitFiles = "rlimit_files": Type::Integer, "0", yes,
        "Limit of open files for the master (RLIMIT_NOFILE), and the most that pools can have. 0: as \
         it was started.",
        threads "All threads of a pool share its open files; under php-fpm each worker has as many.";
    RlimitCore = "rlimit_core": Type::CoreLimit, "0", yes,
        "Largest core file of the master in bytes (RLIMIT_CORE), or 'unlimited'. 0: as it was \
         started.";
    EventsMechanism = "events.mechanism": Type::Text, -, yes,
        "System call that waits for events: epoll, poll or select. Unset: the best there is, \
         epoll on Linux.",
        threads "Pools always wait with epoll: any other name is checked and changes nothing.";
    SystemdInterval = "systemd_interval": Type::Time, "10", yes,
        "Time between two status messages to systemd; 0 turns them off. A systemd watchdog \
         overrides it.";

    LogFormat = "log_format":
        Type::Choice { choices: LOG_FORMATS, complaint: "invalid value for 'log_format' (text or json)" }, "text",
        yes, own,
        "How the error log is written: text, as php-fpm does it, or json: an object a line, with time, level, pid, \
         message and, where they are known, pool and stream.";
}

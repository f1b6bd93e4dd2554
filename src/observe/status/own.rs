//! What php-ftm counts of a pool beyond PHP-FPM's fields.

use std::ffi::CStr;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counted {
    /// A thread was replaced by a fresh one.
    Recycle,
    /// The pool's process died by a fault.
    Crash,
    /// A script was ended by an error at its next opcode.
    KillByError,
    /// A script was ended by shutting down the socket that it waited for.
    KillBySocket,
    /// A script was ended by killing the program that it waited for.
    KillByProgram,
    /// A script was stuck inside C code: its thread was left to itself.
    Abandon,
    /// opcache has emptied itself.
    OpcacheRestart,
}

/// How something that is counted is shown.
pub struct Shown {
    /// As `ftm_get_status()` has it. The status page has blanks in the place of `-`, metrics have `_`.
    pub name: &'static CStr,
    /// What it is, for metrics.
    pub help: &'static str,
}

/// How many things are counted.
pub const KINDS: usize = 7;

/// How each is shown, by [`Counted`].
pub const SHOWN: [Shown; KINDS] = [
    Shown { name: c"recycles", help: "The number of times that a thread was replaced by a fresh one." },
    Shown { name: c"crashes", help: "The number of times that the pool's process died by a fault." },
    Shown { name: c"kills-by-error", help: "The number of scripts whose time was up, ended at their next opcode." },
    Shown {
        name: c"kills-by-socket",
        help: "The number of scripts whose time was up, ended by closing what they waited for.",
    },
    Shown {
        name: c"kills-by-program",
        help: "The number of scripts whose time was up, ended by killing the program that they waited for.",
    },
    Shown {
        name: c"abandoned-threads",
        help: "The number of threads that were left to themselves, stuck inside C code.",
    },
    Shown { name: c"opcache-restarts", help: "The number of times that opcache emptied itself." },
];

/// The names and figures, the names with `separator`.
pub fn named(own: &[u64; KINDS], separator: &str) -> impl Iterator<Item = (String, &'static str, u64)> {
    SHOWN.iter().zip(*own).map(move |(shown, n)| (shown.name.to_string_lossy().replace('-', separator), shown.help, n))
}

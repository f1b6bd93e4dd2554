//! Extensions that are known not to bear threads.

use std::ffi::CStr;

use super::Engine;

/// An extension that can be loaded and should not be.
pub struct UnsafeExtension {
    /// As it calls itself, in lower case.
    pub name: &'static CStr,
    /// What is wrong with it, and what to use instead.
    pub why: &'static str,
}

/// `docs/thread-safety.md` names the sources.
const KNOWN: &[UnsafeExtension] = &[
    UnsafeExtension {
        name: c"grpc",
        why: "it is reported to crash where several threads serve requests; grpc-php-rs is offered in its place",
    },
    UnsafeExtension {
        name: c"imap",
        why: "its C library is not thread-safe, and PHP's manual says not to use it with a thread-safe PHP; \
              webklex/php-imap and javanile/php-imap2 do without it",
    },
    UnsafeExtension { name: c"newrelic", why: "its maker supports no thread-safe PHP since version 9.20" },
    UnsafeExtension {
        name: c"pcov",
        why: "it crashes where several threads serve requests; collect coverage with the php of the command line",
    },
    UnsafeExtension {
        name: c"snmp",
        why: "it uses the functions of its C library that are not thread-safe; run snmpget and snmpwalk by proc_open()",
    },
];

/// Those that are loaded.
pub fn unsafe_extensions(engine: &Engine) -> impl Iterator<Item = &'static UnsafeExtension> {
    KNOWN.iter().filter(|extension| engine.has_extension(extension.name))
}

//! PHP functions whose effect is that of the process: on all requests of a pool.

use std::ffi::CStr;

use crate::php::Engine;

/// Functions that belong together.
struct Shared {
    /// Their names.
    names: &'static [&'static CStr],
    /// What they do to other requests, after their names, and what to do about it.
    effect: &'static str,
}

/// `docs/thread-safety.md` tells more.
const FUNCTIONS: &[Shared] = &[
    Shared {
        names: &[c"bindtextdomain", c"bind_textdomain_codeset"],
        effect: "set the directory and encoding of a domain for all requests: give each one directory and one encoding",
    },
    Shared {
        names: &[c"ldap_set_option"],
        effect: "without a connection sets the option for all requests, verification of certificates included: \
                 set it on the connection, or in ldap.conf",
    },
    Shared {
        names: &[c"readline_completion_function", c"readline_callback_handler_install"],
        effect: "keep a function of one request for all: leave readline out, which is of use to the command line only",
    },
];

/// A line for those that scripts can call.
pub fn functions(engine: &Engine) -> impl Iterator<Item = String> {
    FUNCTIONS.iter().filter_map(|shared| {
        let there = shared.names.iter().filter(|name| engine.has_function(name));
        let names: Vec<String> = there.map(|name| format!("{}()", name.to_string_lossy())).collect();
        (!names.is_empty()).then(|| format!("{} {}", names.join(", "), shared.effect))
    })
}

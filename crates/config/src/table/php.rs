//! php.ini directives with values that only a server of processes can bear.

/// A php.ini directive that threads make dangerous.
#[derive(Debug)]
pub struct PhpSetting {
    /// php.ini's name.
    pub name: &'static str,
    /// The value that matters, as documentation shows it.
    pub value: &'static str,
    /// What happens.
    pub threads: &'static str,
    /// Whether a value matters.
    matters: fn(&[u8]) -> bool,
}

impl PhpSetting {
    /// Whether this value matters. As php.ini would have it, or as PHP keeps it.
    pub fn matters(&self, value: &[u8]) -> bool {
        (self.matters)(value)
    }
}

const SETTINGS: &[PhpSetting] = &[
    PhpSetting {
        name: "ffi.enable",
        value: "on",
        threads: "Scripts can call every function of C, also those that act on the process of all requests of \
                  the pool, and a wrong call ends them all. Leave it at preload.",
        matters: is_on,
    },
    PhpSetting {
        name: "imagick.set_single_thread",
        value: "off",
        threads: "ImageMagick's own threads (OpenMP) collide with those of the server: requests hang or the pool \
                  crashes. Leave it on.",
        matters: is_off,
    },
    PhpSetting {
        name: "memory_limit",
        value: "-1",
        threads: "A script without a limit can use up all memory, and then the whole pool ends with it; \
                  under php-fpm its worker alone. Give it a limit, however large.",
        matters: is_unlimited,
    },
    PhpSetting {
        name: "opcache.protect_memory",
        value: "on",
        threads: "opcache makes its memory read-only for all threads at once, also for one that is just \
                  writing to it: that ends the pool with a segmentation fault. Leave it off.",
        matters: is_on,
    },
];

/// All php.ini directives with values that threads make dangerous.
pub fn php_settings() -> &'static [PhpSetting] {
    SETTINGS
}

fn is_unlimited(value: &[u8]) -> bool {
    value.trim_ascii() == b"-1"
}

/// As PHP reads a boolean.
fn is_on(value: &[u8]) -> bool {
    let word = [&b"on"[..], b"yes", b"true"].iter().any(|word| value.eq_ignore_ascii_case(word));
    word || value.iter().find(|b| **b != b'0').is_some_and(u8::is_ascii_digit)
}

fn is_off(value: &[u8]) -> bool {
    !is_on(value)
}

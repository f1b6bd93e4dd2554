//! Warnings about what means something else where requests are threads.

mod support;

use support::{GOOD, load_text};

/// The notes about a `[global]` and a pool `www` of four threads with these lines, and another pool behind them.
fn notes(global: &str, pool: &str) -> Vec<String> {
    let head = "listen = /run/$pool.sock\npm = static\npm.max_children = 4\n";
    let text = format!("[global]\n{global}\n[www]\n{head}{pool}\n[blog]\n{head}{pool}\n");
    let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{text}\n{}", errors[0]));
    loaded.config.thread_notes().iter().map(ToString::to_string).collect()
}

#[test]
fn a_note_is_said_once_and_shows_where_and_what_to_do() {
    assert_eq!(
        notes("", "rlimit_files = 128"),
        ["[t.conf:7] 'rlimit_files = 128': All threads of a pool share its open files; under php-fpm each worker has \
          as many.
  --> t.conf:7:16
   |
 7 | rlimit_files = 128
   |                ^^^
   = help: the 4 threads of pool www need 256 or more; 0 takes what the system allows"]
    );
}

#[test]
fn an_ordinary_configuration_has_no_notes() {
    let loaded = load_text(GOOD).unwrap_or_else(|errors| panic!("{}", errors[0]));
    assert_eq!(loaded.config.thread_notes(), []);
}

#[test]
fn only_values_that_matter_are_noted() {
    for (global, pool) in [
        ("", ""),
        ("", "rlimit_files = 256"),
        ("", "rlimit_files = 0"),
        ("rlimit_files = 128", "rlimit_files = 256"),
        ("events.mechanism = epoll", ""),
        ("events.mechanism = EPoll", ""),
        ("", "php_value[memory_limit] = 128M"),
        ("", "php_admin_flag[opcache.protect_memory] = no"),
        ("", "env[memory_limit] = -1"),
    ] {
        assert_eq!(notes(global, pool), [""; 0], "{global} {pool}");
    }
    for (global, pool, start) in [
        ("rlimit_files = 128", "", "[t.conf:2] 'rlimit_files = 128': All threads "),
        ("events.mechanism = poll", "", "[t.conf:2] 'events.mechanism = poll': Pools always wait with epoll"),
        ("", "php_value[memory_limit] = -1", "[t.conf:7] 'php_value[memory_limit] = -1': A script without"),
        ("", "php_admin_value[memory_limit] = \"-1\"", "[t.conf:7] 'php_admin_value[memory_limit] = -1': "),
        ("", "php_flag[opcache.protect_memory] = on", "[t.conf:7] 'php_flag[opcache.protect_memory] = 1': "),
        ("", "php_admin_value[opcache.protect_memory] = 1", "[t.conf:7] 'php_admin_value[opcache.protect_memory] = 1'"),
    ] {
        let notes = notes(global, pool);
        assert!(matches!(&notes[..], [note] if note.starts_with(start)), "{global} {pool}: {notes:?}");
    }
}

//! Any bytes as configuration files: the loader must neither panic nor hang nor grow without
//! bound, and what it lets through must be fit for use.
//!
//! Lines `%%` divide the input into files: `t.conf`, then `/etc/d/0.conf`, `/etc/d/1.conf`, ….

#![no_main]

#[path = "../../tests/support/memory.rs"]
mod memory;

use ftm_config::{Level, ListenAddress, LoadOptions, MAX_VALUE_BYTES, load};
use libfuzzer_sys::fuzz_target;
use memory::Memory;

fn parts(data: &[u8]) -> Vec<&[u8]> {
    const DIVIDER: &[u8] = b"\n%%\n";
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(DIVIDER.len()).position(|bytes| bytes == DIVIDER) {
        parts.push(&rest[..at]);
        rest = &rest[at + DIVIDER.len()..];
    }
    parts.push(rest);
    parts
}

fuzz_target!(|data: &[u8]| {
    let parts = parts(data);
    let names: Vec<String> = (0..parts.len()).map(|n| format!("/etc/d/{n}.conf")).collect();
    let mut all: Vec<(&str, &[u8])> = vec![("t.conf", parts[0])];
    all.extend(names.iter().map(String::as_str).zip(parts[1..].iter().copied()));
    let files = Memory::new(&all, &["/usr/share"]);
    let options = LoadOptions {
        is_root: data.len() % 2 == 0,
        testing: data.len() % 3 == 0,
        variable: &|name| (name == "VAR").then(|| "a value".into()),
        files: &files,
        ..LoadOptions::default()
    };
    match load("t.conf".as_ref(), &options) {
        Ok(loaded) => {
            assert!(loaded.diagnostics.iter().all(|d| d.level < Some(Level::Error) && d.level.is_some()));
            assert!(!loaded.config.pools.is_empty());
            for pool in &loaded.config.pools {
                assert!(pool.max_children > 0 && pool.connection_max_requests > 0 && pool.request_params_limit > 0);
                match &pool.listen.address {
                    ListenAddress::Unix(path) => assert!(path.as_os_str().len() <= 107),
                    ListenAddress::Tcp { port, .. } => assert_ne!(*port, 0),
                }
                assert!(pool.env.iter().all(|(name, _)| name.len() <= MAX_VALUE_BYTES + 255));
            }
            assert!(loaded.config.dump().len() > 60);
            loaded.config.ignored_without_root().iter().for_each(|notice| drop(notice.to_string()));
        }
        Err(diagnostics) => {
            assert!(diagnostics.len() < 20_000);
            assert_eq!(diagnostics.last().map(|d| d.message.as_str()), Some("FPM initialization failed"));
            diagnostics.iter().for_each(|diagnostic| drop(diagnostic.to_string()));
        }
    }
});

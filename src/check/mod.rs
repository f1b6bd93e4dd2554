//! `-t` beyond PHP-FPM's: whether PHP starts with each pool's settings, which extensions it cannot load, what it consists
//! of, and what of that means something else with threads. PHP-FPM tells the first two for php.ini alone, because it starts
//! PHP before it reads its own configuration.

mod inventory;
mod messages;
mod places;
mod shared;
mod startup;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ftm_config::{Config, PhpValue};

use crate::observe::log;
use crate::php::{Engine, EngineSettings, unsafe_extensions};
use startup::{End, Trial};

/// How long PHP may take to start for one pool.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long all pools may take together: less than a reload waits for its check.
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(20);

/// The most pools with the same PHP that are named.
const MOST_NAMES: usize = 8;

/// PHP does not start for a pool. Why has been logged.
pub struct CannotStart;

/// Starts PHP's modules as each pool would, each in a process of its own that ends at once. What PHP says is logged as
/// warnings, with the place where the extension is asked for; what PHP consists of, as notices.
///
/// # Errors
///
/// PHP does not start.
pub fn php(config: &Config, engine: &EngineSettings) -> Result<(), CannotStart> {
    let until = Instant::now() + PATIENCE_FOR_ALL;
    let mut said = HashSet::new();
    let mut tried: Vec<Tried<'_>> = Vec::new();
    let mut result = Ok(());
    for pool in &config.pools {
        let name = &pool.name;
        if let Some(same) = tried.iter_mut().find(|tried| tried.values == pool.php_values) {
            same.pools.push(name);
            continue;
        }
        let patience = PATIENCE.min(until.saturating_duration_since(Instant::now()));
        let trial = match Trial::run(&config.global, pool, engine, patience) {
            Ok(trial) => trial,
            Err(e) => {
                log::warning!("[pool {name}] cannot try how PHP starts: {e}");
                continue;
            }
        };
        for message in &trial.messages {
            let origin = places::origin(message, config, pool, engine, &trial.ini_files);
            let line = match origin {
                Some(origin) => format!("{origin}{message}"),
                None => format!("[pool {name}] {message}"),
            };
            if said.insert(line.clone()) {
                log::warning!("{line}");
                if let Some(help) = messages::help(message) {
                    eprintln!("   = help: {help}");
                }
            }
        }
        for extension in &trial.unsafe_extensions {
            log::warning!("[pool {name}] {extension}");
        }
        for (setting, value) in &trial.settings {
            let origin = places::of_setting(setting.name, engine, &trial.ini_files);
            let origin = origin.unwrap_or_else(|| format!("[pool {name}] "));
            let line = format!("{origin}'{} = {value}': {}", setting.name, setting.threads);
            if said.insert(line.clone()) {
                log::warning!("{line}");
            }
        }
        tried.push(Tried { pools: vec![name], values: &pool.php_values, inventory: trial.inventory });
        match trial.end {
            End::Started => {}
            End::Late => log::warning!("[pool {name}] PHP has not started within {patience:?}: not waited for"),
            End::Refused(why) => {
                log::error!("[pool {name}] {why}");
                result = Err(CannotStart);
            }
            End::Died(how) => {
                log::error!("[pool {name}] PHP does not start: {how}. Which extension is it? Leave one out at a time");
                result = Err(CannotStart);
            }
        }
    }
    if result.is_ok() {
        list(tried);
    }
    result
}

/// Pools with the same PHP settings, and what PHP consists of there.
struct Tried<'a> {
    pools: Vec<&'a str>,
    values: &'a [PhpValue],
    inventory: Vec<String>,
}

/// Says once for pools with the same PHP what that consists of.
fn list(tried: Vec<Tried<'_>>) {
    let mut different: Vec<Tried<'_>> = Vec::new();
    for one in tried {
        match different.iter_mut().find(|other| other.inventory == one.inventory) {
            Some(same) => same.pools.extend(one.pools),
            None => different.push(one),
        }
    }
    for Tried { pools, inventory, .. } in different {
        let named = pools[..pools.len().min(MOST_NAMES)].join(", ");
        let names = match pools.len() {
            1 => format!("pool {named}"),
            n if n <= MOST_NAMES => format!("pools {named}"),
            n => format!("pools {named} and {} more", n - MOST_NAMES),
        };
        for line in inventory {
            log::notice!("[{names}] {line}");
        }
    }
}

/// Warns, at the start of a pool, of the extensions that do not bear threads.
pub fn warn_of_unsafe_extensions(pool: &str, engine: &Engine) {
    for warning in unsafe_warnings(engine) {
        log::warning!("[pool {pool}] {warning}");
    }
}

fn unsafe_warnings(engine: &Engine) -> impl Iterator<Item = String> {
    unsafe_extensions(engine).map(|extension| {
        format!("the extension {} does not bear threads: {}", extension.name.to_string_lossy(), extension.why)
    })
}

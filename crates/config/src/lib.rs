//! The php-fpm configuration dialect, read from files into checked, typed values.
//!
//! ```no_run
//! use ftm_config::{LoadOptions, load};
//!
//! let options = LoadOptions { is_root: true, ..LoadOptions::default() };
//! match load("/etc/php-ftm/php-ftm.conf".as_ref(), &options) {
//!     Ok(loaded) => {
//!         // Notices and warnings, in php-fpm's words.
//!         loaded.diagnostics.iter().for_each(|line| eprintln!("{line}"));
//!         for pool in &loaded.config.pools {
//!             println!("{}: {} threads at {}", pool.name, pool.max_children, pool.listen.address);
//!         }
//!         // What the file asks for and nothing does yet.
//!         loaded.config.not_acted_on().iter().for_each(|unused| eprintln!("{unused}"));
//!         // php-ftm -tt
//!         loaded.config.dump().iter().for_each(|line| println!("NOTICE: {line}"));
//!     }
//!     // Every error there is, php-fpm's closing lines last.
//!     Err(errors) => errors.iter().for_each(|error| eprintln!("{error}")),
//! }
//! ```
//!
//! The way of a configuration:
//!
//! ```text
//! bytes -lexer-> tokens -parser, expression-> statements -reader-> Written -validate-> Config
//!                                      table: names, types, defaults ┘          └ dump, unused
//! ```
//!
//! The dialect is that of PHP's ini scanner in NORMAL mode, fed one physical line at a time, as
//! php-fpm does it, with the `${NAME:-default}` of PHP 8.3. Messages are php-fpm's to the letter;
//! below each stand the place, the line and help. Deliberate differences from php-fpm:
//!
//! * all errors are reported, not only the first (at most 100), and always with the real line, also
//!   behind an `include`;
//! * numbers that do not fit into 32 bits end at its limits instead of wrapping around;
//! * a byte 0 is an error instead of the end of the line;
//! * port numbers are checked here, so also by `-t`;
//! * names that must be text (pools, users, groups, hosts) must be UTF-8;
//! * there are limits against files that never end: [`MAX_CONFIG_BYTES`], [`MAX_VALUE_BYTES`], 1 MiB for
//!   a line, 255 bytes for the name of a pool, 10,000 files.

#![forbid(unsafe_code)]

mod access_format;
mod by_threads;
mod config;
mod diagnostic;
mod directive;
mod dump;
mod expression;
mod files;
mod glob;
mod lexer;
mod number;
mod options;
mod parser;
mod paths;
mod reader;
mod suggest;
mod table;
mod typed;
mod unused;
mod validate;
mod written;

pub use access_format::{AccessField, CpuTime, DurationUnit};
pub use config::{
    AccessLog, AllowedClients, Config, CoreLimit, EmergencyRestart, EnvValue, ErrorLog, ExecutionClock, Global, Listen,
    ListenAddress, PhpValue, Ping, Pool, ProcessManager,
};
pub use diagnostic::{Diagnostic, Level, Location};
pub use directive::{ActedOn, Choice, Directive, Section, Type};
pub use files::{Disk, Files, MAX_CONFIG_BYTES};
pub use options::{LoadOptions, error_level, php_constant};
pub use parser::MAX_VALUE_BYTES;
pub use table::{PhpSetting, directives, php_settings};
pub use unused::NotActedOn;

use std::path::Path;

/// A configuration that can be used, and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Notices and warnings, in php-fpm's order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the file `path` and all it includes, and checks everything that can be checked without
/// opening logs, resolving names or binding sockets.
///
/// # Errors
/// All messages in php-fpm's order, at least one of them an error. The last are php-fpm's closing
/// lines, `FPM initialization failed` the very last.
pub fn load(path: &Path, options: &LoadOptions<'_>) -> Result<Loaded, Vec<Diagnostic>> {
    let failed = |mut diagnostics: Vec<Diagnostic>, closing: Option<String>| {
        let lines = closing.into_iter().chain(["FPM initialization failed".into()]);
        diagnostics.extend(lines.map(|line| Diagnostic::new(Level::Error, line)));
        diagnostics
    };
    if let Some(prefix) = &options.prefix
        && !prefix.as_os_str().is_empty()
        && !options.files.is_directory(prefix)
    {
        let prefix = prefix.display();
        let message = format!("the global prefix '{prefix}' does not exist or is not a directory");
        return Err(failed(vec![Diagnostic::new(Level::Error, message)], None));
    }
    let (written, diagnostics) = reader::read(path, options).map_err(|diagnostics| {
        let closing = format!("failed to load configuration file '{}'", path.display());
        failed(diagnostics, Some(closing))
    })?;
    let (written, diagnostics) = validate::validate(written, diagnostics, options)
        .map_err(|invalid| failed(invalid.diagnostics, invalid.closing))?;
    let config = typed::config(path, written);
    Ok(Loaded { config, diagnostics })
}

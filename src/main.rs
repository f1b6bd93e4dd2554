//! php-ftm, the FastCGI Thread Manager: PHP-FPM's place, with threads instead of processes.

mod check;
mod cli;
mod master;
mod memory;
mod observe;
mod php;
mod pool;
mod server;
mod sync;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;
use cli::{Cli, exit};
use php::{Engine, EngineSettings};

/// The prefix of the PHP inside: where php-fpm, built with it, would look for its configuration.
const PHP_PREFIX: &str = env!("FTM_PHP_PREFIX");

fn main() {
    std::process::exit(run());
}

fn run() -> i32 {
    let program = std::env::args_os().next().unwrap_or_else(|| OsString::from("php-ftm"));
    let usage = || {
        // EPIPE is no error.
        let _ = io::stdout().write_all(cli::usage(&program.to_string_lossy(), PHP_PREFIX).as_bytes());
    };
    let Ok(cli) = Cli::try_parse() else {
        usage();
        return exit::USAGE;
    };
    if cli.help {
        usage();
        return exit::OK;
    }
    let engine = EngineSettings {
        executable: program,
        ini_path: cli.php_ini.clone(),
        ini_ignore: cli.no_php_ini,
        defines: cli.defines.clone(),
        ..EngineSettings::default()
    };
    if cli.version || cli.modules || cli.info {
        return print(&cli, &engine);
    }
    master::run(&cli, engine)
}

/// `-v`, `-m`, `-i`: PHP about itself.
fn print(cli: &Cli, settings: &EngineSettings) -> i32 {
    let engine = match Engine::start(settings) {
        Ok(engine) => engine,
        Err(message) => {
            observe::log::error!("{message}");
            return exit::SOFTWARE;
        }
    };
    if cli.modules {
        engine.print_modules();
    } else if cli.info {
        engine.print_info();
    } else {
        engine.print_version();
    }
    // C's stdout has a buffer of its own.
    // SAFETY: a null stream flushes all of them.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    exit::OK
}

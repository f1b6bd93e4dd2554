//! The command line, which is PHP-FPM's.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// Exit codes of PHP-FPM.
pub mod exit {
    /// All is well.
    pub const OK: i32 = 0;
    /// An unknown option or a stray argument.
    pub const USAGE: i32 = 64;
    /// An internal failure.
    pub const SOFTWARE: i32 = 70;
    /// The configuration is wrong, or cannot be put into effect.
    pub const CONFIG: i32 = 78;
}

/// The options.
#[derive(Parser, Debug, Default)]
#[command(disable_help_flag = true, disable_version_flag = true, args_override_self = true)]
pub struct Cli {
    /// `-c`: php.ini, or the directory it lies in.
    #[arg(short = 'c', long = "php-ini")]
    pub php_ini: Option<OsString>,
    /// `-n`: no php.ini.
    #[arg(short = 'n', long = "no-php-ini")]
    pub no_php_ini: bool,
    /// `-d name[=value]`.
    #[arg(short = 'd', long = "define", action = ArgAction::Append)]
    pub defines: Vec<OsString>,
    /// `-e`: taken for compatibility; it concerns debuggers.
    #[arg(short = 'e', long = "profile-info")]
    pub profile_info: bool,
    /// `-h`, `-?`.
    #[arg(short = 'h', long = "help", visible_short_alias = '?', visible_alias = "usage")]
    pub help: bool,
    /// `-i`.
    #[arg(short = 'i', long = "info")]
    pub info: bool,
    /// `-m`.
    #[arg(short = 'm', long = "modules")]
    pub modules: bool,
    /// `-v`.
    #[arg(short = 'v', long = "version")]
    pub version: bool,
    /// `-y`: the configuration file.
    #[arg(short = 'y', long = "fpm-config")]
    pub config: Option<PathBuf>,
    /// `-t`, `-tt`.
    #[arg(short = 't', long = "test", action = ArgAction::Count)]
    pub test: u8,
    /// `-p`.
    #[arg(short = 'p', long = "prefix")]
    pub prefix: Option<PathBuf>,
    /// `-g`.
    #[arg(short = 'g', long = "pid")]
    pub pid: Option<PathBuf>,
    /// `-R`.
    #[arg(short = 'R', long = "allow-to-run-as-root")]
    pub allow_root: bool,
    /// `-D`.
    #[arg(short = 'D', long = "daemonize", overrides_with = "nodaemonize")]
    pub daemonize: bool,
    /// `-F`.
    #[arg(short = 'F', long = "nodaemonize")]
    pub nodaemonize: bool,
    /// `-O`.
    #[arg(short = 'O', long = "force-stderr")]
    pub force_stderr: bool,
}

impl Cli {
    /// `-D` or `-F`, whichever came last.
    pub fn force_daemonize(&self) -> Option<bool> {
        match (self.daemonize, self.nodaemonize) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// What `-h` prints. `program` is argv\[0\], `prefix` that of the PHP inside.
pub fn usage(program: &str, prefix: &str) -> String {
    // PHP-FPM's own rule: the last part of argv[0], but "php" where it has no slash.
    let name = program.rsplit_once('/').map_or("php", |(_, name)| name);
    format!(
        "Usage: {name} [-n] [-e] [-h] [-i] [-m] [-v] [-t] [-p <prefix>] [-g <pid>] [-c <file>] [-d foo[=bar]] \
         [-y <file>] [-D] [-F [-O]]\n\
         \x20 -c <path>|<file> Look for php.ini file in this directory\n\
         \x20 -n               No php.ini file will be used\n\
         \x20 -d foo[=bar]     Define INI entry foo with value 'bar'\n\
         \x20 -e               Generate extended information for debugger/profiler\n\
         \x20 -h               This help\n\
         \x20 -i               PHP information\n\
         \x20 -m               Show compiled in modules\n\
         \x20 -v               Version number\n\
         \x20 -p, --prefix <dir>\n\
         \x20                  Specify alternative prefix path to FastCGI process manager (default: {prefix}).\n\
         \x20 -g, --pid <file>\n\
         \x20                  Specify the PID file location.\n\
         \x20 -y, --fpm-config <file>\n\
         \x20                  Specify alternative path to FastCGI process manager config file.\n\
         \x20 -t, --test       Test FPM configuration and exit\n\
         \x20 -D, --daemonize  force to run in background, and ignore daemonize option from config file\n\
         \x20 -F, --nodaemonize\n\
         \x20                  force to stay in foreground, and ignore daemonize option from config file\n\
         \x20 -O, --force-stderr\n\
         \x20                  force output to stderr in nodaemonize even if stderr is not a TTY\n\
         \x20 -R, --allow-to-run-as-root\n\
         \x20                  Allow pool to run as root (disabled by default)\n"
    )
}

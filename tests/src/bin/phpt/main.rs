//! Runs PHP's own .phpt tests by FastCGI, through php-ftm or php-fpm. `scripts/phpt` compares such runs.
//!
//! ```text
//! phpt --source DIR --results DIR [--server php-ftm|php-fpm] [--jobs N] [--max-requests N] [--php FILE] [--opcache]
//!      DIR|TEST...
//! ```
//!
//! `--source` is PHP's unpacked source, in which DIR or TEST are found; the tests run in a copy of it. `--jobs` tests run at
//! a time (1). `--max-requests` is the pool's `pm.max_requests`: 1 for php-fpm, whose workers keep settings of PHP_VALUE,
//! and 0, no limit, for php-ftm. `--php` is the command line for tests that start one. Leaves in `--results` the verdicts, what failed
//! tests have printed, and the server's log. The servers' executables come from PHP_FTM and PHP_FPM.

mod client;
mod expect;
mod ini;
mod phpt;
mod queue;
mod request;
mod results;
mod run;
mod tree;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, thread};

use ftm_tests::{Kind, PoolConfig, Server, ServerConfig, Site};

use queue::{Job, Queue};
use results::Results;
use run::Runner;

/// The command line.
struct Args {
    source: PathBuf,
    results: PathBuf,
    php: PathBuf,
    server: Kind,
    jobs: usize,
    max_requests: Option<u32>,
    opcache: bool,
    tests: Vec<String>,
}

fn main() -> ExitCode {
    let done = args(env::args().skip(1)).and_then(|args| run(&args));
    match done {
        Ok(counts) => {
            println!("{counts}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("phpt: {why}");
            ExitCode::FAILURE
        }
    }
}

fn args(mut given: impl Iterator<Item = String>) -> Result<Args, String> {
    let (mut source, mut results) = (None, None);
    let (mut php, mut server, mut jobs) = (PathBuf::from("/usr/bin/php"), Kind::PhpFtm, 1);
    let (mut max_requests, mut opcache, mut tests) = (None, false, Vec::new());
    while let Some(arg) = given.next() {
        let mut value = || given.next().ok_or(format!("{arg} takes a value"));
        match arg.as_str() {
            "--source" => source = Some(PathBuf::from(value()?)),
            "--results" => results = Some(PathBuf::from(value()?)),
            "--php" => php = PathBuf::from(value()?),
            "--jobs" => jobs = value()?.parse().ok().filter(|&n| n > 0).ok_or("--jobs takes a number above 0")?,
            "--max-requests" => max_requests = Some(value()?.parse().map_err(|_| "--max-requests takes a number")?),
            "--opcache" => opcache = true,
            "--server" => {
                server = match value()?.as_str() {
                    "php-ftm" => Kind::PhpFtm,
                    "php-fpm" => Kind::PhpFpm,
                    other => return Err(format!("--server {other}: neither php-ftm nor php-fpm")),
                }
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => tests.push(arg),
        }
    }
    let source = source.ok_or("--source is missing: the directory of PHP's source")?;
    let results = results.ok_or("--results is missing: a directory for what comes out")?;
    Ok(Args { source, results, php, server, jobs, max_requests, opcache, tests })
}

/// Runs all tests; returns how many ended in which way.
fn run(args: &Args) -> Result<String, String> {
    let mut names = Vec::new();
    for arg in &args.tests {
        names.extend(tree::find(&args.source, arg)?);
    }
    if names.is_empty() {
        return Err("no tests: name a directory or a .phpt file of the source".to_owned());
    }
    let site = Site::new();
    let owner = tree::owner();
    tree::copy(&args.source, &site.docroot(), owner);
    // A copy, because the pool's user may not reach the original.
    let php = site.dir().join("php");
    fs::copy(&args.php, &php).map_err(|e| format!("--php {}: {e}", args.php.display()))?;
    let max_requests = args.max_requests.unwrap_or(u32::from(args.server == Kind::PhpFpm));
    let pool = PoolConfig::new("phpt")
        // Some more than tests: one that is being ended must not hold up the next.
        .children(args.jobs + 2)
        .set("clear_env", "no")
        .set("pm.max_requests", &max_requests.to_string())
        .set("request_terminate_timeout", &client::TERMINATE.to_string());
    let config = ini::with_defaults(ServerConfig::pool(pool), args.opcache);
    let server = Server::start_as(args.server, &site, config);

    let tree = site.docroot();
    let queue = Queue::new(names.iter().map(|name| Job::read(&tree, name)).collect());
    let results = Results::new(&args.results, names.len());
    let runner = Runner::new(&site, server.address(), owner, &php);
    thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| queue.work(|job| results.add(job.name.clone(), runner.run(&job))));
        }
    });
    let log = args.results.join("server.log");
    fs::write(&log, server.log()).map_err(|e| format!("{}: {e}", log.display()))?;
    Ok(results.finish())
}

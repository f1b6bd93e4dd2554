//! Tries whether scripts that hang are ended, whatever they hang in: see scripts/stuck.

mod kinds;
mod log;
mod peers;
mod report;
mod trial;

use std::fs;
use std::process::ExitCode;

use ftm_tests::{Kind as Program, PoolConfig, Server, ServerConfig, Site, extension};

use crate::kinds::{KINDS, Kind, Needs};
use crate::peers::{Peers, RUNS_MAX};
use crate::trial::{FORCE, LIMIT, Outcome, Subject};

/// Slots: for all requests of a kind at once, and for others beside them.
const CHILDREN: usize = 26;

/// What scripts begin with: whatever they can do to go on.
const BEGINNING: &str = "<?php
set_time_limit(0); ignore_user_abort(true);
if (isset($_GET['begun'])) { echo str_repeat('x', 1000); flush(); }
try { try {
";
const END: &str = "
} finally { $finally = true; } } catch (Throwable $e) { echo get_class($e), ': ', $e->getMessage(); }
if (isset($uncaught)) throw $uncaught;
";

/// Scripts that run beside them, and that answer "right".
const OTHERS: [(&str, &str); 3] = [
    (
        "work.php",
        "<?php usleep(5000); [$a, $b] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        fwrite($b, 'r'); echo fread($a, 1), trim(shell_exec('echo ight'));",
    ),
    (
        "query.php",
        "<?php $d = new mysqli('localhost', 'root', '', '', 0, '{mysql}');
        echo $d->query('SELECT IF(SLEEP(0.005) = 0, \"right\", \"wrong\")')->fetch_row()[0];",
    ),
    (
        "count.php",
        "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
        for ($i = 0; $i < 1000; $i++) sha1((string) $i); echo 'right';",
    ),
];

struct Arguments {
    times: usize,
    kinds: Vec<&'static Kind>,
    servers: Vec<Program>,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("stuck: {message}");
            return ExitCode::from(2);
        }
    };
    // What goes wrong in one kind is reported, and the others go on.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let site = Site::new();
    let peers = Peers::start(&site);
    write_scripts(&site, &peers, &arguments.kinds);
    let mut reports = Vec::new();
    for &program in &arguments.servers {
        let server = start(program, &site, &peers, &arguments.kinds);
        let mark = mark(&site);
        let subject = Subject { server: &server, children: CHILDREN, peers: &peers, mark: &mark };
        let outcomes = arguments.kinds.iter().map(|kind| {
            let can = match kind.needs {
                Needs::Nothing => true,
                Needs::Extension => program == Program::PhpFtm,
                Needs::NameServer => peers.name_server.is_some(),
            };
            let outcome = can.then(|| subject.run(kind, arguments.times));
            report::progress(program, kind, outcome.as_ref());
            outcome
        });
        let outcomes: Vec<Option<Outcome>> = outcomes.collect();
        server.stop();
        reports.push((program, outcomes));
    }
    report::table(&arguments.kinds, &reports);
    let missed = |(program, outcomes): &(Program, Vec<Option<Outcome>>)| {
        *program == Program::PhpFtm && outcomes.iter().flatten().any(|outcome| !outcome.misses.is_empty())
    };
    if reports.iter().any(missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { times: 20, kinds: Vec::new(), servers: vec![Program::PhpFtm, Program::PhpFpm] };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} takes a value"))?;
        match name.as_str() {
            "--times" => arguments.times = value.parse().map_err(|_| format!("--times {value} is no number"))?,
            "--kind" => {
                let kind = KINDS.iter().find(|kind| kind.name == value);
                arguments.kinds.push(kind.ok_or_else(|| format!("there is no kind '{value}'"))?);
            }
            "--server" => {
                arguments.servers = match value.as_str() {
                    "php-ftm" => vec![Program::PhpFtm],
                    "php-fpm" => vec![Program::PhpFpm],
                    "both" => vec![Program::PhpFtm, Program::PhpFpm],
                    _ => return Err("--server takes php-ftm, php-fpm or both".into()),
                }
            }
            _ => return Err(format!("unknown argument '{name}'")),
        }
    }
    if !(1..=RUNS_MAX).contains(&arguments.times) {
        return Err(format!("--times takes 1 to {RUNS_MAX}"));
    }
    if arguments.kinds.is_empty() {
        arguments.kinds = KINDS.iter().collect();
    }
    Ok(arguments)
}

fn write_scripts(site: &Site, peers: &Peers, kinds: &[&Kind]) {
    for kind in kinds {
        site.file(&trial::uri(kind), format!("{BEGINNING}{}{END}", peers.fill(kind.code)));
    }
    for (name, code) in OTHERS {
        site.file(name, peers.fill(code));
    }
}

/// What marks the programs that scripts start.
fn mark(site: &Site) -> String {
    format!("FTM_STUCK={}", site.dir().display())
}

fn start(program: Program, site: &Site, peers: &Peers, kinds: &[&Kind]) -> Server {
    let blacklist = site.dir().join("opcache-blacklist");
    fs::write(&blacklist, format!("{}/interpreted/*\n", site.docroot().display())).expect("the blacklist");
    let pool = PoolConfig::new("www")
        .children(CHILDREN)
        // With it, php-fpm's master closes descriptors of others when workers die whose programs live on, and never recovers.
        .unset("catch_workers_output")
        .set("request_terminate_timeout", &format!("{}s", LIMIT.as_secs()))
        .set("request_terminate_timeout_track_finished", "yes")
        .set("env[FTM_STUCK]", &site.dir().display().to_string());
    let pool = match program {
        Program::PhpFtm => pool.set("force_kill_deadline", &format!("{}s", FORCE.as_secs())),
        Program::PhpFpm => pool,
    };
    let mut config = ServerConfig::pool(pool)
        .ini("display_errors = 0")
        .ini("opcache.jit = tracing")
        .ini("opcache.jit_buffer_size = 32M")
        .ini(&format!("opcache.blacklist_filename = {}", blacklist.display()))
        .ini("default_socket_timeout = 60")
        .ini("sendmail_path = \"cat >/dev/null; sleep 60\"");
    if program == Program::PhpFtm {
        config = config.ini("zend_extension = opcache");
        if kinds.iter().any(|kind| kind.needs == Needs::Extension) {
            config = config.ini(&format!("extension = {}", extension::build("ftmstuck").display()));
        }
    }
    if let Some(name_server) = &peers.name_server {
        config = config.program(&name_server.program(program));
    }
    Server::start_as(program, site, config)
}

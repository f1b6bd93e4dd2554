//! One server under load, for some time.

use std::time::{Duration, Instant};

use ftm_tests::{Load, PoolConfig, Rng, Server, ServerConfig, Site, cached, proc};

use crate::measured::Measured;

/// PHP threads, and clients that each send one request after the other: more than there are threads.
pub const THREADS: usize = 8;
pub const CLIENTS: usize = 16;

/// 20 calls of opcache_reset() a second, by so many clients that none is late because it waits for a restart.
const RESETTERS: usize = 5;
const RESET_EVERY: Duration = Duration::from_millis(250);

/// How often a file changes. opcache restarts for lack of memory only where it holds what is out of date.
const CHANGE_EVERY: Duration = Duration::from_millis(50);

/// MiB that all scripts have room in, and that they have not.
const AMPLE: usize = 128;
const SCANT: usize = 8;

/// What is done to opcache beside the load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Undisturbed,
    Reset,
    Overflow,
}

impl Phase {
    /// As the table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Undisturbed => "undisturbed",
            Phase::Reset => "reset",
            Phase::Overflow => "overflow",
        }
    }
}

/// What opcache says of itself: restarts by hand and by need, and whether the JIT is on.
const FIGURES: &str = "<?php
$status = opcache_get_status(false);
$counts = $status['opcache_statistics'];
echo $counts['manual_restarts'], ' ', $counts['oom_restarts'] + $counts['hash_restarts'], ' ', (int) $status['jit']['on'];";

/// Runs a server under load for `time`.
pub fn run(phase: Phase, time: Duration) -> Measured {
    let site = Site::new();
    cached::write(&site);
    site.file("figures.php", FIGURES);
    let pool = cached::pool(PoolConfig::new("www"), if phase == Phase::Overflow { SCANT } else { AMPLE });
    let settings = [("jit", "tracing"), ("jit_buffer_size", "32M"), ("jit_hot_func", "2"), ("jit_hot_loop", "2")];
    let pool = settings
        .into_iter()
        .fold(pool, |pool, (name, value)| pool.set(&format!("php_admin_value[opcache.{name}]"), value));
    let server = Server::start(&site, ServerConfig::pool(pool.children(THREADS)));
    let workers = server.workers();
    let began = Instant::now();
    let load = Load::start(CLIENTS, server.address(), &cached::call(&site, None), cached::right);
    let resets = (phase == Phase::Reset)
        .then(|| Load::start_every(RESET_EVERY, RESETTERS, server.address(), &cached::reset(&site), cached::was_reset));
    let mut rng = Rng::new(0);
    while began.elapsed() < time && proc::alive(server.pid()) {
        std::thread::sleep(CHANGE_EVERY);
        if phase == Phase::Overflow {
            cached::change(&site, &mut rng);
        }
    }
    let time = began.elapsed();
    let (load, resets) = (load.end(), resets.map(Load::end));
    let text = server.get("/figures.php").text();
    let mut figures =
        text.split(' ').map(|figure| figure.parse::<u64>().unwrap_or_else(|_| panic!("no figures: {text}")));
    let mut figure = || figures.next().expect("three figures");
    let (by_hand, by_need, jit) = (figure(), figure(), figure() == 1);
    let measured = Measured {
        name: phase.name(),
        time,
        load,
        resets,
        by_hand,
        by_need,
        jit,
        same_process: server.workers() == workers,
        alarms: server.alarms(),
    };
    server.stop();
    measured
}

//! Runs everything that can go wrong at once, for as long as one likes, and says whether the server stays as it was.
//!
//! ```text
//!  storm  (first third)   all kinds of requests, and reloads
//!  steady (the rest)      the same without reloads: the processes grow old
//!         └─ every --every seconds all clients pause, and memory, descriptors and threads are looked at
//! ```
//!
//! Two pools have the same scripts; only the second one crashes. What each kind does and expects is said in its file. Which
//! client asks for what depends on the seed alone; when, it does not.

mod arguments;
mod cached;
mod clients;
mod crash;
mod figures;
mod isolation;
mod mix;
mod pause;
mod session;
mod stuck;
mod verdict;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ftm_tests::{Rng, Server, Site, eventually};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};

use arguments::Arguments;
use figures::Sample;
use mix::Mix;
use world::World;

/// The part of the time in which the server is reloaded.
const STORM: f64 = 1.0 / 3.0;

/// The longest time between two reloads, in seconds.
const RELOAD_EVERY: usize = 60;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("soak: {message}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", arguments.seed);
    // Scripts want to know it.
    umask(Mode::from_bits_truncate(0o022));
    let site = Site::new();
    let server = Server::start(&site, world::server(&site, arguments.threads()));
    let world = Arc::new(World::new(&site, &server));
    let mix = Mix::start(&world, &arguments);
    let samples = watch(&arguments, &server, &world, &mix);
    let outcome = mix.end();
    let fine = verdict::pronounce(&arguments, &samples, &outcome, &server);
    server.stop();
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks at the server until the time is over.
fn watch(arguments: &Arguments, server: &Server, world: &World, mix: &Mix) -> Vec<Sample> {
    let mut rng = Rng::new(arguments.seed);
    let (start, mut samples) = (Instant::now(), Vec::new());
    let storm = arguments.time.mul_f64(STORM);
    let mut reload_at = Duration::from_secs(10);
    println!("{}", Sample::HEAD);
    while start.elapsed() < arguments.time && server_lives(server) {
        std::thread::sleep(arguments.every);
        if start.elapsed() > reload_at && start.elapsed() < storm {
            reload(server);
            reload_at = start.elapsed() + Duration::from_secs(1 + rng.below(RELOAD_EVERY) as u64);
        }
        world.pause.quiet(|| {
            let steady = start.elapsed() >= storm;
            samples.push(Sample::take(server, arguments.threads(), start.elapsed(), steady, mix.counts()));
        });
        println!("{}", samples[samples.len() - 1]);
    }
    samples
}

fn server_lives(server: &Server) -> bool {
    ftm_tests::proc::alive(server.pid())
}

fn reload(server: &Server) {
    let before = server.workers();
    server.signal(Signal::SIGUSR2);
    eventually("new processes serve, and the former ones have ended", || {
        let now = server.workers();
        now.len() == before.len() && now.iter().all(|pid| !before.contains(pid))
    });
}

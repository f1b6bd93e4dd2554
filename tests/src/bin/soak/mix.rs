//! Who does what how often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ftm_tests::{Address, Rng};

use crate::arguments::Arguments;
use crate::world::{Failure, Outcome, World};
use crate::{cached, clients, crash, isolation, session, stuck};

/// Failures of each kind that are told in full.
const TOLD: u64 = 5;

/// How often something is done, its name, and what it is.
type Kind = (usize, &'static str, fn(&World, &Address, &mut Rng) -> Outcome);

/// A group of clients, and what each of them chooses from.
struct Group {
    clients: usize,
    rough: bool,
    /// The most milliseconds between two requests of a client.
    rest: usize,
    kinds: Vec<Kind>,
}

/// What can be asked for without a crash.
fn sound() -> Vec<Kind> {
    vec![
        (30, "hello", clients::hello),
        (30, "isolation", isolation::isolation),
        (10, "cached", cached::cached),
        (1, "reset", cached::reset),
        (2, "change", cached::change),
        (8, "session", session::session),
        (5, "upload", clients::upload),
        (2, "slow", clients::slow_reader),
        (6, "vanish", clients::vanish),
    ]
}

/// Everything at once.
fn mixed() -> Vec<Group> {
    let beside_crashes: Vec<Kind> = vec![
        (10, "hello", clients::hello),
        (10, "isolation", isolation::isolation),
        (4, "cached", cached::cached),
        (2, "upload", clients::upload),
        (2, "vanish", clients::vanish),
    ];
    vec![
        Group { clients: 6, rough: false, rest: 20, kinds: sound() },
        Group { clients: 4, rough: false, rest: 500, kinds: vec![(1, "stuck", stuck::stuck)] },
        Group { clients: 4, rough: true, rest: 50, kinds: beside_crashes },
        Group { clients: 1, rough: true, rest: 500, kinds: vec![(1, "stuck", stuck::stuck)] },
        Group { clients: 1, rough: true, rest: 12_000, kinds: vec![(1, "crash", crash::crash)] },
    ]
}

/// What became of the requests.
#[derive(Clone, Default)]
pub struct Counts {
    /// By kind: done, and failed.
    pub kinds: BTreeMap<&'static str, (u64, u64)>,
    /// The first failures.
    pub failures: Vec<String>,
}

/// The clients at work.
pub struct Mix {
    world: Arc<World>,
    counts: Arc<Mutex<Counts>>,
    clients: Vec<JoinHandle<()>>,
}

impl Mix {
    /// Starts them.
    pub fn start(world: &Arc<World>, arguments: &Arguments) -> Self {
        let counts = Arc::new(Mutex::<Counts>::default());
        let mut seeds = Rng::new(arguments.seed);
        let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
        let groups = match arguments.clients {
            Some(clients) => vec![Group { clients, rough: false, rest: 0, kinds: sound() }],
            None => mixed(),
        };
        let chosen = groups.into_iter().map(|mut group| {
            group.kinds.retain(|(_, name, _)| wanted(name));
            Arc::new(group)
        });
        let clients = chosen.filter(|group| !group.kinds.is_empty()).flat_map(|group| {
            let clients = group.clients;
            std::iter::repeat_n(group, clients)
        });
        let clients = clients.map(|group| {
            let (world, counts, rng) = (world.clone(), counts.clone(), Rng::new(seeds.next_u64()));
            std::thread::spawn(move || group.run(&world, &counts, rng))
        });
        Self { world: world.clone(), clients: clients.collect(), counts }
    }

    /// What has become of the requests so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets all of them leave.
    pub fn end(self) -> Counts {
        self.world.pause.end();
        self.clients.into_iter().for_each(|client| client.join().expect("what a request panics with is caught"));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts)
    }
}

impl Group {
    fn run(&self, world: &World, counts: &Mutex<Counts>, mut rng: Rng) {
        let address = if self.rough { &world.rough } else { &world.sound };
        let parts: usize = self.kinds.iter().map(|(part, ..)| part).sum();
        while world.pause.begin() {
            let mut at = rng.below(parts);
            let chosen = self.kinds.iter().find(|(part, ..)| at.checked_sub(*part).map(|rest| at = rest).is_none());
            let &(_, name, kind) = chosen.expect("below the sum");
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kind(world, address, &mut rng)));
            let outcome = outcome.unwrap_or_else(|_| Err(Failure("panicked: see above".to_owned())));
            counts.lock().unwrap_or_else(PoisonError::into_inner).add(name, outcome);
            world.pause.done();
            self.rest(world, &mut rng);
        }
    }

    fn rest(&self, world: &World, rng: &mut Rng) {
        let mut left = rng.below(self.rest.max(1));
        while left > 0 && !world.pause.wanted() {
            let slice = left.min(100);
            std::thread::sleep(Duration::from_millis(slice as u64));
            left -= slice;
        }
    }
}

impl Counts {
    fn add(&mut self, name: &'static str, outcome: Outcome) {
        let (done, failed) = self.kinds.entry(name).or_default();
        match outcome {
            Ok(()) => *done += 1,
            Err(Failure(what)) => {
                *failed += 1;
                if *failed <= TOLD {
                    println!("FAILED {name}: {what}");
                    self.failures.push(format!("{name}: {what}"));
                }
            }
        }
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.kinds.values().map(|(_, failed)| failed).sum()
    }

    /// All requests.
    pub fn all(&self) -> u64 {
        self.kinds.values().map(|(done, failed)| done + failed).sum()
    }
}

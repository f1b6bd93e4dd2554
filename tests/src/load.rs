//! Steady load on a FastCGI address, for tests that do something to the server meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fcgi::{Answer, Call, Conn};
use crate::net::Address;
use crate::times::Times;
use crate::wait::eventually;

/// Clients that each send one request after the other.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
    broken: AtomicUsize,
    failures: Mutex<Vec<String>>,
    times: Mutex<Times>,
}

/// What became of all requests of a [`Load`].
#[derive(Debug)]
pub struct Outcome {
    /// Requests with the expected answer.
    pub answered: usize,
    /// Requests whose connection was closed or reset before the end of an answer.
    pub broken: usize,
    /// What must not happen at all: connections refused, wrong answers.
    pub failures: Vec<String>,
    /// How long those with the expected answer took, a connection included where one was made.
    pub times: Times,
}

impl Load {
    /// Starts `clients` clients that connect for each request; `right` tells whether an answer is as it should be.
    pub fn start(clients: usize, address: &Address, call: &Call, right: fn(&Answer) -> bool) -> Self {
        Self::start_with(clients, address, call, right, false, Duration::ZERO)
    }

    /// As [`Load::start`], but each client begins a request once in `every`, if it is done with the one before.
    pub fn start_every(
        every: Duration,
        clients: usize,
        address: &Address,
        call: &Call,
        right: fn(&Answer) -> bool,
    ) -> Self {
        Self::start_with(clients, address, call, right, false, every)
    }

    /// As [`Load::start`], but each client keeps its connection, if the server does.
    pub fn start_kept(clients: usize, address: &Address, call: &Call, right: fn(&Answer) -> bool) -> Self {
        Self::start_with(clients, address, call, right, true, Duration::ZERO)
    }

    fn start_with(
        clients: usize,
        address: &Address,
        call: &Call,
        right: fn(&Answer) -> bool,
        keep: bool,
        every: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            failures: Mutex::default(),
            times: Mutex::default(),
        });
        let client = |_| {
            let (shared, address, call) = (shared.clone(), address.clone(), call.clone());
            std::thread::spawn(move || shared.run(&address, &call, right, keep, every))
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Requests with the expected answer so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until `more` further requests have their answers.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let goal = self.answered() + more;
        eventually(&format!("{more} more answers"), || self.answered() >= goal);
    }

    /// Stops the clients.
    pub fn end(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("a client"));
        Outcome {
            answered: self.shared.answered.load(Ordering::Relaxed),
            broken: self.shared.broken.load(Ordering::Relaxed),
            failures: std::mem::take(&mut *self.shared.failures.lock().expect("the failures")),
            times: std::mem::take(&mut *self.shared.times.lock().expect("the times")),
        }
    }
}

impl Shared {
    fn run(&self, address: &Address, call: &Call, right: fn(&Answer) -> bool, keep: bool, every: Duration) {
        let mut kept = None;
        let mut times = Times::default();
        let mut next = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            let began = Instant::now();
            next = (next + every).max(began);
            let mut conn = match kept.take().map_or_else(|| address.connect(), Ok) {
                Ok(stream) => Conn { stream },
                Err(e) => {
                    self.fail(format!("connect: {e}"));
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            match std::io::Write::write_all(&mut conn.stream, &call.encode(1)).and_then(|()| conn.read_answer(1)) {
                Ok(answer) if right(&answer) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    times.push(began.elapsed());
                    kept = keep.then_some(conn.stream);
                }
                Ok(answer) => self.fail(format!("{:?}", String::from_utf8_lossy(&answer.stdout))),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.fail(format!("no answer: {e}")),
                Err(_) => drop(self.broken.fetch_add(1, Ordering::Relaxed)),
            }
        }
        self.times.lock().expect("the times").merge(times);
    }

    fn fail(&self, what: String) {
        self.failures.lock().expect("the failures").push(what);
    }
}

//! Models of what the threads of a pool do to each other: loom runs each with every order in which the threads may come, up
//! to [`PREEMPTIONS`] times that one is broken off in the middle. By `scripts/sanitize --models`, not with the other tests.
//!
//! Dispatcher, slots, requests and the opcache gate are the real ones, sockets as well. PHP is a closure.

mod dispatch;
mod kill;
mod opcache;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ftm_fastcgi::{Limits, Params, Role};
use loom::thread::{self, JoinHandle};

use super::dispatch::Dispatcher;
use super::figures::Figures;
use super::pages::PageNames;
use super::slot::Slot;
use crate::server::{ConnectionSettings, Gate, Lobby, Request, Wire, WireLimits};

/// More find nothing that fewer would not, as a rule, and take ten times as long each.
const PREEMPTIONS: usize = 2;

const LIMITS: WireLimits = WireLimits { pending: 1 << 20, stalled: Duration::from_secs(60) };

/// Runs `model` in all orders.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(PREEMPTIONS));
    builder.check(model);
}

/// A pool of `threads` PHP threads in as many slots, and slots for `more`.
fn pool(threads: usize, more: usize) -> Arc<Dispatcher> {
    pool_for(threads, more, threads)
}

/// The same, where so many of the threads are enough.
fn pool_for(threads: usize, more: usize, enough: usize) -> Arc<Dispatcher> {
    static FIGURES: LazyLock<Figures> = LazyLock::new(|| Figures::map(1, 0).expect("memory"));
    let slots = (0..threads + more).map(|index| Arc::new(Slot::new(index))).collect();
    let dispatcher = Dispatcher::new(slots, 8, FIGURES.of(0, 0), false, enough, lobby());
    (0..threads).for_each(|index| assert_eq!(dispatcher.take_slot(), Some(index)));
    Arc::new(dispatcher)
}

/// A lobby to which nobody comes: threads wait there for the bell.
fn lobby() -> Lobby {
    let settings = ConnectionSettings {
        limits: Limits::new(1, 1),
        wire: LIMITS,
        body_buffer: 0,
        body_deadline: None,
        body_min_rate: 0,
    };
    let socket = UnixStream::pair().expect("sockets").0;
    let gate = Arc::new(Gate::new(None));
    Lobby::new(Arc::new(socket.into()), gate, settings, PageNames::default()).expect("a lobby").0
}

/// The client of a request.
struct Client(UnixStream);

/// A request that has just come, without parameters and with a body of `length` bytes to come.
fn request_with_body(length: u64) -> (Arc<Request>, Client) {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    ours.set_nonblocking(true).expect("a socket's flag");
    theirs.set_nonblocking(true).expect("a socket's flag");
    let wire = Wire::new(ours.into(), LIMITS);
    wire.begin();
    let mut params = Params::new();
    params.set(b"CONTENT_LENGTH", length.to_string().as_bytes());
    let request = Request::new(1, Role::Responder, true, Arc::new(wire), params, Instant::now());
    (Arc::new(request), Client(theirs))
}

fn request() -> (Arc<Request>, Client) {
    request_with_body(0)
}

impl Client {
    /// The response, which must have one end, and nothing behind it.
    fn response(mut self) -> Vec<u8> {
        const STDOUT: u8 = 6;
        const END_REQUEST: u8 = 3;
        let (mut bytes, mut content, mut ends) = (Vec::new(), Vec::new(), 0);
        // It ends with an error: there is nothing more for now.
        let _ = self.0.read_to_end(&mut bytes);
        let mut rest = &bytes[..];
        while let Some((header, after)) = rest.split_first_chunk::<8>() {
            assert_eq!(ends, 0, "a record behind the end: {bytes:?}");
            let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
            ends += usize::from(header[1] == END_REQUEST);
            if header[1] == STDOUT {
                content.extend_from_slice(&after[..len]);
            }
            rest = &after[len + usize::from(header[6])..];
        }
        assert_eq!(ends, 1, "{bytes:?}");
        content
    }
}

/// The engine's interrupt flag of a thread, whose memory is freed when the thread leaves.
struct Flag(AtomicU8);

impl Flag {
    const FREED: u8 = 0xEE;

    fn take(&self) -> bool {
        self.0.swap(0, Ordering::SeqCst) != 0
    }
}

/// A PHP thread, as `ftm_thread_main()` and what it calls lead it. `script` runs each request.
fn php_thread(pool: &Arc<Dispatcher>, index: usize, script: impl Fn(&Arc<Request>, &Flag) + 'static) -> JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || {
        let slot = &pool.slots()[index];
        let flag = Flag(AtomicU8::new(0));
        slot.booted(flag.0.as_ptr().cast(), ptr::null());
        let mut first = true;
        while let Some(request) = pool.next(slot, std::mem::take(&mut first), &mut Vec::new()) {
            slot.set_running(Some(request.clone()));
            flag.take(); // as PHP does when a request starts
            script(&request, &flag);
            request.finish(b"answer", &[], 0);
            slot.set_running(None);
        }
        slot.leaving();
        flag.0.store(Flag::FREED, Ordering::SeqCst);
        thread::yield_now();
        assert_eq!(flag.0.load(Ordering::SeqCst), Flag::FREED, "interrupted after it has left");
    })
}

//! Where connections wait for PHP threads, and idle PHP threads for connections.
//!
//! ```text
//!  a new connection ─┐                      ┌─> an idle PHP thread: accepts, reads, runs, answers, gives it back or closes
//!  a kept one        ├─ readable ──> epoll ─┤
//!  work in the queue ┘  (the bell)          └─> the main thread, while all PHP threads are busy: accepts, reads, queues
//!
//!  not one whole request, a page, a client who reads slowly, a request that takes long ──> the main thread
//! ```
//!
//! The kernel wakes the thread that has waited for the shortest time (hot caches), and the main thread sleeps through all of
//! it. Everything is watched edge-triggered: one event wakes one thread, which sees to all that the event may stand for.

mod attention;
mod bell;
mod bench;
mod handed;
mod places;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::sync::{Notify, mpsc};

use self::attention::Attention;
use self::bell::Bell;
pub use self::bench::Bench;
pub use self::handed::{ForMain, Handed, Visit};
use self::places::{BELL, LISTENER, Places};
use super::connections::ConnectionSettings;
use super::direct::{Direct, Found};
use super::listener::Gate;
use super::open::OpenConnections;
use super::request::Request;
use super::wire::Wire;
use crate::pool::PageNames;

/// The most connections that a PHP thread accepts at once: one for itself, the others for those that are woken next.
const BATCH: usize = 256;

/// The most events that the main thread takes at once.
const EVENTS: usize = 64;

/// Why a thread has been woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is work in the queue, or it is to look at its own state.
    Bell,
    /// Somebody has connected.
    Listener,
    /// The connection of this number can be read. `ended`: its client sends no more, which no further event tells.
    Place { number: u64, ended: bool },
}

/// The lobby of a pool.
pub struct Lobby {
    epoll: Epoll,
    bell: Bell,
    bench: Bench,
    /// Until the pool accepts nobody any more.
    listener: RwLock<Option<Arc<OwnedFd>>>,
    gate: Arc<Gate>,
    settings: ConnectionSettings,
    names: PageNames,
    places: Mutex<Places>,
    open: Arc<OpenConnections>,
    /// Somebody may still be there to be accepted who was told of and left alone.
    owed: Notify,
    to_main: mpsc::UnboundedSender<ForMain>,
    /// No PHP thread waits here.
    pub deserted: Attention,
    /// Requests run on connections that nobody watches.
    pub unwatched: Attention,
}

impl Lobby {
    /// The lobby behind `listener`, a non-blocking socket. What it returns with it comes for the main thread.
    ///
    /// # Errors
    ///
    /// The system is out of descriptors.
    pub fn new(
        listener: Arc<OwnedFd>,
        gate: Arc<Gate>,
        settings: ConnectionSettings,
        names: PageNames,
    ) -> io::Result<(Lobby, mpsc::UnboundedReceiver<ForMain>)> {
        let (to_main, for_main) = mpsc::unbounded_channel();
        let lobby = Lobby {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            bell: Bell::new()?,
            bench: Bench::new()?,
            listener: RwLock::new(Some(listener)),
            gate,
            settings,
            names,
            places: Mutex::default(),
            open: Arc::default(),
            owed: Notify::new(),
            to_main,
            deserted: Attention::default(),
            unwatched: Attention::default(),
        };
        #[cfg(not(ftm_loom))]
        lobby.epoll.add(&lobby.bell, watched(BELL))?;
        Ok((lobby, for_main))
    }

    fn listener(&self) -> RwLockReadGuard<'_, Option<Arc<OwnedFd>>> {
        self.listener.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where threads wait that are not needed here.
    pub fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Connections that are open.
    pub fn open(&self) -> &Arc<OpenConnections> {
        &self.open
    }

    /// Wakes one of the idle threads.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Waits for something to do, and calls `idle` when there was nothing for `patience`. A signal counts as the bell. Only for
    /// PHP threads.
    #[cfg(not(ftm_loom))]
    pub fn wait(&self, patience: Duration, idle: impl FnOnce()) -> Event {
        wait(&self.epoll, patience, idle).map_or(Event::Bell, |found| event(&found))
    }

    /// In a model there is nothing but the bell, and no time passes.
    #[cfg(ftm_loom)]
    pub fn wait(&self, _: Duration, _: impl FnOnce()) -> Event {
        self.bell.wait();
        Event::Bell
    }

    /// What there is to do, without waiting. For the main thread.
    pub fn events(&self) -> Vec<Event> {
        let mut events = [EpollEvent::empty(); EVENTS];
        let n = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events[..n].iter().map(event).collect()
    }

    /// Whether there is something to do.
    pub fn any_events(&self) -> bool {
        is_readable(self.sight())
    }

    /// On how many connections here a client has sent something.
    pub fn asking(&self) -> usize {
        let wires: Vec<_> = self.places().waiting().map(|direct| direct.wire.clone()).collect();
        let mut fds: Vec<_> = wires.iter().map(|wire| PollFd::new(wire.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::ZERO).map_or(0, |ready| usize::try_from(ready).unwrap_or(0))
    }

    /// Readable while there is something to do.
    pub fn sight(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// Reads the request that an event may stand for, with `input` for a buffer. Never waits. For PHP threads.
    pub fn receive(&self, event: Event, input: &mut Vec<u8>) -> Option<(Arc<Request>, Direct)> {
        let mut direct = self.come(event)?;
        match direct.read(input, &self.settings, &self.names) {
            Found::Request(request) => return Some((request, direct)),
            Found::Nothing => self.keep(direct),
            Found::End => self.let_go(direct),
            Found::Other => self.hand(Handed { direct, bytes: input.split_off(0), request: None }),
        }
        None
    }

    /// Leaves what an event stands for to the main thread.
    pub fn pass_on(&self, event: Event) {
        if let Some(direct) = self.come(event) {
            self.hand(direct.into());
        }
    }

    /// The connection that an event stands for. The further ones that it may stand for are for others.
    fn come(&self, event: Event) -> Option<Direct> {
        match event {
            Event::Bell => None,
            Event::Place { number, ended } => self.places().take(number, ended),
            Event::Listener => {
                let first = self.accept()?;
                for _ in 1..BATCH {
                    // accept4() makes a socket before it finds nobody, which takes much longer than this.
                    if !self.anybody_connects() {
                        return Some(first);
                    }
                    match self.accept() {
                        Some(further) => self.keep(further),
                        None => return Some(first),
                    }
                }
                self.look_again();
                Some(first)
            }
        }
    }

    /// Takes the connection of this number away from here.
    pub fn take(&self, number: u64) -> Option<Direct> {
        let mut direct = self.places().take(number, false)?;
        self.leave(&mut direct);
        Some(direct)
    }

    /// From now on, whoever connects is let in.
    ///
    /// # Errors
    ///
    /// The system is out of memory.
    pub fn open_up(&self) -> io::Result<()> {
        let listener = self.listener();
        Ok(listener.iter().try_for_each(|listener| self.epoll.add(&**listener, watched(LISTENER)))?)
    }

    /// Accepts one connection, if there is one and it may be.
    pub fn accept(&self) -> Option<Direct> {
        let listener = self.listener();
        let listener = listener.as_ref()?;
        if self.open.count() < self.gate.most() {
            match self.gate.accept(listener, self.settings.wire) {
                Ok(wire) => return Some(Direct::new(wire, &self.settings, self.open.enter())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) => self.gate.complain(&e),
            }
        }
        self.owed.notify_one();
        None
    }

    fn anybody_connects(&self) -> bool {
        self.listener().as_ref().is_some_and(|listener| is_readable(listener.as_fd()))
    }

    /// A connection that the former process has accepted.
    pub fn take_over(&self, socket: OwnedFd) {
        if let Some(wire) = self.gate.admit(socket, self.settings.wire) {
            self.keep(Direct::new(wire, &self.settings, self.open.enter()));
        }
    }

    /// Waits until accepting has failed since the last time.
    pub async fn owes(&self) {
        self.owed.notified().await;
    }

    /// There may be somebody to be accepted of whom there will be no further event.
    pub fn look_again(&self) {
        if let Some(listener) = &*self.listener() {
            let _ = self.epoll.modify(&**listener, &mut watched(LISTENER));
        }
    }

    /// The connection waits here for its next request.
    pub fn keep(&self, direct: Direct) {
        let mut places = self.places();
        if places.closed {
            drop(places);
            return self.hand(direct.into());
        }
        let wire = direct.wire.clone();
        match direct.place {
            Some(number) => {
                // Under the lock: it must not be elsewhere, with another number, when it is told again of this one.
                if places.put_back(number, direct) {
                    let _ = self.epoll.modify(&*wire, &mut watched(number));
                }
            }
            None => {
                let number = places.add(direct);
                drop(places); // whoever is woken by epoll may run at once, and wants it
                let watches = self.epoll.add(&*wire, watched(number)).is_ok();
                let mut places = self.places();
                if !watches && let Some(mut direct) = places.take(number, false) {
                    places.remove(number);
                    drop(places);
                    direct.place = None;
                    self.hand(direct.into());
                } else if watches && places.closed {
                    drop(places);
                    let _ = self.epoll.delete(&*wire); // it may have been taken away meanwhile
                }
            }
        }
    }

    /// A request is about to end whose connection stays: it waits here for the next one already, which may come before its
    /// thread gets any further. Otherwise it is given back for [`Lobby::end`].
    pub fn keep_early(&self, visit: Visit) -> Option<Direct> {
        let Visit { mut direct, request } = visit;
        direct.decoder.finish(request.id());
        if !request.keep_conn() || !direct.wire.stays_open() {
            return Some(direct);
        }
        self.keep(direct);
        None
    }

    /// The last request of the connection has ended.
    pub fn end(&self, direct: Direct) {
        if direct.wire.is_over() { self.let_go(direct) } else { self.hand(direct.into()) }
    }

    /// The response that has ended on this connection, which is in other hands, may wait for its reader.
    pub fn drain(&self, wire: Arc<Wire>) {
        if wire.any_pending() {
            let _ = self.to_main.send(ForMain::Response(wire));
        }
    }

    /// It has no place here any more.
    fn leave(&self, direct: &mut Direct) {
        if let Some(number) = direct.place.take() {
            let _ = self.epoll.delete(&*direct.wire);
            self.places().remove(number);
        }
    }

    /// The connection is closed, by which epoll forgets it. An event that is on its way finds nobody.
    fn let_go(&self, mut direct: Direct) {
        if let Some(number) = direct.place.take() {
            self.places().remove(number);
        }
    }

    /// Gives the connection to the main thread.
    pub fn hand(&self, mut handed: Handed) {
        self.leave(&mut handed.direct);
        // The receiver is gone only when the process leaves.
        let _ = self.to_main.send(ForMain::Connection(handed));
    }

    /// Nobody is accepted from now on.
    pub fn stop_accepting(&self) {
        let listener = self.listener.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            let _ = self.epoll.delete(&*listener);
        }
    }

    /// Those who wait here are the main thread's from now on, and those who will. With `rest`, who has connected by now is
    /// accepted: at a stop, they would be refused.
    pub fn close(&self, rest: bool) {
        while rest && let Some(direct) = self.accept() {
            self.hand(direct.into());
        }
        self.stop_accepting();
        let mut places = self.places();
        let waiting: Vec<_> = places.close().into_iter().filter_map(|number| places.take(number, false)).collect();
        drop(places);
        waiting.into_iter().for_each(|direct| self.hand(direct.into()));
    }
}

/// Whether it can be read; also where a signal kept that from being told.
fn is_readable(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0)
}

/// Waits for one event, and calls `idle` when there was none for `patience`. `None`: a signal came.
#[cfg(not(ftm_loom))]
fn wait(epoll: &Epoll, patience: Duration, idle: impl FnOnce()) -> Option<EpollEvent> {
    let mut events = [EpollEvent::empty()];
    let mut found = epoll.wait(&mut events, EpollTimeout::try_from(patience).unwrap_or(EpollTimeout::NONE));
    if found == Ok(0) {
        idle();
        // An idle thread holds nothing up: it needs no deadline.
        found = epoll.wait(&mut events, EpollTimeout::NONE);
    }
    matches!(found, Ok(1..)).then_some(events[0])
}

fn watched(number: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET, number)
}

fn event(event: &EpollEvent) -> Event {
    match event.data() {
        BELL => Event::Bell,
        LISTENER => Event::Listener,
        number => Event::Place { number, ended: event.events().contains(EpollFlags::EPOLLRDHUP) },
    }
}

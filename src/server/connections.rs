//! What the connections of a pool have in common.

use std::cell::{Ref, RefCell, RefMut};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ftm_fastcgi::Limits;
use tokio::sync::{mpsc, watch as signal};

use super::connection::{Connection, Leave};
use super::direct::Direct;
use super::lobby::Handed;
use super::request::Request;
use super::wire::{Wire, WireLimits};
use super::{BodyEnd, OpenConnections};
use crate::observe::log;
use crate::pool::{Dispatcher, Pages};

/// Bytes read from a socket at once.
pub const READ_BUFFER: usize = 64 * 1024;

/// What all connections of a pool have in common.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// Limits of the codec.
    pub limits: Limits,
    /// Limits of the write side.
    pub wire: WireLimits,
    /// `request_body_buffer`: body bytes that are read before dispatch.
    pub body_buffer: usize,
    /// `max_input_time`: how long a body may take; `None`: as long as it likes.
    pub body_deadline: Option<Duration>,
    /// `request_body_min_rate`: bytes that extend that deadline by a second each; 0: it is not extended.
    pub body_min_rate: u64,
}

/// What connections share: settings, the dispatcher, and the one read buffer.
pub struct Connections {
    settings: ConnectionSettings,
    dispatcher: Arc<Dispatcher>,
    buffer: RefCell<Box<[u8]>>,
    pages: Pages,
    stop: signal::Receiver<bool>,
    open: Arc<OpenConnections>,
    /// Where idle connections go when the pool finishes; `None`: they are closed.
    successor: RefCell<Option<mpsc::UnboundedSender<OwnedFd>>>,
}

impl Connections {
    /// `stop` turns true when the pool is to finish: idle connections close then, others after their requests.
    pub fn new(
        settings: ConnectionSettings,
        dispatcher: Arc<Dispatcher>,
        pages: Pages,
        stop: signal::Receiver<bool>,
        open: Arc<OpenConnections>,
    ) -> Rc<Connections> {
        let buffer = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
        let successor = RefCell::new(None);
        Rc::new(Connections { settings, dispatcher, buffer, pages, stop, open, successor })
    }

    /// What is answered without a PHP thread.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Those that are open.
    pub fn open(&self) -> &OpenConnections {
        &self.open
    }

    /// From now on, idle connections are handed over when the pool finishes. `None`: no more.
    pub fn set_successor(&self, successor: Option<mpsc::UnboundedSender<OwnedFd>>) {
        *self.successor.borrow_mut() = successor;
    }

    /// Serves a connection that was just accepted.
    pub fn serve_accepted(self: &Rc<Self>, wire: Wire) {
        self.serve(Direct::new(wire, &self.settings, self.open.enter()).into());
    }

    /// Serves a connection until it ends, or waits for PHP threads again.
    pub fn serve(self: &Rc<Self>, handed: Handed) {
        let mut connection = Connection::new(handed, self.clone());
        let dispatcher = self.dispatcher.clone();
        drop(tokio::task::spawn_local(async move {
            match connection.run().await {
                Ok(Leave::HandedOver) => {}
                Ok(Leave::ForThreads) => dispatcher.lobby().keep(connection.into_direct()),
                Ok(Leave::Closed) => connection.hang_up(),
                Err(e) => {
                    log::warning!("connection closed: {e}");
                    connection.hang_up();
                }
            }
        }));
    }

    /// Whether some PHP thread would take the next request of a connection itself.
    pub fn any_thread_ready(&self) -> bool {
        self.pages.of_pool() && self.dispatcher.anybody_ready()
    }

    /// The settings.
    pub fn settings(&self) -> &ConnectionSettings {
        &self.settings
    }

    /// Where requests go.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// The read buffer, for one turn.
    pub fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }

    /// True from when the pool is to finish.
    pub fn stop(&self) -> signal::Receiver<bool> {
        self.stop.clone()
    }

    /// See [`Connections::set_successor`].
    pub fn successor(&self) -> Ref<'_, Option<mpsc::UnboundedSender<OwnedFd>>> {
        self.successor.borrow()
    }

    /// The client of the request is gone, and with it the rest of its body.
    pub fn abort(&self, request: &Arc<Request>) {
        request.body().end(BodyEnd::Gone);
        self.dispatcher.abort(request);
    }
}

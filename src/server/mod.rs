//! The web server's side of a pool process: listening sockets, connections, requests and their bodies.
//!
//! A request that comes in one piece, on a connection that does nothing else, never passes the main thread: a PHP thread reads
//! it in the [`Lobby`], answers it, and leaves the connection there. All else runs on the main thread ([`Connections`]), but
//! for what [`Wire`] and [`Request`] offer to PHP threads: a PHP thread writes its response to the socket itself, and reads a
//! large body from it.

mod allowed;
mod body;
mod connection;
mod connections;
mod direct;
mod drain;
mod entry;
mod handover;
mod listener;
mod lobby;
mod open;
pub mod passing;
mod reader;
mod request;
mod watch;
mod wire;

pub use allowed::AllowedClients;
pub use body::{Body, BodyEnd};
pub use connections::{ConnectionSettings, Connections};
pub use drain::drain;
pub use handover::{give, take};
pub use listener::{EXHAUSTED_PAUSE, Gate, accept_loop, accept_rest};
pub use lobby::{Bench, Event, ForMain, Lobby, Visit};
pub use open::OpenConnections;
pub use request::{Gone, Kill, Request};
pub use watch::watch;
pub use wire::{Wire, WireLimits};

//! What goes from hand to hand.

use std::sync::Arc;

use super::super::direct::Direct;
use super::super::request::Request;
use super::super::wire::Wire;

/// A request whose connection the thread that runs it has for itself, for as long as nobody takes it away.
pub struct Visit {
    /// The connection.
    pub direct: Direct,
    /// The request.
    pub request: Arc<Request>,
}

/// A connection for the main thread.
pub struct Handed {
    /// The connection.
    pub direct: Direct,
    /// What was read from it and belongs to nothing yet.
    pub bytes: Vec<u8>,
    /// The request that a PHP thread runs on it.
    pub request: Option<Arc<Request>>,
}

impl From<Direct> for Handed {
    fn from(direct: Direct) -> Handed {
        Handed { direct, bytes: Vec::new(), request: None }
    }
}

impl From<Visit> for Handed {
    fn from(visit: Visit) -> Handed {
        Handed { direct: visit.direct, bytes: Vec::new(), request: Some(visit.request) }
    }
}

/// What PHP threads leave to the main thread.
pub enum ForMain {
    /// A connection.
    Connection(Handed),
    /// A response whose rest the client has not taken yet, on a connection that is elsewhere.
    Response(Arc<Wire>),
}

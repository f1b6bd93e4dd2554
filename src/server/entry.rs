//! A request of a connection on its way to a PHP thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ftm_fastcgi::Role;

use super::connections::ConnectionSettings;
use super::request::Request;
use crate::pool::Pages;

/// How long PARAMS may take to arrive, counted from BEGIN_REQUEST.
pub const PARAMS_DEADLINE: Duration = Duration::from_secs(60);

/// How far it has come.
pub enum Stage {
    /// PARAMS are arriving.
    Params,
    /// The body is buffered until it is complete or too large for that.
    Buffering(Arc<Request>),
    /// A PHP thread runs it, or it is queued for one.
    Dispatched(Arc<Request>),
}

/// A request under way.
pub struct Entry {
    /// Its id on this connection.
    pub id: u16,
    /// What the web server asks for.
    pub role: Role,
    /// FCGI_KEEP_CONN.
    pub keep_conn: bool,
    /// When it began.
    pub begun: Instant,
    /// How far it has come.
    pub stage: Stage,
}

impl Entry {
    /// That of a request that a PHP thread has.
    pub fn running(request: &Request, stage: Stage) -> Entry {
        Entry { id: request.id(), role: request.role(), keep_conn: request.keep_conn(), begun: request.begun(), stage }
    }

    /// The request, once its parameters are there.
    pub fn request(&self) -> Option<&Arc<Request>> {
        match &self.stage {
            Stage::Params => None,
            Stage::Buffering(request) | Stage::Dispatched(request) => Some(request),
        }
    }

    /// When it is given up for want of what is still to arrive.
    pub fn deadline(&self, settings: &ConnectionSettings) -> Option<Instant> {
        let Some(request) = self.request() else {
            return self.begun.checked_add(PARAMS_DEADLINE);
        };
        if request.body().ended().is_some() || request.finished() {
            return None;
        }
        let extra = request.body().received().checked_div(settings.body_min_rate).unwrap_or(0);
        self.begun.checked_add(settings.body_deadline?)?.checked_add(Duration::from_secs(extra))
    }
}

/// Answers a request that no PHP thread is to run, and logs that.
pub fn refuse(pages: &Pages, request: &Request, status: &str) {
    pages.log(request, &request.take_params(), status, b"");
    request.refuse(status);
}

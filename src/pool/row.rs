//! A row of the scoreboard: what a slot's thread is doing, for the status page and `fpm_get_status()`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a thread is doing. The names shown are PHP-FPM's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Waits for a request.
    #[default]
    Idle,
    /// Runs a script.
    Running,
}

/// What the row shows of a request; kept until the next one.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// REQUEST_METHOD.
    pub method: Vec<u8>,
    /// SCRIPT_NAME.
    pub uri: Vec<u8>,
    /// QUERY_STRING.
    pub query: Vec<u8>,
    /// PHP_AUTH_USER.
    pub user: Vec<u8>,
    /// The script's file.
    pub script: Vec<u8>,
    /// CONTENT_LENGTH, 0 where unknown.
    pub content_length: i64,
}

/// A copy of the row at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The id of the thread (Linux's tid).
    pub thread_id: i64,
    /// What it is doing.
    pub state: State,
    /// Unix time at which the thread was booted.
    pub start_time: i64,
    /// Requests that this thread has begun.
    pub requests: u64,
    /// How long the current request has taken, or the last one took.
    pub duration: Duration,
    /// The current or last request.
    pub shown: Shown,
}

#[derive(Default)]
struct Data {
    view: View,
    began: Option<Instant>,
    present: bool,
}

/// A slot's row. Written by its thread, read by anybody.
#[derive(Default)]
pub struct Row(Mutex<Data>);

impl Row {
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new thread occupies the slot: its own call.
    pub fn booted(&self) {
        let mut data = self.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        data.view = View {
            thread_id: i64::from(nix::unistd::gettid().as_raw()),
            start_time: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            ..View::default()
        };
        data.present = true;
    }

    /// The slot has no thread for now.
    pub fn left(&self) {
        self.lock().present = false;
    }

    /// A request begins; `fill` writes what is to be shown of it into the row's own buffers.
    pub fn begin(&self, began: Instant, fill: impl FnOnce(&mut Shown)) {
        let mut data = self.lock();
        data.view.state = State::Running;
        data.view.requests += 1;
        data.began = Some(began);
        fill(&mut data.view.shown);
    }

    /// The request is over.
    pub fn end(&self) {
        let mut data = self.lock();
        data.view.state = State::Idle;
        data.view.duration = data.began.take().map(|began| began.elapsed()).unwrap_or_default();
    }

    /// The row as it is now; `None` while the slot has no thread.
    pub fn view(&self) -> Option<View> {
        let data = self.lock();
        data.present.then(|| {
            let mut view = data.view.clone();
            if let Some(began) = data.began {
                view.duration = began.elapsed();
            }
            view
        })
    }
}

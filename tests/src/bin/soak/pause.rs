//! Moments in which no request is under way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets the clients pause.
#[derive(Default)]
pub struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    at_work: usize,
    pausing: bool,
    over: bool,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: impl Fn(&State) -> bool) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, |state| !until(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// A client begins something, as soon as it may. False: it is to leave.
    pub fn begin(&self) -> bool {
        let mut state = self.wait(self.lock(), |state| !state.pausing || state.over);
        state.at_work += usize::from(!state.over);
        !state.over
    }

    /// The client has done it.
    pub fn done(&self) {
        self.lock().at_work -= 1;
        self.changed.notify_all();
    }

    /// Whether the client is to come to an end soon.
    pub fn wanted(&self) -> bool {
        let state = self.lock();
        state.pausing || state.over
    }

    /// Calls `look` while no client does anything.
    pub fn quiet(&self, look: impl FnOnce()) {
        let mut state = self.lock();
        state.pausing = true;
        drop(self.wait(state, |state| state.at_work == 0));
        look();
        self.lock().pausing = false;
        self.changed.notify_all();
    }

    /// All clients are to leave.
    pub fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }
}

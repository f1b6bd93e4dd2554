//! What threads that have ended leave to the allocators goes back to the system: 150 KiB of each, as measured after DokuWiki.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::threads::Threads;
use crate::memory;
use crate::php;

/// How often it is looked whether there are fewer threads than before.
const INTERVAL: Duration = Duration::from_secs(5);

/// Gives back what both allocators have in free pages. That may take a while, so it is none of this thread's work.
pub fn give_back() {
    drop(tokio::task::spawn_blocking(|| {
        // SAFETY: takes a plain number.
        unsafe { libc::malloc_trim(0) };
        memory::give_back();
    }));
}

/// Gives back what threads have left, unless others took their places.
pub async fn watch(threads: Rc<Threads>) {
    let mut turn = tokio::time::interval(INTERVAL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = 0;
    loop {
        turn.tick().await;
        let now = threads.count();
        // A thread that has crashed may hold malloc()'s locks.
        if now < mem::replace(&mut before, now) && !php::any_fault() {
            give_back();
        }
    }
}

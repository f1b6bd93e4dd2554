//! Calling the main thread, at no cost while it is awake anyway.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the main thread looks after something, as long as there is something to look after.
///
/// Whoever calls has changed what is looked after under a lock that the main thread takes for its look, which comes after
/// [`Attention::rest`]: so either the look finds the change, or the call finds it asleep.
#[derive(Default)]
pub struct Attention {
    awake: AtomicBool,
    called: Notify,
}

impl Attention {
    /// There is something to look after.
    pub fn call(&self) {
        if !self.awake.load(Ordering::Acquire) && !self.awake.swap(true, Ordering::AcqRel) {
            self.called.notify_one();
        }
    }

    /// Waits until there is.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Looks whether there is still something, after which it may have to be called again. True: there is.
    pub fn rest(&self, any: impl FnOnce() -> bool) -> bool {
        self.awake.store(false, Ordering::Release);
        let any = any();
        if any {
            self.awake.store(true, Ordering::Release);
        }
        any
    }
}

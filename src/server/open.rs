//! How many connections are open: accepting pauses at a limit, and a graceful stop waits for the last of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts connections that are open.
#[derive(Default)]
pub struct OpenConnections {
    count: AtomicUsize,
    fewer: Notify,
}

impl OpenConnections {
    /// One more, until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> OpenConnection {
        self.count.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until fewer than `limit` are open.
    pub async fn wait_below(&self, limit: usize) {
        loop {
            let fewer = self.fewer.notified();
            if self.count() < limit {
                return;
            }
            fewer.await;
        }
    }
}

/// An open connection.
pub struct OpenConnection(Arc<OpenConnections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Release);
        self.0.fewer.notify_waiters();
    }
}

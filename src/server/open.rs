//! How many connections are open: accepting pauses at a limit, and a graceful stop waits for the last of them.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Counts connections that are open.
#[derive(Default)]
pub struct OpenConnections {
    count: Cell<usize>,
    fewer: Notify,
}

impl OpenConnections {
    /// One more, until the guard is dropped.
    pub fn enter(self: &Rc<Self>) -> OpenConnection {
        self.count.set(self.count.get() + 1);
        OpenConnection(self.clone())
    }

    /// Whether one is open.
    pub fn any(&self) -> bool {
        self.count.get() > 0
    }

    /// Waits until fewer than `limit` are open.
    pub async fn wait_below(&self, limit: usize) {
        while self.count.get() >= limit {
            self.fewer.notified().await;
        }
    }
}

/// An open connection.
pub struct OpenConnection(Rc<OpenConnections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.fewer.notify_one();
    }
}

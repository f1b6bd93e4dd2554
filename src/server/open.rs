//! How many connections are open: a graceful stop waits for the last of them.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Counts connections that are open.
#[derive(Default)]
pub struct OpenConnections {
    count: Cell<usize>,
    none: Notify,
}

impl OpenConnections {
    /// One more, until the guard is dropped.
    pub fn enter(self: &Rc<Self>) -> OpenConnection {
        self.count.set(self.count.get() + 1);
        OpenConnection(self.clone())
    }

    /// Waits until none is left.
    pub async fn all_closed(&self) {
        while self.count.get() > 0 {
            self.none.notified().await;
        }
    }
}

/// An open connection.
pub struct OpenConnection(Rc<OpenConnections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.none.notify_one();
        }
    }
}

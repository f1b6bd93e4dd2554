//! What threads share: the standard library's, or loom's (`--cfg ftm_loom`), which tries every order in which threads may
//! come. See `src/pool/models/`.
//!
//! tokio's `Notify` is one step in a model, and what is locked for a stretch without any of these, such as a row of the
//! scoreboard, needs no place here.

#[cfg(ftm_loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(ftm_loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(not(ftm_loom))]
pub use tokio::time::timeout;

/// In a model no time passes.
#[cfg(ftm_loom)]
pub async fn timeout<T>(_: std::time::Duration, what: impl Future<Output = T>) -> Result<T, std::convert::Infallible> {
    Ok(what.await)
}

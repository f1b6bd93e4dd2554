//! Registering descriptors with the event loop.

use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor that `io` keeps open, and keeps being the same, for as long as it lives. [`AsFd`] promises that of
/// the types that own or borrow a descriptor.
///
/// # Errors
///
/// The descriptor cannot be watched.
pub fn watch<T: AsFd + std::os::fd::AsRawFd>(io: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: types with AsFd keep their descriptor open and unchanged while they live (I/O safety), and AsyncFd owns `io`.
    unsafe { AsyncFd::register_with_interest(io, interest) }.map_err(io::Error::from)
}

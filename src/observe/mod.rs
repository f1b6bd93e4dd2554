//! What can be seen of the server from outside.

pub mod log;
pub mod status;

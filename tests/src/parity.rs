//! A list of requests sent to php-fpm and to the server under test, of one configuration each, and all that a user can
//! see compared: answers, the access log, the error log.
//!
//! The two servers of a configuration are started once. Between two requests a script that leaves a mark in the logs
//! runs, so that each line belongs to a request.

mod case;
mod normal;
mod run;

pub use case::{Case, Cases, Sent};
pub use run::{Comparison, Difference, Logs};

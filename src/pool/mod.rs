//! A pool process: PHP, its threads, and the main thread that feeds them.
//!
//! ```text
//!  forked by the master ── PHP's MINIT ── confined, privileges dropped ── threads booted ── ready ── serving
//!     ── QUIT, or the master is gone ── no more connections ── requests finish ── threads leave ── MSHUTDOWN ── exit
//! ```

mod apparmor;
mod attend;
mod backlog;
mod ceilings;
mod confinement;
pub mod control;
mod crash;
mod dispatch;
mod environment;
pub mod figures;
mod files;
mod leftovers;
pub mod limits;
mod main_thread;
#[cfg(all(test, ftm_loom))]
mod models;
mod opcache;
mod pages;
mod privileges;
mod process;
mod row;
mod sizing;
mod slot;
mod status;
mod stuck;
mod threads;
mod waits;
mod watchdog;
mod worker_output;

pub use backlog::Backlog;
pub use dispatch::Dispatcher;
pub use files::PoolFiles;
pub use opcache::Opcache;
pub use pages::{PageNames, Pages};
pub use privileges::{Identity, find_group, find_user};
pub use process::{PoolStart, engine_settings, run};
#[cfg(test)]
pub use row::State;
pub use row::{Cpu, Row, Shown, View};
pub use slot::Slot;
pub use status::{PoolInfo, own_figure, status, status_slot};
pub use waits::Waits;
pub use worker_output::{About, END_OF_REQUEST, WorkerOutput};

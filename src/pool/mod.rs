//! A pool process: PHP, its threads, and the main thread that feeds them.
//!
//! ```text
//!  forked by the master ── PHP's MINIT ── confined, privileges dropped ── threads booted ── ready ── serving
//!     ── QUIT, or the master is gone ── no more connections ── requests finish ── threads leave ── MSHUTDOWN ── exit
//! ```

mod confinement;
mod dispatch;
mod environment;
pub mod limits;
mod privileges;
mod process;
mod row;
mod slot;
mod status;

pub use dispatch::Dispatcher;
pub use privileges::{Identity, find_group, find_user};
pub use process::{PoolStart, run};
pub use row::{Row, Shown};
pub use slot::Slot;
pub use status::{PoolInfo, status, status_slot};

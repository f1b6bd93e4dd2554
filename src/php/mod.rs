//! The safe face of the shim (`shim/`), in three layers: [`ffi`] is what bindgen made of `shim/ftm.h`; `callbacks` holds
//! the functions that C calls; the rest owns the raw pointers and hands out safe types.

mod callbacks;
mod engine;
pub mod ffi;
mod floats;
mod known_files;
mod logged;
mod request;
mod script_path;
mod thread;
mod unsafe_extensions;

pub use engine::{Engine, EngineSettings};
pub use script_path::{PathSettings, request_uri};
pub use thread::{IDLE_LONG, PhpPool, ThreadEnd, any_fault, give_back_memory, spawn};
pub use unsafe_extensions::unsafe_extensions;

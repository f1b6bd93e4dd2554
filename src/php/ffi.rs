//! What bindgen made of `shim/ftm.h`. Each item is documented there.

// The names are C's, not every enum value has a user in Rust, and the documentation lives in the header.
#![allow(non_camel_case_types, non_upper_case_globals, dead_code, missing_docs)]

include!(concat!(env!("OUT_DIR"), "/ftm.rs"));

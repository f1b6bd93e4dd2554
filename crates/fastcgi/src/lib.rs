//! The application side of FastCGI 1.0 as a codec without I/O: bytes in, events out.
//!
//! ```text
//!  bytes from the web server ──► Decoder::decode ──► Event::{Begin, Params, Stdin, …}
//!  bytes to the web server  ◄── record_header, end_request, Event::Reply
//! ```
//!
//! The [`Decoder`] holds the state of one connection and accepts its bytes in whatever pieces they arrive; the events
//! do not depend on the pieces (only STDIN data is handed out as it comes). It opens no socket, starts no clock, and
//! nothing a peer sends makes it panic. Incomplete input is never an error: whoever owns the connection decides how
//! long to wait and what an end of file means ([`Decoder::is_idle`] tells a clean one from a cut one).
//!
//! Section numbers in this crate are those of the FastCGI Specification 1.0 (Mark R. Brown, 29 April 1996).
//! Where the specification is silent the codec does what php-fpm (`main/fastcgi.c`) does, and says so; where php-fpm
//! falls short of the specification (multiplexing, ABORT_REQUEST, pairs that straddle records, UNKNOWN_ROLE) the
//! codec follows the specification.
#![forbid(unsafe_code)]

mod decoder;
mod error;
mod event;
mod index;
mod pairs;
mod params;
mod record;

pub use decoder::{DEFAULT_PARAMS_LIMIT, DEFAULT_REQUESTS_LIMIT, Decoder, Limits, MAX_PARAMS_LIMIT};
pub use error::Error;
pub use event::Event;
pub use params::{Pair, Params, Span};
pub use record::{HEADER_LEN, Kind, MAX_CONTENT, ProtocolStatus, Role, VERSION, end_request, padding, record_header};

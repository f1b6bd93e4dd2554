//! What the decoder tells the server.

use crate::{Params, Role};

/// What has happened on the connection. `'a` is the lifetime of the input.
///
/// A request's events come in this order: `Begin`, then `Params`, then any number of `Stdin`, then `StdinEnd`. `Abort`
/// may come at any point after `Begin`, `ParamsTooLarge` instead of `Params`; each of these two is the request's last.
/// Events of different requests interleave as the peer multiplexes them.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// BEGIN_REQUEST was accepted (§5.1). The request counts as active until [`crate::Decoder::finish`].
    Begin {
        /// The request's id, never 0.
        id: u16,
        /// What is asked for; php-fpm serves all roles alike.
        role: Role,
        /// FCGI_KEEP_CONN: whether the connection stays open once the request is answered.
        keep_conn: bool,
    },
    /// All parameters are here: the PARAMS stream has ended (§5.2), or STDIN has begun, which php-fpm takes as its end.
    Params {
        /// The request.
        id: u16,
        /// Its parameters.
        params: Params,
    },
    /// The parameters exceed [`crate::Limits::params`]. Other requests of the connection are unaffected. The server
    /// answers this one and calls [`crate::Decoder::finish`]; what the peer still sends for it is skipped.
    ParamsTooLarge {
        /// The request.
        id: u16,
    },
    /// A piece of the request body (§5.3), a part of the input itself; never empty.
    Stdin {
        /// The request.
        id: u16,
        /// The bytes.
        data: &'a [u8],
    },
    /// The request body is complete.
    StdinEnd {
        /// The request.
        id: u16,
    },
    /// The web server gives the request up (§5.4), told once. The server still owes an END_REQUEST and a
    /// [`crate::Decoder::finish`]; what the peer still sends for it is skipped.
    Abort {
        /// The request.
        id: u16,
    },
    /// Records to send to the peer: GET_VALUES_RESULT (§4.1), UNKNOWN_TYPE (§4.2), or END_REQUEST with UNKNOWN_ROLE or
    /// OVERLOADED (§5.5) for a request that was refused and never became active. Whole records of at most 80 bytes,
    /// one per record read: a peer that sends such records without reading the answers must be held back by not
    /// reading from it.
    Reply {
        /// The bytes to send.
        bytes: Vec<u8>,
        /// A request was refused that did not carry FCGI_KEEP_CONN: the connection is to be closed after this reply,
        /// or, while other requests are active on it, after the last of theirs.
        close: bool,
    },
}

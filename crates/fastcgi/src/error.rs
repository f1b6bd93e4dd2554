//! Input after which a connection cannot go on.

use std::fmt;

/// The peer broke the protocol and the connection is to be closed, without a reply, as php-fpm does. It is the peer's
/// fault each time; `offset` is where the record began, in bytes from the start of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A record does not begin with [`crate::VERSION`]; at offset 0 the peer speaks some other protocol.
    Version {
        /// The byte found.
        version: u8,
        /// Where the record begins.
        offset: u64,
    },
    /// The first record of a connection is neither BEGIN_REQUEST nor a management record.
    First {
        /// The record's type.
        kind: u8,
        /// The record's request id.
        id: u16,
    },
    /// The content of a BEGIN_REQUEST is not 8 bytes long.
    BeginLength {
        /// The record's request id.
        id: u16,
        /// The length found.
        len: u16,
        /// Where the record begins.
        offset: u64,
    },
    /// A BEGIN_REQUEST for a request that has not ended.
    BeginActive {
        /// The record's request id.
        id: u16,
        /// Where the record begins.
        offset: u64,
    },
    /// The PARAMS stream of a request, or the content of a GET_VALUES record (id 0), ends inside a name-value pair.
    PairCut {
        /// The request.
        id: u16,
        /// Where the record begins that ended the stream.
        offset: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Version { version, offset: 0 } => {
                write!(f, "the peer does not speak FastCGI: its first byte is {version:#04x}")?;
                if version.is_ascii_uppercase() {
                    f.write_str(", as in HTTP")?;
                }
                Ok(())
            }
            Self::Version { version, offset } => {
                write!(f, "the peer sent a record of FastCGI version {version} at byte {offset}; only 1 is defined")
            }
            Self::First { kind, id } => write!(
                f,
                "the peer's first record has type {kind} and request id {id}; BEGIN_REQUEST or a management record \
                 was expected"
            ),
            Self::BeginLength { id, len, offset } => write!(
                f,
                "the peer sent a BEGIN_REQUEST of {len} bytes instead of 8 for request id {id} at byte {offset}"
            ),
            Self::BeginActive { id, offset } => {
                write!(f, "the peer sent BEGIN_REQUEST at byte {offset} for request id {id}, which has not ended")
            }
            Self::PairCut { id: 0, offset } => {
                write!(f, "the peer sent a GET_VALUES at byte {offset} that ends inside a name-value pair")
            }
            Self::PairCut { id, offset } => write!(
                f,
                "the peer ended the PARAMS of request id {id} inside a name-value pair, with the record at byte \
                 {offset}"
            ),
        }
    }
}

impl std::error::Error for Error {}

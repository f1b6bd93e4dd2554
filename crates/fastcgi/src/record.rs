//! Records as they stand on the wire: the header, its types, and the fixed-size records a server writes.

use std::ffi::CStr;

use crate::Params;

/// The protocol version in the first byte of each record (FCGI_VERSION_1, §3.3).
pub const VERSION: u8 = 1;

/// Bytes of a record header (FCGI_HEADER_LEN, §8).
pub const HEADER_LEN: usize = 8;

/// The most content, in bytes, to put into one record: the largest multiple of 8 that fits the 16-bit length, so that
/// a full record needs no padding. php-fpm cuts its records at the same size.
pub const MAX_CONTENT: usize = 0xFFF8;

/// The record types of §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Starts a request (FCGI_BEGIN_REQUEST).
    BeginRequest = 1,
    /// The web server gives a request up (FCGI_ABORT_REQUEST).
    AbortRequest = 2,
    /// The application has ended a request (FCGI_END_REQUEST).
    EndRequest = 3,
    /// Stream of name-value pairs to the application (FCGI_PARAMS).
    Params = 4,
    /// Stream of the request body to the application (FCGI_STDIN).
    Stdin = 5,
    /// Stream of the response to the web server (FCGI_STDOUT).
    Stdout = 6,
    /// Stream of log text to the web server (FCGI_STDERR).
    Stderr = 7,
    /// Second body stream of the Filter role (FCGI_DATA).
    Data = 8,
    /// Asks for the application's limits (FCGI_GET_VALUES, request id 0).
    GetValues = 9,
    /// Answers [`Kind::GetValues`] (FCGI_GET_VALUES_RESULT, request id 0).
    GetValuesResult = 10,
    /// Answers a management record of unknown type (FCGI_UNKNOWN_TYPE, request id 0).
    UnknownType = 11,
}

impl Kind {
    /// The record type with this number, if the specification defines one.
    pub const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            _ => return None,
        })
    }
}

/// What the web server wants done with a request (§6). php-fpm serves all three alike and shows them as `FCGI_ROLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Role {
    /// An ordinary request and its response.
    Responder = 1,
    /// A decision whether a request is allowed.
    Authorizer = 2,
    /// A Responder with a file on the FCGI_DATA stream to filter.
    Filter = 3,
}

impl Role {
    /// The role with this number; `None` is answered with [`ProtocolStatus::UnknownRole`].
    pub const fn from_u16(role: u16) -> Option<Self> {
        Some(match role {
            1 => Self::Responder,
            2 => Self::Authorizer,
            3 => Self::Filter,
            _ => return None,
        })
    }

    /// The value of `FCGI_ROLE` in php-fpm's `$_SERVER`.
    pub const fn as_c_str(self) -> &'static CStr {
        match self {
            Self::Responder => c"RESPONDER",
            Self::Authorizer => c"AUTHORIZER",
            Self::Filter => c"FILTER",
        }
    }
}

/// How a request ended as far as the protocol is concerned (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProtocolStatus {
    /// Served, whatever the application status.
    RequestComplete = 0,
    /// Refused: the application takes one request per connection at a time. This codec never says so.
    CantMultiplex = 1,
    /// Refused: the application has no room for it now.
    Overloaded = 2,
    /// Refused: the application does not know the role.
    UnknownRole = 3,
}

/// The header of a record of `content_len` bytes of content followed by `padding` bytes of padding (§3.3).
///
/// Any `content_len` can be written; streams are cut at [`MAX_CONTENT`], and a length of 0 ends a stream.
pub const fn record_header(kind: Kind, id: u16, content_len: u16, padding: u8) -> [u8; HEADER_LEN] {
    let id = id.to_be_bytes();
    let len = content_len.to_be_bytes();
    [VERSION, kind as u8, id[0], id[1], len[0], len[1], padding, 0]
}

/// The padding, 0 to 7 bytes, that brings a record of `content_len` bytes to a multiple of 8, as §3.3 recommends and
/// php-fpm does.
pub const fn padding(content_len: u16) -> u8 {
    (content_len.wrapping_neg() & 7) as u8
}

/// The whole END_REQUEST record (§5.5) of request `id`. `app_status` is the exit status of a CGI program; php-fpm
/// always writes 0.
pub const fn end_request(id: u16, app_status: u32, status: ProtocolStatus) -> [u8; 16] {
    let h = record_header(Kind::EndRequest, id, 8, 0);
    let a = app_status.to_be_bytes();
    [h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], a[0], a[1], a[2], a[3], status as u8, 0, 0, 0]
}

/// The whole UNKNOWN_TYPE record (§4.2) about a management record of type `kind`.
pub(crate) const fn unknown_type(kind: u8) -> [u8; 16] {
    let h = record_header(Kind::UnknownType, 0, 8, 0);
    [h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], kind, 0, 0, 0, 0, 0, 0, 0]
}

/// The whole GET_VALUES_RESULT record (§4.1) with those of the `asked` variables that exist.
pub(crate) fn values_result(asked: &Params, max_conns: u32, max_reqs: u32) -> Vec<u8> {
    let known = [
        ("FCGI_MAX_CONNS", max_conns.to_string()),
        ("FCGI_MAX_REQS", max_reqs.to_string()),
        ("FCGI_MPXS_CONNS", "1".to_string()),
    ];
    let mut record = vec![0; HEADER_LEN];
    for (name, value) in known.iter().filter(|(name, _)| asked.get(name.as_bytes()).is_some()) {
        // All of them are shorter than the 128 bytes from which on a length takes four bytes.
        record.extend([name.len() as u8, value.len() as u8]);
        record.extend(name.bytes().chain(value.bytes()));
    }
    let len = (record.len() - HEADER_LEN) as u16;
    record[..HEADER_LEN].copy_from_slice(&record_header(Kind::GetValuesResult, 0, len, padding(len)));
    record.resize(record.len() + usize::from(padding(len)), 0);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_completes_eight_bytes() {
        for len in 0..=u16::MAX {
            let pad = padding(len);
            assert!(pad < 8);
            assert_eq!((u32::from(len) + u32::from(pad)) % 8, 0);
        }
        assert_eq!(padding(MAX_CONTENT as u16), 0);
    }

    #[test]
    fn records_are_laid_out_as_specified() {
        assert_eq!(record_header(Kind::Stdout, 0x1234, 0xABCD, 3), [1, 6, 0x12, 0x34, 0xAB, 0xCD, 3, 0]);
        assert_eq!(
            end_request(0x0102, 0x0A0B0C0D, ProtocolStatus::Overloaded),
            [1, 3, 1, 2, 0, 8, 0, 0, 0x0A, 0x0B, 0x0C, 0x0D, 2, 0, 0, 0]
        );
        assert_eq!(unknown_type(99), [1, 11, 0, 0, 0, 8, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn numbers_and_names_agree() {
        for n in 0..=u8::MAX {
            assert_eq!(Kind::from_u8(n).map(|kind| kind as u8), (1..=11).contains(&n).then_some(n));
        }
        for n in 0..=u16::MAX {
            assert_eq!(Role::from_u16(n).map(|role| role as u16), (1..=3).contains(&n).then_some(n));
        }
    }
}

//! POSIX access control lists, as Linux keeps them in the attribute `system.posix_acl_access` (linux/posix_acl_xattr.h):
//! a version, then entries of tag, permissions and id, all little-endian, sorted by tag and id.

use std::ffi::CStr;

/// Name of the attribute.
pub const ATTRIBUTE: &CStr = c"system.posix_acl_access";

/// The largest value of an attribute (`XATTR_SIZE_MAX`).
pub const MAX_BYTES: usize = 64 * 1024;

/// To read: to connect to a socket takes only [`WRITE`], but PHP-FPM grants both.
pub const READ: u16 = 4;
/// To write.
pub const WRITE: u16 = 2;

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The id of entries that have none.
const NO_ID: u32 = u32::MAX;

/// Somebody beside the owner and the group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A user id.
    User(u32),
    /// A group id.
    Group(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<Entry>);

impl Acl {
    /// The list that says the same as a file's mode.
    pub fn from_mode(mode: u32) -> Acl {
        let entry = |tag, shift: u32| Entry { tag, permissions: (mode >> shift & 7) as u16, id: NO_ID };
        Acl(vec![entry(USER_OBJ, 6), entry(GROUP_OBJ, 3), entry(OTHER, 0)])
    }

    /// The attribute's value taken apart; `None`: it is none that we know.
    pub fn decode(bytes: &[u8]) -> Option<Acl> {
        let (version, entries) = bytes.split_first_chunk()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return None;
        }
        let entry = |e: &[u8]| Entry {
            tag: u16::from_le_bytes([e[0], e[1]]),
            permissions: u16::from_le_bytes([e[2], e[3]]),
            id: u32::from_le_bytes([e[4], e[5], e[6], e[7]]),
        };
        Some(Acl(entries.chunks_exact(8).map(entry).collect()))
    }

    /// The attribute's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend(entry.tag.to_le_bytes());
            bytes.extend(entry.permissions.to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    /// Gives somebody these permissions, and raises the mask, which bounds all but the owner and others, as much as takes.
    pub fn grant(&mut self, who: Principal, permissions: u16) {
        let (tag, id) = match who {
            Principal::User(id) => (USER, id),
            Principal::Group(id) => (GROUP, id),
        };
        self.0.retain(|entry| entry.tag != MASK && (entry.tag, entry.id) != (tag, id));
        self.0.push(Entry { tag, permissions, id });
        let bounded = self.0.iter().filter(|entry| matches!(entry.tag, USER | GROUP_OBJ | GROUP));
        let mask = bounded.fold(0, |all, entry| all | entry.permissions);
        self.0.push(Entry { tag: MASK, permissions: mask, id: NO_ID });
        self.0.sort_by_key(|entry| (entry.tag, entry.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(acl: &Acl) -> Vec<(u16, u16, u32)> {
        acl.0.iter().map(|e| (e.tag, e.permissions, e.id)).collect()
    }

    #[test]
    fn grants_are_sorted_and_under_the_mask() {
        let mut acl = Acl::from_mode(0o140_610);
        acl.grant(Principal::Group(7), READ | WRITE);
        acl.grant(Principal::User(33), READ | WRITE);
        acl.grant(Principal::User(5), READ | WRITE);
        acl.grant(Principal::User(33), READ | WRITE);
        let expected = [
            (USER_OBJ, 6, NO_ID),
            (USER, 6, 5),
            (USER, 6, 33),
            (GROUP_OBJ, 1, NO_ID),
            (GROUP, 6, 7),
            (MASK, 7, NO_ID),
            (OTHER, 0, NO_ID),
        ];
        assert_eq!(shown(&acl), expected);
        assert_eq!(Acl::decode(&acl.encode()), Some(acl));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bytes in [&b""[..], b"\x02\0\0", b"\x01\0\0\0", b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff"] {
            assert_eq!(Acl::decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(Acl::decode(b"\x02\0\0\0"), Some(Acl(Vec::new())));
    }
}

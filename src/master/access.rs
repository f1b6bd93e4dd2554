//! Who may connect to a socket file: `listen.owner`, `listen.group`, or `listen.acl_users`, `listen.acl_groups`.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use ftm_config::Pool;
use nix::errno::Errno;

use super::acl::{self, Acl, Principal};
use crate::observe::{log, reason};
use crate::pool::{find_group, find_user};

/// What was asked for, with all names looked up.
pub enum Access {
    /// This owner and group, where they are named.
    Owner(Option<u32>, Option<u32>),
    /// These may connect, beside the owner and the group that the file has anyway.
    List(Vec<Principal>),
}

impl Access {
    /// Looks up the names of a pool.
    ///
    /// # Errors
    ///
    /// PHP-FPM's message for the first name that nobody has.
    pub fn of(pool: &Pool) -> Result<Access, String> {
        let listen = &pool.listen;
        let mut list = Vec::new();
        for name in &listen.acl_users {
            list.push(Principal::User(find_user(name)?.0.as_raw()));
        }
        for name in &listen.acl_groups {
            list.push(Principal::Group(find_group(name)?.as_raw()));
        }
        if list.is_empty() {
            let owner = listen.owner.as_deref().map(find_user).transpose()?;
            // An owner that is named brings his own group, one that is a number does not.
            let named = listen.owner.as_deref().is_some_and(|name| !name.bytes().all(|b| b.is_ascii_digit()));
            let own = owner.as_ref().filter(|_| named).and_then(|(_, entry)| entry.as_ref().map(|user| user.gid));
            let group = listen.group.as_deref().map(find_group).transpose()?.or(own);
            return Ok(Access::Owner(owner.map(|(uid, _)| uid.as_raw()), group.map(|gid| gid.as_raw())));
        }
        for (directive, ignored) in [("listen.owner", &listen.owner), ("listen.group", &listen.group)] {
            if let Some(name) = ignored {
                log::warning!("[pool {}] ACL set, {directive} = '{name}' is ignored", pool.name);
            }
        }
        Ok(Access::List(list))
    }

    /// Lets them in. A link in the place of the socket is not followed: its directory may be somebody else's.
    ///
    /// # Errors
    ///
    /// PHP-FPM's message.
    pub fn apply(&self, path: &Path) -> Result<(), String> {
        let shown = path.display();
        match self {
            Access::Owner(None, None) => Ok(()),
            Access::Owner(owner, group) => lchown(path, *owner, *group)
                .map_err(|e| format!("failed to chown() the socket '{shown}': {}", reason(&e))),
            Access::List(list) => {
                let mut acl = read(path)
                    .map_err(|e| format!("failed to read the ACL of the socket '{shown}': {}", reason(&e)))?;
                list.iter().for_each(|&principal| acl.grant(principal, acl::READ | acl::WRITE));
                write(path, &acl.encode())
                    .map_err(|e| format!("failed to write the ACL of the socket '{shown}': {}", reason(&e)))
            }
        }
    }
}

/// The list that the file has, be it inherited from its directory, or what its mode says.
fn read(path: &Path) -> io::Result<Acl> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut bytes = vec![0u8; acl::MAX_BYTES];
    // SAFETY: both names are NUL-terminated, and the buffer has the size that is told.
    let len =
        unsafe { libc::lgetxattr(name.as_ptr(), acl::ATTRIBUTE.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len()) };
    match usize::try_from(len) {
        Ok(len) => Acl::decode(&bytes[..len]).ok_or_else(|| Errno::EINVAL.into()),
        Err(_) if Errno::last() == Errno::ENODATA => Ok(Acl::from_mode(path.symlink_metadata()?.mode())),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn write(path: &Path, acl: &[u8]) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both names are NUL-terminated, and the value has the size that is told.
    match unsafe { libc::lsetxattr(name.as_ptr(), acl::ATTRIBUTE.as_ptr(), acl.as_ptr().cast(), acl.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

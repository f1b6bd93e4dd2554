//! User and groups of a pool process, and the stacks of its threads.

use std::ffi::CString;

use ftm_config::Pool;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgid, setgroups, setuid};

use crate::observe::reason;

/// Who the pool runs as.
pub struct Identity {
    uid: Uid,
    gid: Gid,
    /// The user's entry, where there is one: for USER and HOME.
    pub user: Option<User>,
    /// The supplementary groups to take on. Looked up with the user: a chroot's own /etc/group, which the pool's user
    /// may be able to write, has no say in them.
    groups: Vec<Gid>,
    change: bool,
}

/// A user by name or number.
///
/// # Errors
///
/// PHP-FPM's message.
pub fn find_user(name: &str) -> Result<(Uid, Option<User>), String> {
    if let Ok(number) = name.parse::<u32>() {
        let uid = Uid::from_raw(number);
        return Ok((uid, User::from_uid(uid).ok().flatten()));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid, Some(user))),
        _ => Err(format!("cannot get uid for user '{name}'")),
    }
}

/// A group by name or number.
///
/// # Errors
///
/// PHP-FPM's message.
pub fn find_group(name: &str) -> Result<Gid, String> {
    if let Ok(number) = name.parse::<u32>() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(format!("cannot get gid for group '{name}'")),
    }
}

impl Identity {
    /// The user and group that the pool names; as another user than root, whoever we are.
    ///
    /// # Errors
    ///
    /// There is no such user or group.
    pub fn of(pool: &Pool) -> Result<Identity, String> {
        let Some(name) = pool.user.as_ref().filter(|_| Uid::effective().is_root()) else {
            let (uid, gid) = (Uid::effective(), Gid::effective());
            let user = User::from_uid(uid).ok().flatten();
            return Ok(Identity { uid, gid, user, groups: Vec::new(), change: false });
        };
        let (uid, user) = find_user(name)?;
        let gid = match &pool.group {
            Some(group) => find_group(group)?,
            // A number that no user has keeps our group, which is root's: check_root() refuses that unless it was allowed.
            None => user.as_ref().map_or(Gid::effective(), |user| user.gid),
        };
        let groups = match &user {
            Some(user) => {
                let name = CString::new(user.name.as_str()).map_err(|e| e.to_string())?;
                getgrouplist(&name, gid)
                    .map_err(|e| format!("cannot get the groups of user '{}': {}", user.name, reason(&e.into())))?
            }
            None => vec![gid],
        };
        Ok(Identity { uid, gid, user, groups, change: true })
    }

    /// Whether the user or the group is root.
    pub fn is_root(&self) -> bool {
        self.uid.is_root() || self.gid.as_raw() == 0
    }

    /// Becomes that user, for good.
    ///
    /// # Errors
    ///
    /// Which step the system refused.
    pub fn assume(&self) -> Result<(), String> {
        if !self.change {
            return Ok(());
        }
        let failed = |what: &str, e: nix::Error| format!("failed to {what}: {}", reason(&e.into()));
        setgid(self.gid).map_err(|e| failed(&format!("setgid({})", self.gid), e))?;
        setgroups(&self.groups).map_err(|e| failed("setgroups()", e))?;
        setuid(self.uid).map_err(|e| failed(&format!("setuid({})", self.uid), e))
    }
}

/// The size of a PHP thread's stack: `thread_stack_size`, else what the main thread would have had.
pub fn stack_size(pool: &Pool) -> usize {
    const UNLIMITED: usize = 8 << 20;
    pool.thread_stack_size.unwrap_or_else(|| match getrlimit(Resource::RLIMIT_STACK) {
        Ok((soft, _)) if soft != libc::RLIM_INFINITY && soft > 0 => usize::try_from(soft).unwrap_or(UNLIMITED),
        _ => UNLIMITED,
    })
}

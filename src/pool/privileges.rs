//! User, group and limits of a pool process.

use std::ffi::CString;

use ftm_config::Pool;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Group, Uid, User, chdir, initgroups, setgid, setuid};

/// The most descriptors that a pool process allows itself by default: one per connection, beside those of scripts. Not
/// more, because programs that scripts start may close all possible descriptors one by one.
const DESCRIPTORS: u64 = 65_536;

/// Who the pool runs as.
pub struct Identity {
    uid: Uid,
    gid: Gid,
    /// The user's entry, where there is one: for USER, HOME and the supplementary groups.
    pub user: Option<User>,
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
        let own = || User::from_uid(Uid::effective()).ok().flatten();
        if !Uid::effective().is_root() {
            return Ok(Identity { uid: Uid::effective(), gid: Gid::effective(), user: own(), change: false });
        }
        let Some(name) = &pool.user else {
            return Ok(Identity { uid: Uid::effective(), gid: Gid::effective(), user: own(), change: false });
        };
        let (uid, user) = find_user(name)?;
        let gid = match &pool.group {
            Some(group) => find_group(group)?,
            None => user.as_ref().map(|user| user.gid).ok_or_else(|| {
                format!("user '{name}' has no entry in the user database, so its group must be given: group = …")
            })?,
        };
        Ok(Identity { uid, gid, user, change: true })
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
        let failed = |what: &str, e: nix::Error| format!("failed to {what}: {e}");
        setgid(self.gid).map_err(|e| failed(&format!("setgid({})", self.gid), e))?;
        if let Some(user) = &self.user {
            let name = CString::new(user.name.as_str()).map_err(|e| e.to_string())?;
            initgroups(&name, self.gid).map_err(|e| failed(&format!("initgroups({}, {})", user.name, self.gid), e))?;
        } else {
            nix::unistd::setgroups(&[self.gid]).map_err(|e| failed("setgroups()", e))?;
        }
        setuid(self.uid).map_err(|e| failed(&format!("setuid({})", self.uid), e))
    }
}

/// Descriptors for connections; `chdir`.
///
/// # Errors
///
/// Which step the system refused.
pub fn limits_and_directory(pool: &Pool) -> Result<(), String> {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(DESCRIPTORS)
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)
            .map_err(|e| format!("failed to raise the limit of descriptors: {e}"))?;
    }
    if let Some(dir) = &pool.chdir {
        chdir(dir.as_path()).map_err(|e| format!("failed to chdir({}): {e}", dir.display()))?;
    }
    Ok(())
}

/// The size of a PHP thread's stack: `thread_stack_size`, else what the main thread would have had.
pub fn stack_size(pool: &Pool) -> usize {
    const UNLIMITED: usize = 8 << 20;
    pool.thread_stack_size.unwrap_or_else(|| match getrlimit(Resource::RLIMIT_STACK) {
        Ok((soft, _)) if soft != libc::RLIM_INFINITY && soft > 0 => usize::try_from(soft).unwrap_or(UNLIMITED),
        _ => UNLIMITED,
    })
}

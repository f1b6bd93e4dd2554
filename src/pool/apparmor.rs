//! `apparmor_hat`: confines the pool to a hat of the profile that it runs under (apparmor(7)).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use crate::observe::reason;

/// Where a thread's confinement stands: of AppArmor alone on newer kernels, of whichever security module on others.
const PLACES: [&str; 2] = ["/proc/thread-self/attr/apparmor/current", "/proc/thread-self/attr/current"];

/// A hat that is ready to be put on.
pub struct Hat {
    file: File,
    profile: String,
    hat: String,
}

impl Hat {
    /// Looks the present profile up. To be called while `/proc` is in reach.
    ///
    /// # Errors
    ///
    /// PHP-FPM's message: the system does not run AppArmor, as a rule.
    pub fn take(hat: &str) -> Result<Hat, String> {
        let (file, profile) = current().map_err(|e| {
            format!(
                "failed to query apparmor confinement. Please check if \"/proc/*/attr/current\" is read and writeable.: {}",
                reason(&e)
            )
        })?;
        Ok(Hat { file, hat: format!("{profile}//{hat}"), profile })
    }

    /// Puts it on: for this thread and those that it starts, for good.
    ///
    /// # Errors
    ///
    /// PHP-FPM's message.
    pub fn put_on(mut self) -> Result<(), String> {
        self.file.write_all(format!("changeprofile {}", self.hat).as_bytes()).map_err(|e| {
            format!(
                "failed to change to new confinement ({}). Please check if \"/proc/*/attr/current\" is read and writeable \
                 and \"change_profile -> {}//*\" is allowed.: {}",
                self.hat,
                self.profile,
                reason(&e)
            )
        })
    }
}

fn current() -> io::Result<(File, String)> {
    let open = |place| OpenOptions::new().read(true).write(true).open(place);
    let mut file = open(PLACES[0]).or_else(|_| open(PLACES[1]))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((file, profile(&text).to_owned()))
}

/// `name (mode)`, or a name alone.
fn profile(text: &str) -> &str {
    let text = text.trim_end_matches(['\n', '\0']);
    text.rsplit_once(" (").map_or(text, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_no_part_of_the_profile() {
        assert_eq!(profile("/usr/sbin/php-ftm (enforce)\n"), "/usr/sbin/php-ftm");
        assert_eq!(profile("unconfined\n"), "unconfined");
        assert_eq!(profile("a (b) (complain)"), "a (b)");
    }
}

//! What the tests of this crate share.

pub mod memory;

use memory::Memory;

/// A configuration with one pool that has all it must have.
pub const GOOD: &str = "[www]\nlisten = /run/www.sock\npm = static\npm.max_children = 4\n";

/// Loads `t.conf` of these files, as an ordinary user, with an empty environment.
pub fn load_files(files: &Memory) -> Result<ftm_config::Loaded, Vec<ftm_config::Diagnostic>> {
    let options = ftm_config::LoadOptions { files, variable: &|_| None, ..ftm_config::LoadOptions::default() };
    ftm_config::load("t.conf".as_ref(), &options)
}

/// Loads this text.
pub fn load_text(text: &str) -> Result<ftm_config::Loaded, Vec<ftm_config::Diagnostic>> {
    load_files(&Memory::new(&[("t.conf", text.as_bytes())], &["/usr/share/doc", "/srv/www"]))
}

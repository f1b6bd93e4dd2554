//! The name that `ps` shows of a process.

use std::fs;
use std::slice;

/// Where the kernel says that the arguments lie: fields 48 and 49 of `/proc/self/stat`, counted from 1 (proc(5)).
const ARG_START: usize = 48;
const ARG_END: usize = 49;

/// Writes `title` over the process's arguments, as far as they reach. Copies of the arguments must have been made before;
/// must be called while the process has one thread.
pub fn set(title: &str) {
    let Some((start, len)) = arguments() else { return };
    // SAFETY: the kernel put the arguments there for this process, writable; nobody else uses them: the process has one
    // thread, and who looks at them later finds strings that end where the last one did.
    let area = unsafe { slice::from_raw_parts_mut(start, len) };
    area.fill(0);
    let title = &title.as_bytes()[..title.len().min(len - 1)];
    area[..title.len()].copy_from_slice(title);
}

/// Address and length of the arguments, the last NUL included.
fn arguments() -> Option<(*mut u8, usize)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.trim().parse::<usize>().ok();
    let (start, end) = (field(ARG_START)?, field(ARG_END)?);
    let len = end.checked_sub(start).filter(|&len| len > 1)?;
    // What lies there must be what the kernel shows of it.
    (fs::read("/proc/self/cmdline").ok()?.len() == len).then_some((std::ptr::with_exposed_provenance_mut(start), len))
}

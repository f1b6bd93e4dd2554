//! What php-ftm's log tells about how requests ended.

use std::collections::{BTreeMap, HashMap};

/// A step of the ladder; the last one taken is what ended a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A fatal error at an opcode, which a signal brought about where need was.
    Error,
    /// A socket was shut down.
    Socket,
    /// A program was killed.
    Program,
    /// The thread was left to itself.
    Abandoned,
}

impl Step {
    /// As the table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Step::Error => "error",
            Step::Socket => "socket",
            Step::Program => "program",
            Step::Abandoned => "abandoned",
        }
    }
}

/// How often each step was the last one, in the requests of `uri` (a path).
pub fn steps(log: &str, uri: &str) -> BTreeMap<Step, usize> {
    let mut threads: HashMap<&str, &str> = HashMap::new();
    let mut last: HashMap<&str, Step> = HashMap::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("] child ")
            && let (Some((thread, _)), Some(request)) = (rest.split_once(','), request(rest))
        {
            let step = if line.contains(" execution timed out ") { Step::Error } else { Step::Abandoned };
            threads.insert(thread, request);
            last.entry(request).and_modify(|known| *known = step.max(*known)).or_insert(step);
        } else if let Some((_, rest)) = line.split_once(" thread ")
            && let Some((thread, what)) = rest.split_once(" waits for ")
            && let Some(request) = threads.get(thread)
        {
            let step = if what.starts_with("a socket") { Step::Socket } else { Step::Program };
            last.entry(request).and_modify(|known| *known = step.max(*known)).or_insert(step);
        }
    }
    let ours = last.into_iter().filter(|(request, _)| request.split('?').next() == Some(uri));
    ours.fold(BTreeMap::new(), |mut counts, (_, step)| {
        *counts.entry(step).or_default() += 1;
        counts
    })
}

/// The path and query in PHP-FPM's warning.
fn request(warning: &str) -> Option<&str> {
    let (_, rest) = warning.split_once("(request: \"")?;
    rest.split_once('"')?.0.split_once(' ').map(|(_, uri)| uri)
}

//! What a run leaves: a verdict for each test, and the output of those that failed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::verdict::{Outcome, Verdict};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(15);

/// Results of tests as they come, from several threads.
#[derive(Debug)]
pub struct Results {
    dir: PathBuf,
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    outcomes: BTreeMap<String, (Verdict, String)>,
    told: Instant,
}

impl Results {
    /// Results of `total` tests that go to `dir`.
    pub fn new(dir: &Path, total: usize) -> Self {
        fs::create_dir_all(dir.join("failed")).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let state = State { outcomes: BTreeMap::new(), told: Instant::now() };
        Self { dir: dir.to_owned(), total, state: Mutex::new(state) }
    }

    /// Notes how a test ended.
    pub fn add(&self, name: String, outcome: Outcome) {
        if let Some((wanted, output)) = &outcome.differs {
            let file = format!("{}/failed/{}", self.dir.display(), name.replace('/', "_").replace(".phpt", ""));
            for (ending, text) in [("exp", wanted), ("out", output)] {
                let file = format!("{file}.{ending}");
                fs::write(&file, text).unwrap_or_else(|e| panic!("{file}: {e}"));
            }
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outcomes.insert(name, (outcome.verdict, outcome.reason));
        if state.told.elapsed() >= TELL {
            state.told = Instant::now();
            let done = state.outcomes.len();
            let _ = writeln!(std::io::stderr(), "  {done} of {} tests, {}", self.total, counts(&state.outcomes));
        }
    }

    /// Writes the file `verdicts`, a line of name, verdict and reason for each test, and returns how many there are of each.
    pub fn finish(self) -> String {
        let outcomes = self.state.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes;
        let lines = outcomes
            .iter()
            .map(|(name, (verdict, reason))| format!("{name} {verdict} {reason}").trim_end().to_owned() + "\n");
        let file = self.dir.join("verdicts");
        fs::write(&file, lines.collect::<String>()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        counts(&outcomes)
    }
}

fn counts(outcomes: &BTreeMap<String, (Verdict, String)>) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    outcomes.values().for_each(|(verdict, _)| *counts.entry(*verdict).or_default() += 1);
    let counts: Vec<_> =
        counts.iter().map(|(verdict, n)| format!("{n} {}", verdict.to_string().to_lowercase())).collect();
    counts.join(", ")
}

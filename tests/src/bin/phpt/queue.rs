//! Which test is next: in order, except that tests which use the same thing do not run together.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::{fs, mem};

use crate::phpt::Phpt;

/// A test that is to be run.
#[derive(Debug)]
pub struct Job {
    /// Its path below the tree, such as `Zend/tests/001.phpt`.
    pub name: String,
    /// The test, or why it is none.
    pub phpt: Result<Phpt, String>,
    /// What it must have for itself: names; `all` excludes every other test.
    conflicts: Vec<String>,
}

impl Job {
    /// The test of this name below `tree`.
    pub fn read(tree: &Path, name: &str) -> Self {
        let path = tree.join(name);
        let phpt = Phpt::read(&path);
        let own = phpt.as_ref().ok().and_then(|phpt| phpt.text("CONFLICTS")).unwrap_or_default();
        let of_dir = fs::read_to_string(path.with_file_name("CONFLICTS")).unwrap_or_default();
        let lines = own.lines().chain(of_dir.lines());
        let names = lines.map(|line| line.split('#').next().unwrap_or("").trim()).filter(|name| !name.is_empty());
        Self { name: name.to_owned(), conflicts: names.map(str::to_owned).collect(), phpt }
    }

    fn may_join(&self, running: &[String]) -> bool {
        if running.iter().any(|name| name == "all") {
            return false;
        }
        match self.conflicts.iter().any(|name| name == "all") {
            true => running.is_empty(),
            false => !self.conflicts.iter().any(|name| running.contains(name)),
        }
    }

    /// What stands in the list of the running tests for this one. Something in any case, for those that exclude all.
    fn claims(&self) -> Vec<String> {
        if self.conflicts.is_empty() { vec![String::new()] } else { self.conflicts.clone() }
    }
}

/// All tests that are to be run.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Job>,
    /// What running tests have for themselves.
    running: Vec<String>,
}

impl Queue {
    /// A queue of these tests, in this order.
    pub fn new(jobs: Vec<Job>) -> Self {
        Self { state: Mutex::new(State { waiting: jobs.into(), running: Vec::new() }), changed: Condvar::new() }
    }

    /// Runs `work` with each test that this thread gets, until none is left.
    pub fn work(&self, mut work: impl FnMut(Job)) {
        while let Some(job) = self.take() {
            let claims = job.claims();
            work(job);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for claim in claims {
                let at = state.running.iter().position(|name| *name == claim).expect("claimed when it was taken");
                state.running.swap_remove(at);
            }
            mem::drop(state);
            self.changed.notify_all();
        }
    }

    /// The next test that may run now, if need be after a wait; `None` if all are taken.
    fn take(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.waiting.is_empty() {
                return None;
            }
            let next = state.waiting.iter().position(|job| job.may_join(&state.running));
            if let Some(job) = next.and_then(|at| state.waiting.remove(at)) {
                state.running.extend(job.claims());
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

//! How a test ended.

use std::fmt;

/// run-tests.php's verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The output is what is expected.
    Passed,
    /// It is not, as its XFAIL section says.
    XFailed,
    /// It is, in spite of an XFAIL section.
    Warned,
    /// It is not.
    Failed,
    /// The test itself is wrong.
    Borked,
    /// The test does not apply.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "PASSED",
            Self::XFailed => "XFAILED",
            Self::Warned => "WARNED",
            Self::Failed => "FAILED",
            Self::Borked => "BORKED",
            Self::Skipped => "SKIPPED",
        })
    }
}

/// A verdict and what led to it.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one line; may be empty.
    pub reason: String,
    /// What the test expects and what it got, where they differ.
    pub differs: Option<(Vec<u8>, Vec<u8>)>,
}

impl Outcome {
    /// A verdict with a reason.
    pub fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into(), differs: None }
    }
}

//! Runs one test: SKIPIF, the script, CLEAN; and judges what it printed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Site};

use crate::client::{self, Response};
use crate::expect::{Expectation, normal};
use crate::phpt::Phpt;
use crate::queue::Job;
use crate::tree::Owner;
use crate::verdict::{Outcome, Verdict};
use crate::{ini, request};

/// What all tests of a run share.
#[derive(Debug)]
pub struct Runner<'a> {
    site: &'a Site,
    address: &'a Address,
    owner: Option<Owner>,
    php: PathBuf,
    extensions: HashSet<String>,
}

/// A test's scripts, beside its .phpt file in the tree.
struct Place<'a> {
    runner: &'a Runner<'a>,
    dir: PathBuf,
    /// The test's path below the tree, without its ending.
    stem: &'a str,
}

impl<'a> Runner<'a> {
    /// Runs tests of the tree in the docroot of `site`, by the server that listens at `address`. Scripts belong to
    /// `owner`; `php` is the command line for tests that start one.
    pub fn new(site: &'a Site, address: &'a Address, owner: Option<Owner>, php: &Path) -> Self {
        let mut runner = Self { site, address, owner, php: php.to_owned(), extensions: HashSet::new() };
        let place = Place { dir: site.docroot(), stem: "extensions", runner: &runner };
        let list = place.run(".php", b"<?php echo strtolower(implode(' ', get_loaded_extensions()));", |call| call);
        let list = String::from_utf8_lossy(&list.body).replace("zend opcache", "opcache");
        assert!(list.contains("standard"), "the server does not say which extensions it has: {list:?}");
        runner.extensions = list.split_whitespace().map(str::to_owned).collect();
        runner
    }

    /// Runs a test.
    pub fn run(&self, job: &Job) -> Outcome {
        let phpt = match &job.phpt {
            Ok(phpt) => phpt,
            Err(why) => return Outcome::new(Verdict::Borked, why),
        };
        if let Some(why) = request::impossible(phpt) {
            return Outcome::new(Verdict::Skipped, why);
        }
        let missing = phpt.text("EXTENSIONS").unwrap_or_default();
        let missing = missing.split_whitespace().find(|name| !self.extensions.contains(&name.to_lowercase()));
        if let Some(name) = missing {
            return Outcome::new(Verdict::Skipped, format!("no extension {name}"));
        }
        let (Ok(expectation), Some(script)) = (Expectation::of(phpt), phpt.section("FILE")) else {
            return Outcome::new(Verdict::Borked, "no script, or nothing expected");
        };
        let stem = job.name.strip_suffix(".phpt").unwrap_or(&job.name);
        let dir = self.site.docroot().join(stem);
        let place = Place { dir: dir.parent().expect("a file of the tree").to_owned(), stem, runner: self };
        let mut expected_to_fail = phpt.section("XFAIL").is_some();
        if let Some(skipif) = phpt.filled("SKIPIF") {
            let said = normal(&place.run(".skip.php", skipif, |call| call).body);
            let said = String::from_utf8_lossy(&said).into_owned();
            let start = said.get(..5).unwrap_or(&said).to_lowercase();
            match start.as_str() {
                "" | "nocac" | "flaky" => {}
                "xfail" => expected_to_fail = true,
                s if s.starts_with("skip") => return Outcome::new(Verdict::Skipped, one_line(&said)),
                s if s.starts_with("info") || s.starts_with("warn") => {}
                _ => return Outcome::new(Verdict::Borked, format!("SKIPIF says {}", one_line(&said))),
            }
        }
        let response = place.run(".php", script, |call| {
            let temp = self.site.dir().join("tmp");
            let settings = ini::php_value(&phpt.text("INI").unwrap_or_default(), &place.dir, &temp);
            let call = request::of_sections(call, phpt, &place.dir);
            if settings.is_empty() { call } else { call.param("PHP_VALUE", settings) }
        });
        let cleaned = phpt.filled("CLEAN").map(|clean| place.run(".clean.php", clean, |call| call).body);
        let outcome = judge(phpt, &expectation, &response, expected_to_fail);
        match cleaned.map(|said| normal(&said)).filter(|said| !said.is_empty()) {
            Some(said) if outcome.verdict == Verdict::Passed => {
                let said = String::from_utf8_lossy(&said).into_owned();
                Outcome::new(Verdict::Borked, format!("CLEAN says {}", one_line(&said)))
            }
            _ => outcome,
        }
    }
}

impl Place<'_> {
    /// Writes `script` beside the test, asks for it, and removes it.
    fn run(&self, ending: &str, script: &[u8], prepare: impl FnOnce(Call) -> Call) -> Response {
        let runner = self.runner;
        let name = format!("{}{ending}", self.stem);
        let path = runner.site.docroot().join(&name);
        // What another test or an earlier run has left may belong to somebody else, or be a directory.
        let _ = fs::remove_file(&path);
        let written = fs::write(&path, script).and_then(|()| match runner.owner {
            Some(owner) => chown(&path, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        });
        if let Err(e) = written {
            let broken = Some(format!("{}: {e}", path.display()));
            return Response { headers: Vec::new(), body: Vec::new(), broken };
        }
        let call = Call::get(runner.site, &format!("/{name}"))
            .param("REDIRECT_STATUS", "200")
            .param("TEST_PHP_EXECUTABLE", runner.php.display().to_string())
            // There is no way out of the machine that runs tests.
            .param("SKIP_ONLINE_TESTS", "1")
            // Tests of what a worker keeps for its next request, as php-fpm's workers do, too.
            .param("SKIP_REPEAT", "1");
        let response = client::ask(runner.address, &prepare(call));
        let _ = fs::remove_file(&path);
        response
    }
}

fn judge(phpt: &Phpt, expectation: &Expectation, response: &Response, expected_to_fail: bool) -> Outcome {
    let output = normal(&response.body);
    let matches = match expectation.matches(&output) {
        Ok(matches) => matches,
        Err(why) => return Outcome::new(Verdict::Borked, why),
    };
    let mut why = response.broken.clone().unwrap_or_default();
    for line in phpt.text("EXPECTHEADERS").unwrap_or_default().lines() {
        let Some((name, value)) = line.split_once(':').map(|(name, value)| (name.trim(), value.trim())) else {
            continue;
        };
        // Of several headers of one name, the last.
        let sent = response.headers.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if sent != Some(value) {
            why = format!("header {name}: {}", sent.unwrap_or("not sent"));
        }
    }
    let verdict = match (matches && why.is_empty(), expected_to_fail) {
        (true, false) => Verdict::Passed,
        (true, true) => Verdict::Warned,
        (false, true) => Verdict::XFailed,
        (false, false) => Verdict::Failed,
    };
    let differs = (verdict == Verdict::Failed).then(|| (expectation.wanted.clone(), output));
    Outcome { verdict, reason: one_line(&why), differs }
}

/// The first line of `text`, at most 200 characters of it.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or("").chars().take(200).collect()
}

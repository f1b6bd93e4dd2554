//! All requests of one kind against one server, and what is to be true of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ftm_tests::fcgi::{self, Answer, Call, Conn};
use ftm_tests::proc::{self, Counts};
use ftm_tests::wait::eventually_some;
use ftm_tests::{Load, Server};

use crate::kinds::{Class, Client, Kind};
use crate::log::{Step, steps};
use crate::peers::Peers;

/// `request_terminate_timeout`.
pub const LIMIT: Duration = Duration::from_secs(2);
/// `force_kill_deadline`, which is its default.
pub const FORCE: Duration = Duration::from_secs(5);
/// How long after its time a request may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after `force_kill_deadline` one inside C code may take.
const FORCE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a client waits altogether.
const GIVE_UP: Duration = Duration::from_secs(12);
/// How long what goes on beside and after a request may take to settle.
const SETTLE: Duration = Duration::from_secs(30);
/// The body that a client announces and does not send; it sends a quarter of it.
const BODY: usize = 2 << 20;

/// What became of a kind.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How long the answers took.
    pub times: Vec<Duration>,
    /// By what they looked like.
    pub answers: BTreeMap<String, usize>,
    /// What ended them; php-ftm only.
    pub steps: BTreeMap<Step, usize>,
    /// How long it took until all slots served again, at worst.
    pub capacity: Duration,
    /// Answers to others.
    pub others: usize,
    /// Requests of others that failed.
    pub failed: usize,
    /// Sentences that do not hold.
    pub misses: Vec<String>,
}

/// A server, and what it is tried with.
pub struct Subject<'a> {
    /// The server.
    pub server: &'a Server,
    /// Its pool has so many children.
    pub children: usize,
    /// What scripts hang on.
    pub peers: &'a Peers,
    /// The environment of its programs holds this.
    pub mark: &'a str,
}

impl Subject<'_> {
    /// Runs the kind so many times.
    pub fn run(&self, kind: &Kind, times: usize) -> Outcome {
        let mut outcome = Outcome::default();
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_run(kind, times, &mut outcome)));
        if let Err(panic) = tried {
            let text = panic.downcast_ref::<String>().cloned();
            outcome.misses.push(text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default());
        }
        outcome.steps = steps(&self.server.log(), &uri(kind));
        outcome
    }

    fn try_run(&self, kind: &Kind, times: usize, outcome: &mut Outcome) {
        assert!(self.all_serve().is_some(), "not all slots serve before it");
        let before = (self.server.workers(), self.server.counts());
        let others = self.start_others();
        let mut done = 0;
        while done < times {
            let count = kind.at_once().min(times - done);
            self.batch(kind, done..done + count, outcome);
            done += count;
        }
        for load in others {
            let ended = load.end();
            outcome.others += ended.answered;
            outcome.failed += ended.broken + ended.failures.len();
            if ended.broken > 0 || !ended.failures.is_empty() {
                let first = ended.failures.first().cloned().unwrap_or_default();
                outcome.misses.push(format!(
                    "others failed: {} broken off, {} {first}",
                    ended.broken,
                    ended.failures.len()
                ));
            }
        }
        self.check_after(kind, &before, outcome);
    }

    /// How long it takes until all slots serve.
    fn all_serve(&self) -> Option<Duration> {
        let began = Instant::now();
        eventually_some(SETTLE, || self.server.meets(self.children).then(|| began.elapsed()))
    }

    /// 50 requests a second.
    fn start_others(&self) -> Vec<Load> {
        let start = |script| {
            let call = Call::get(self.server.site(), script);
            Load::start_every(Duration::from_millis(240), 4, self.server.address(), &call, |answer| {
                answer.text() == "right"
            })
        };
        ["/work.php", "/query.php", "/count.php"].map(start).into()
    }

    fn batch(&self, kind: &Kind, runs: std::ops::Range<usize>, outcome: &mut Outcome) {
        let workers = self.server.workers();
        let clients: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = runs.map(|run| scope.spawn(move || self.client(kind, run))).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).collect()
        });
        if kind.class == Class::Answers {
            // Its time has only begun.
            std::thread::sleep(LIMIT);
        }
        match self.all_serve() {
            Some(back) => outcome.capacity = outcome.capacity.max(back),
            None => outcome.misses.push("not all slots serve again".into()),
        }
        if outcome.capacity > PATIENCE {
            outcome.misses.push(format!("it took {:.1?} until all slots served again", outcome.capacity));
        }
        for (took, shape, wrong) in clients {
            outcome.times.push(took);
            *outcome.answers.entry(shape).or_default() += 1;
            outcome.misses.extend(wrong);
        }
        if kind.class == Class::InC {
            let settled = eventually_some(SETTLE, || {
                let now = self.server.workers();
                (now == workers || now.iter().all(|pid| !workers.contains(pid)) && now.len() == workers.len())
                    .then_some(())
            });
            if settled.is_none() {
                outcome.misses.push(format!("the process was not replaced in {SETTLE:?}"));
            }
        } else if self.server.workers() != workers {
            outcome.misses.push("another process serves".into());
        }
    }

    /// How long the answer took, what it looked like, and what is wrong with it.
    fn client(&self, kind: &Kind, run: usize) -> (Duration, String, Option<String>) {
        let begins = kind.may_answer_before() && run % 2 == 1;
        let call = self.call(&format!("{}?run={run}{}", uri(kind), if begins { "&begun=1" } else { "" }), kind);
        let mut request = call.encode(1);
        if kind.client == Client::HoldsBody {
            request.truncate(request.len() - BODY / 4 * 3);
        }
        let began = Instant::now();
        let mut conn = Conn::open(self.server.address());
        conn.stream.set_timeouts(Some(GIVE_UP)).expect("timeouts");
        conn.stream.write_all(&request).expect("send to the server");
        let most = LIMIT + if kind.class == Class::InC { FORCE + FORCE_PATIENCE } else { PATIENCE };
        if kind.client == Client::HoldsAnswer {
            std::thread::sleep(most);
        }
        let answer = conn.read_answer(1);
        let took = began.elapsed();
        let shape = match &answer {
            Ok(answer) => shape(answer),
            Err(e) if e.kind() == ErrorKind::WouldBlock => "none".into(),
            Err(_) => "closed".into(),
        };
        let late = took > most + if kind.client == Client::HoldsAnswer { FORCE_PATIENCE } else { Duration::ZERO };
        let wrong = match &answer {
            _ if late => Some(format!("run {run}: after {took:.1?}: {shape}")),
            Ok(answer) if is_right(answer, kind, begins) => None,
            Ok(answer) => {
                let text =
                    String::from_utf8_lossy(&answer.stdout[answer.stdout.len().saturating_sub(200)..]).into_owned();
                Some(format!("run {run}: {shape} after {took:.1?}: {text:?}"))
            }
            Err(e) => Some(format!("run {run}: no answer after {took:.1?}: {e}")),
        };
        (took, shape, wrong)
    }

    fn call(&self, uri: &str, kind: &Kind) -> Call {
        match kind.client {
            Client::HoldsBody => Call::post(self.server.site(), uri, "application/octet-stream", vec![b'x'; BODY]),
            Client::Waits | Client::HoldsAnswer => Call::get(self.server.site(), uri),
        }
    }

    fn check_after(&self, kind: &Kind, before: &(Vec<u32>, Counts), outcome: &mut Outcome) {
        let (server, misses) = (self.server, &mut outcome.misses);
        let none_left = || {
            // A thread lets go of those that have ended after its next request.
            (self.all_serve().is_some() && self.programs().is_empty()).then_some(())
        };
        if eventually_some(SETTLE, none_left).is_none() {
            misses.push(format!("programs are left: {:?}", self.programs()));
        }
        if eventually_some(SETTLE, || server.counts().within(&before.1).then_some(())).is_none() {
            misses.push(format!("had {:?}, has {:?}", before.1, server.counts()));
        }
        let locked = self.peers.locked();
        if !locked.is_empty() {
            misses.push(format!("locks are held: {locked:?}"));
        }
        if kind.class != Class::InC && server.workers() != before.0 {
            misses.push("another process serves in the end".into());
        }
    }

    /// Processes that scripts have started, whose end nobody has seen.
    fn programs(&self) -> Vec<u32> {
        let own = proc::tree(self.server.pid());
        let workers = self.server.workers();
        let of_scripts = own.into_iter().filter(|&pid| pid != self.server.pid() && !workers.contains(&pid));
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let marked = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            *pid != self.server.pid()
                && !workers.contains(pid)
                && environment.windows(self.mark.len()).any(|w| w == self.mark.as_bytes())
        });
        of_scripts.chain(marked).collect()
    }
}

/// Where the script of a kind is found.
pub fn uri(kind: &Kind) -> String {
    format!("/{}{}.php", if kind.interpreted { "interpreted/" } else { "" }, kind.name)
}

/// What an answer looked like.
fn shape(answer: &Answer) -> String {
    let sent = answer.stdout.windows(4).any(|w| w == b"\r\n\r\n");
    let status = if sent { answer.web().status.to_string() } else { "no header".into() };
    if answer.app_status == 0 { status } else { format!("{status}/{}", answer.app_status) }
}

/// A 504, or the end of a stream that had begun, with an error. A script that was given more time than its own to answer has
/// done that before.
fn is_right(answer: &Answer, kind: &Kind, begins: bool) -> bool {
    let status = answer.web().status;
    let error = answer.app_status != 0 && answer.protocol_status == fcgi::REQUEST_COMPLETE;
    match kind.class {
        Class::Answers => status == 200 && answer.app_status == 0,
        _ if begins || kind.client == Client::HoldsAnswer => error,
        // Which is as the protocol has it: what is late is the client's.
        _ if kind.client == Client::HoldsBody => error && status == 408,
        _ => error && status == 504,
    }
}

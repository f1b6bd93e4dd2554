//! Crashes php-ftm on purpose, and prints what that costs. Started by `scripts/crashes`.
//!
//! Each kind of crash is run many times while eight other requests of two seconds are in flight. The others must be
//! answered with 200, whoever comes after the crash by another process, and no connection may be refused.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ftm_tests::fcgi::{Answer, Call, Conn};
use ftm_tests::*;

/// How to crash (see tests/ext/ftmcrash), and in which part of the runs all others must complete.
const KINDS: [(&str, &str, f64); 5] = [
    ("null", "SIGSEGV, null dereference", 1.0),
    ("stack", "SIGSEGV, C stack overflow", 1.0),
    ("abort", "SIGABRT", 1.0),
    ("division", "SIGFPE", 1.0),
    ("heap", "heap corruption caught by malloc()", 0.95),
];

const OTHERS: usize = 8;

/// What one crash has cost.
struct Cost {
    status: u16,
    others_lost: usize,
    /// From the crash's answer until a new request was served by another process.
    served_after: Duration,
}

fn site() -> Site {
    let site = Site::new();
    site.file("crash.php", "<?php ftm_crash($_GET['how']);");
    site.file("other.php", "<?php touch($_GET['begun']); usleep(2000000); echo 'done';");
    site.file("process.php", "<?php echo basename(readlink('/proc/self'));");
    site
}

fn start(site: &Site) -> Server {
    let extension = extension::build("ftmcrash");
    let pool =
        PoolConfig::new("www").children(OTHERS + 2).set("php_admin_value[extension]", &extension.display().to_string());
    Server::start_as(Kind::PhpFtm, site, ServerConfig::pool(pool))
}

fn complete(answer: std::io::Result<Answer>) -> bool {
    answer.is_ok_and(|answer| answer.web().status == 200 && answer.text() == "done")
}

fn run(site: &Site, server: &Server, how: &str, number: usize) -> Cost {
    let dir = site.writable(&format!("{how}-{number}"));
    let mut conns: Vec<Conn> = (0..OTHERS).map(|_| server.connect()).collect();
    for (n, conn) in conns.iter_mut().enumerate() {
        let uri = format!("/other.php?begun={}/{n}", dir.display());
        conn.send(Call::get(site, &uri).encode(1));
    }
    eventually("the others run", || (0..OTHERS).all(|n| dir.join(n.to_string()).exists()));
    let before = server.workers();
    let mut crashing = server.connect();
    crashing.send(Call::get(site, &format!("/crash.php?how={how}")).encode(1));
    let status = crashing.read_answer(1).map_or(0, |answer| answer.web().status);
    let crashed = Instant::now();
    let process = server.get("/process.php").text();
    let served_after = crashed.elapsed();
    let another = process.parse().is_ok_and(|pid: u32| !before.contains(&pid));
    assert!(another, "{process:?} is not the number of another process than {before:?}");
    let others_lost = conns.into_iter().filter_map(|mut conn| (!complete(conn.read_answer(1))).then_some(())).count();
    eventually("one process is left", || server.workers().len() == 1);
    Cost { status, others_lost, served_after }
}

fn main() -> ExitCode {
    let times: usize = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 20,
        Some(Ok(times)) => times,
        Some(Err(_)) => {
            eprintln!("crashes: wants a number of times");
            return ExitCode::from(64);
        }
    };
    let site = site();
    let server = start(&site);
    let mut missed = 0;
    println!("{:36} {:>5} {:>6} {:>16} {:>22}", "crash", "runs", "500s", "others complete", "served again after ms");
    for (how, name, part) in KINDS {
        let costs: Vec<Cost> = (0..times).map(|number| run(&site, &server, how, number)).collect();
        let complete = costs.iter().filter(|cost| cost.others_lost == 0).count();
        let answered = costs.iter().filter(|cost| cost.status == 500).count();
        let mut after: Vec<u128> = costs.iter().map(|cost| cost.served_after.as_millis()).collect();
        after.sort_unstable();
        let (median, most) = (after[after.len() / 2], after[after.len() - 1]);
        println!("{name:36} {times:>5} {answered:>6} {complete:>10} runs {median:>9} (most {most})");
        missed += usize::from((complete as f64) < part * times as f64 || most > 500);
    }
    server.stop();
    println!("{missed} of {} kinds missed what is wanted of them", KINDS.len());
    ExitCode::from(u8::from(missed > 0))
}

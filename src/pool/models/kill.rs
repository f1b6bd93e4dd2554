//! What is meant for one request never hits the next one of its thread.

use std::sync::Arc;

use loom::thread;

use super::{check, php_thread, pool, request, request_with_body};
use crate::server::BodyEnd;

#[test]
fn a_kill_hits_its_request_or_nobody() {
    check(|| {
        let pool = pool(1, 0);
        let (doomed, first) = request();
        let (next, second) = request();
        pool.submit(doomed.clone());
        pool.submit(next.clone());
        let thread = php_thread(&pool, 0, move |request, flag| {
            let killed = request.take_kill().is_some();
            assert!(!killed || !Arc::ptr_eq(request, &next));
            thread::yield_now();
            assert!(!(flag.take() && Arc::ptr_eq(request, &next)), "the next one is interrupted");
        });
        let slot = &pool.slots()[0];
        if slot.running().is_some_and(|running| Arc::ptr_eq(&running, &doomed)) {
            doomed.kill();
            slot.interrupt(&doomed);
        }
        pool.stop();
        thread.join().expect("the thread");
        for client in [first, second] {
            assert_eq!(client.response(), b"answer");
        }
    });
}

#[test]
fn a_kill_that_found_its_request_is_seen_by_it() {
    check(|| {
        let pool = pool(1, 0);
        let (doomed, client) = request();
        pool.submit(doomed.clone());
        // A script that loops until it is told otherwise.
        let thread = php_thread(&pool, 0, |request, flag| {
            while !(flag.take() && request.take_kill().is_some()) {
                thread::yield_now();
            }
        });
        let slot = &pool.slots()[0];
        doomed.kill();
        // As the watchdog, which tells it again at each turn: the first may come before it runs.
        while doomed.kill_pending() {
            slot.interrupt(&doomed);
            thread::yield_now();
        }
        pool.stop();
        thread.join().expect("the thread");
        assert_eq!(client.response(), b"answer");
    });
}

#[test]
fn a_kill_ends_the_wait_for_a_body() {
    check(|| {
        let pool = pool(1, 0);
        let (doomed, client) = request_with_body(3);
        pool.submit(doomed.clone());
        let thread = php_thread(&pool, 0, |request, _| {
            let (len, end) = request.body().read(&mut [0; 3]);
            assert!(matches!((len, end), (3, None) | (0 | 1, Some(BodyEnd::TimedOut))), "{len} {end:?}");
        });
        doomed.body().push(b"a");
        let killer = thread::spawn({
            let doomed = doomed.clone();
            move || doomed.kill()
        });
        doomed.body().push(b"bc");
        killer.join().expect("the killer");
        pool.stop();
        thread.join().expect("the thread");
        assert_eq!(client.response(), b"answer");
    });
}

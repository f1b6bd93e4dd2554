//! Each request is run once, or answered without, and no thread is left waiting.

use loom::thread;

use super::{check, php_thread, pool, pool_for, request};
use crate::pool::dispatch::Burden;

/// So many of two threads are enough: the other one is benched, or none.
const BENCHED: [usize; 2] = [1, 2];

#[test]
fn what_is_submitted_before_a_stop_is_answered() {
    for enough in BENCHED {
        check(move || {
            let pool = pool_for(2, 0, enough);
            let threads = [0, 1].map(|index| php_thread(&pool, index, |_, _| {}));
            let clients = [(), ()].map(|()| {
                let (request, client) = request();
                pool.submit(request);
                client
            });
            pool.stop();
            for thread in threads {
                thread.join().expect("a thread");
            }
            for client in clients {
                assert_eq!(client.response(), b"answer");
            }
        });
    }
}

#[test]
fn threads_that_are_too_many_take_no_request_with_them() {
    for enough in BENCHED {
        check(move || {
            let pool = pool_for(2, 0, enough);
            let threads = [0, 1].map(|index| php_thread(&pool, index, |_, _| {}));
            let (request, client) = request();
            let submitter = thread::spawn({
                let pool = pool.clone();
                move || {
                    pool.submit(request);
                    pool.relieve(&mut Burden::default());
                }
            });
            pool.retire(1);
            submitter.join().expect("the submitter");
            pool.stop();
            for thread in threads {
                thread.join().expect("a thread");
            }
            assert!([0, 1].into_iter().filter(|&index| pool.was_retired(index)).count() <= 1);
            assert_eq!(client.response(), b"answer");
        });
    }
}

#[test]
fn a_client_that_leaves_ends_its_own_request_only() {
    check(|| {
        let pool = pool(1, 0);
        let (leaving, left) = request();
        let (staying, client) = request();
        let thread = php_thread(&pool, 0, {
            let staying = staying.clone();
            move |request, flag| assert!(!(flag.take() && std::sync::Arc::ptr_eq(request, &staying)))
        });
        let submitter = thread::spawn({
            let (pool, leaving) = (pool.clone(), leaving.clone());
            move || {
                pool.submit(leaving);
                pool.submit(staying);
                pool.stop();
            }
        });
        pool.abort(&leaving);
        submitter.join().expect("the submitter");
        thread.join().expect("a thread");
        assert!(leaving.finished());
        left.response();
        assert_eq!(client.response(), b"answer");
    });
}

#[test]
fn a_thread_that_is_left_to_itself_answers_nobody_and_takes_no_further_request() {
    check(|| {
        let pool = pool(1, 1);
        let (stuck, abandoned) = request();
        let (next, client) = request();
        pool.submit(stuck.clone());
        pool.submit(next);
        let first = php_thread(&pool, 0, |request, _| {
            let _ = request.send_stdout(&[b"some of the "]);
        });
        let gone = pool.abandon(0, Some(&stuck));
        if gone {
            stuck.give_up("504 Gateway Timeout");
            assert_eq!(pool.take_slot(), Some(1));
            let second = php_thread(&pool, 1, |_, _| {});
            first.join().expect("the thread that was stuck");
            pool.reclaim(0);
            pool.stop();
            second.join().expect("the thread in its place");
        } else {
            pool.stop();
            first.join().expect("the thread");
        }
        let response = abandoned.response();
        let whole: &[u8] = b"some of the answer";
        let broken_off = gone && (response == whole[..12] || response.starts_with(b"Status: 504 "));
        assert!(response == whole || broken_off, "{}", String::from_utf8_lossy(&response));
        assert!(client.response().ends_with(b"answer"));
    });
}

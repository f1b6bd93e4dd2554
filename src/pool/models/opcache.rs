//! opcache restarts while no request runs but the one that lets it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::future::block_on;
use loom::thread;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{check, php_thread, pool, request};
use crate::pool::Opcache;

/// opcache's lock file.
fn lock_file() -> File {
    memfd_create(c"opcache_lock", MFdFlags::empty()).expect("a file in memory").into()
}

/// What opcache asks when a request begins: may it restart? It does, if this says so.
fn unused(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 1,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).expect("F_GETLK");
    libc::c_int::from(lock.l_type) == libc::F_UNLCK
}

#[test]
fn a_restart_finds_no_request_but_the_one_that_does_it() {
    check(|| {
        let pool = pool(2, 0);
        let file = Arc::new(lock_file());
        // Of a description of its own, as Opcache::guard() gets it.
        let own = File::options().read(true).write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let opcache = Arc::new(Opcache::new("model", own.expect("the lock file"), Duration::MAX).expect("a lock"));
        let (running, restarts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads = [0, 1].map(|index| {
            let (file, opcache, running, restarts) = (file.clone(), opcache.clone(), running.clone(), restarts.clone());
            php_thread(&pool, index, move |_, _| {
                running.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                if unused(&file) {
                    assert_eq!(running.load(Ordering::SeqCst), 1, "restarted beside another request");
                    restarts.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    assert_eq!(running.load(Ordering::SeqCst), 1, "begun during a restart");
                }
                opcache.started();
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        let submitter = thread::spawn({
            let pool = pool.clone();
            move || {
                let (request, client) = request();
                pool.submit(request);
                client
            }
        });
        // It lets a request begin that comes when the gate is closed: one of the submitter's, or this.
        let (request, client) = request();
        let restarted = block_on(async {
            tokio::join!(biased; opcache.try_restart(&pool, || false), async { pool.submit(request) }).0
        });
        assert!(restarted);
        let other = submitter.join().expect("the submitter");
        pool.stop();
        for thread in threads {
            thread.join().expect("a thread");
        }
        for client in [client, other] {
            assert_eq!(client.response(), b"answer");
        }
        assert_eq!(restarts.load(Ordering::SeqCst), 1);
        assert!(!unused(&file), "locked again");
    });
}

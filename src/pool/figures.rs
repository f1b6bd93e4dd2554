//! Figures of the pools in memory that master and pool processes share: they outlive a pool process, as PHP-FPM's
//! scoreboard outlives a child, and `process.max` holds over all pools.

use std::io;
use std::mem::size_of;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use crate::observe::status::own::{Counted, KINDS};

/// Figures of one pool. Zeroed memory is a valid one.
#[repr(C)]
pub struct PoolFigures {
    start_time: AtomicI64,
    /// Threads of a process of this pool, by generation: while a process relieves others, there are some of them.
    threads: [AtomicU32; GENERATIONS],
    idle: AtomicU32,
    active: AtomicU32,
    active_max: AtomicU32,
    accepted: AtomicU64,
    queue_max: AtomicU64,
    reached: AtomicU64,
    slow: AtomicU64,
    memory_peak: AtomicU64,
    own: [AtomicU64; KINDS],
}

/// The most processes of a pool at the same time, beyond which one that still finishes counts for `process.max` again.
const GENERATIONS: usize = 16;

/// The figures of all pools.
#[derive(Clone, Copy)]
pub struct Figures {
    /// Threads of all pools.
    total: &'static AtomicU32,
    pools: &'static [PoolFigures],
    /// `process.max`; 0: no limit.
    most: u32,
}

/// The figures as a pool process uses them.
#[derive(Clone, Copy)]
pub struct OwnFigures {
    total: &'static AtomicU32,
    most: u32,
    pool: &'static PoolFigures,
    generation: usize,
}

/// Set in the number of threads of a process that is relieved: they do not count for `process.max` any more.
const RELIEVED: u32 = 1 << 31;

impl Figures {
    /// Shared by this process and those that it forks. `most` is `process.max`; 0: no limit.
    ///
    /// # Errors
    ///
    /// The system is out of memory.
    pub fn map(pools: usize, most: u32) -> io::Result<Figures> {
        let header = size_of::<PoolFigures>(); // more than the counter takes, and keeps the alignment
        let len = NonZeroUsize::new(header + pools * size_of::<PoolFigures>()).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(None, len, protection, MapFlags::MAP_SHARED) }?.cast::<PoolFigures>();
        // SAFETY: the mapping is never removed, holds one header and `pools` sections, is zeroed, which is a valid value of
        // each, and is only used through atomics.
        let (total, pools) =
            unsafe { (start.cast::<AtomicU32>().as_ref(), std::slice::from_raw_parts(start.add(1).as_ptr(), pools)) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        pools.iter().for_each(|pool| pool.start_time.store(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), Relaxed));
        Ok(Figures { total, pools, most })
    }

    /// Those of the pool of this index, for a process of this generation.
    pub fn of(&self, index: usize, generation: usize) -> OwnFigures {
        OwnFigures {
            total: self.total,
            most: self.most,
            pool: &self.pools[index],
            generation: generation % GENERATIONS,
        }
    }

    /// The process of this pool has ended, and its threads with it.
    pub fn ended(&self, index: usize, generation: usize) {
        let pool = &self.pools[index];
        self.total.fetch_sub(pool.threads[generation % GENERATIONS].swap(0, Relaxed), Relaxed);
        pool.idle.store(0, Relaxed);
        pool.active.store(0, Relaxed);
    }

    /// The process of this pool is to be relieved by one of the next generation, which may have as many threads.
    pub fn relieved(&self, index: usize, generation: usize) {
        let threads = &self.pools[index].threads;
        self.total.fetch_sub(threads[generation % GENERATIONS].swap(RELIEVED, Relaxed), Relaxed);
        threads[(generation + 1) % GENERATIONS].store(0, Relaxed);
    }

    /// Active, idle, requests, slow requests: of all pools together.
    pub fn totals(&self) -> (u64, u64, u64, u64) {
        let sum = |figure: fn(&PoolFigures) -> u64| self.pools.iter().map(figure).sum();
        (
            sum(|pool| pool.active.load(Relaxed).into()),
            sum(|pool| pool.idle.load(Relaxed).into()),
            sum(|pool| pool.accepted.load(Relaxed)),
            sum(|pool| pool.slow.load(Relaxed)),
        )
    }
}

impl OwnFigures {
    /// Takes a place for a thread, if `process.max` leaves one.
    pub fn take_place(&self) -> bool {
        if self.threads().load(Relaxed) & RELIEVED != 0 {
            return true; // what it has left to do needs them
        }
        let room = |total: u32| (self.most == 0 || total < self.most).then_some(total + 1);
        let taken = self.total.fetch_update(Relaxed, Relaxed, room).is_ok();
        if taken {
            self.threads().fetch_add(1, Relaxed);
        }
        taken
    }

    fn threads(&self) -> &AtomicU32 {
        &self.pool.threads[self.generation]
    }

    /// A thread has ended.
    pub fn give_place_back(&self) {
        let one_less = |threads: u32| (threads & RELIEVED == 0).then(|| threads.saturating_sub(1));
        if self.threads().fetch_update(Relaxed, Relaxed, one_less).is_ok_and(|before| before > 0) {
            self.total.fetch_sub(1, Relaxed);
        }
    }

    /// A request has begun: what PHP-FPM counts as "accepted conn".
    pub fn count_request(&self) {
        self.pool.accepted.fetch_add(1, Relaxed);
    }

    /// There is work for more threads than there may be.
    pub fn count_reached(&self) {
        self.pool.reached.fetch_add(1, Relaxed);
    }

    /// A request is slow.
    pub fn count_slow(&self) {
        self.pool.slow.fetch_add(1, Relaxed);
    }

    /// A request took as many bytes of memory.
    pub fn note_memory(&self, bytes: u64) {
        self.pool.memory_peak.fetch_max(bytes, Relaxed);
    }

    /// As many threads are busy.
    pub fn note_active(&self, active: usize) {
        self.pool.active_max.fetch_max(u32::try_from(active).unwrap_or(u32::MAX), Relaxed);
    }

    /// As many requests and connections wait.
    pub fn note_queue(&self, waiting: usize) {
        self.pool.queue_max.fetch_max(waiting as u64, Relaxed);
    }

    /// What the master tells systemd.
    pub fn show(&self, idle: usize, active: usize) {
        self.pool.idle.store(u32::try_from(idle).unwrap_or(u32::MAX), Relaxed);
        self.pool.active.store(u32::try_from(active).unwrap_or(u32::MAX), Relaxed);
    }

    /// Unix time at which the pool was started for the first time.
    pub fn start_time(&self) -> i64 {
        self.pool.start_time.load(Relaxed)
    }

    /// Requests begun.
    pub fn accepted(&self) -> u64 {
        self.pool.accepted.load(Relaxed)
    }

    /// See [`OwnFigures::count_reached`].
    pub fn reached(&self) -> u64 {
        self.pool.reached.load(Relaxed)
    }

    /// The most bytes that a request has taken.
    pub fn memory_peak(&self) -> u64 {
        self.pool.memory_peak.load(Relaxed)
    }

    /// The most threads that were ever busy.
    pub fn active_max(&self) -> u64 {
        self.pool.active_max.load(Relaxed).into()
    }

    /// The most that ever waited, as far as anybody looked at the kernel's part.
    pub fn queue_max(&self) -> u64 {
        self.pool.queue_max.load(Relaxed)
    }

    /// Counts what is our own.
    pub fn count(&self, what: Counted) {
        self.pool.own[what as usize].fetch_add(1, Relaxed);
    }

    /// What is our own, by [`Counted`].
    pub fn own(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.pool.own[kind].load(Relaxed))
    }

    /// Requests that were slow.
    pub fn slow(&self) -> u64 {
        self.pool.slow.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shared_by_all_pools_and_come_back_when_a_process_ends() {
        let figures = Figures::map(2, 3).expect("memory");
        let (first, second) = (figures.of(0, 0), figures.of(1, 0));
        assert!(first.take_place() && second.take_place() && first.take_place());
        assert!(!second.take_place(), "the fourth of three");
        first.give_place_back();
        assert!(second.take_place() && !first.take_place());
        figures.ended(1, 0);
        assert!(first.take_place() && first.take_place() && !first.take_place());
        let unlimited = Figures::map(1, 0).expect("memory").of(0, 0);
        assert!((0..1000).all(|_| unlimited.take_place()));
    }

    #[test]
    fn a_process_that_is_relieved_keeps_no_places_from_its_successor() {
        let figures = Figures::map(1, 2).expect("memory");
        let worn = figures.of(0, 4);
        assert!(worn.take_place() && worn.take_place() && !worn.take_place());
        figures.relieved(0, 4);
        let fresh = figures.of(0, 5);
        assert!(fresh.take_place() && fresh.take_place() && !fresh.take_place());
        assert!(worn.take_place(), "for what it has left to do");
        (0..3).for_each(|_| worn.give_place_back());
        assert!(!fresh.take_place(), "they did not count any more");
        figures.ended(0, 5);
        assert!(fresh.take_place() && fresh.take_place() && !fresh.take_place());
    }

    #[test]
    fn figures_outlive_the_process() {
        let figures = Figures::map(1, 0).expect("memory");
        let pool = figures.of(0, 0);
        pool.count_request();
        pool.note_active(5);
        pool.count(Counted::Crash);
        pool.show(3, 4);
        assert_eq!(figures.totals(), (4, 3, 1, 0));
        figures.ended(0, 0);
        assert_eq!((pool.accepted(), pool.active_max(), figures.totals()), (1, 5, (0, 0, 1, 0)));
        assert_eq!(pool.own()[Counted::Crash as usize], 1);
    }
}

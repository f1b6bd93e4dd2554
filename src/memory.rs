//! Where Rust's memory comes from.
//!
//! PHP, its extensions and the C library share malloc(), whose locks a thread may hold when it crashes there, as it does when
//! malloc() finds its heap corrupted. The main thread of a pool process has to answer for that thread, and other threads have
//! requests to end, whose connections and parameters may be of any thread. So what Rust allocates there comes from an allocator
//! without locks. The master uses malloc().

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_long, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use libmimalloc_sys::{
    mi_collect, mi_free, mi_is_in_heap_region, mi_malloc_aligned, mi_option_set, mi_option_t, mi_realloc_aligned,
    mi_zalloc_aligned,
};

static APART: AtomicBool = AtomicBool::new(false);

/// mi_option_arena_reserve, which the crate does not name, and how much address space is to be reserved at a time, in KiB: the
/// default of a GiB would show in each process's size.
const ARENA_RESERVE: (mi_option_t, c_long) = (23, 64 * 1024);

/// From now on, what this process allocates is independent of malloc(), unless that is a sanitizer's, which is to see it.
pub fn keep_apart() {
    if cfg!(ftm_sanitize) {
        return;
    }
    // SAFETY: takes plain numbers.
    unsafe { mi_option_set(ARENA_RESERVE.0, ARENA_RESERVE.1) };
    APART.store(true, Ordering::Relaxed);
}

/// Gives back to the system what is free, here and in what the calling thread keeps for itself: the allocator does that on its
/// own only while it is in use.
pub fn give_back() {
    // SAFETY: takes a plain value.
    unsafe { mi_collect(true) };
}

/// Each thread frees what any other has allocated.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

fn apart() -> bool {
    APART.load(Ordering::Relaxed)
}

fn is_apart(block: *mut u8) -> bool {
    // SAFETY: only compares the address with those of the allocator's regions.
    unsafe { mi_is_in_heap_region(block.cast()) }
}

// SAFETY: each block goes back to the allocator that it came from, with the layout that it was asked for.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that both allocators want.
        unsafe {
            match apart() {
                true => mi_malloc_aligned(layout.size(), layout.align()).cast(),
                false => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in alloc().
        unsafe {
            match apart() {
                true => mi_zalloc_aligned(layout.size(), layout.align()).cast(),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in alloc().
        unsafe {
            match is_apart(block) {
                true => mi_free(block.cast::<c_void>()),
                false => System.dealloc(block, layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in alloc(); `size` is what the caller promises to be right for the alignment; both blocks have as many
        // bytes as are copied.
        unsafe {
            match (is_apart(block), apart()) {
                (true, true) => mi_realloc_aligned(block.cast::<c_void>(), size, layout.align()).cast(),
                (false, false) => System.realloc(block, layout, size),
                // From before.
                _ => {
                    let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !new.is_null() {
                        new.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

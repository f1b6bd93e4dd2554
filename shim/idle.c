/* What an idle PHP thread gives back: memory that its requests have used, and the next one would use again. malloc()'s is
 * not worth it, as measured: what requests take there, they keep or share. */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include "zend_alloc_sizes.h"

#include <pthread.h>
#include <sys/mman.h>

/* Between requests nothing is allocated in PHP's heap, of which the first chunk stays, and as many more as requests have
 * needed on average. */
static void trim_heap(void)
{
	const uintptr_t heap = (uintptr_t) zend_mm_get_heap();
	const uintptr_t chunk = heap & ~(uintptr_t) (ZEND_MM_CHUNK_SIZE - 1);
	const size_t head = ZEND_MM_FIRST_PAGE * ZEND_MM_PAGE_SIZE;

	if (!is_zend_mm() || heap - chunk >= head) {
		return; /* USE_ZEND_ALLOC=0, or the heap of a tool that measures */
	}
	/* Each time counts as a request that needed one chunk. */
	for (int times = 0; times < 16; times++) {
		shutdown_memory_manager(true, false);
	}
	madvise((char *) chunk + head, ZEND_MM_CHUNK_SIZE - head, MADV_DONTNEED);
}

/* The part of the stack below the caller's frame. */
static void trim_stack(void)
{
	const size_t page = (size_t) sysconf(_SC_PAGESIZE);
	pthread_attr_t attributes;
	void *lowest;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
		return;
	}
	if (pthread_attr_getstack(&attributes, &lowest, &size) == 0) {
		/* Some pages are left to the calls that this function makes. */
		const uintptr_t end = ((uintptr_t) __builtin_frame_address(0) & ~(page - 1)) - 4 * page;
		if (end > (uintptr_t) lowest) {
			madvise(lowest, end - (uintptr_t) lowest, MADV_DONTNEED);
		}
	}
	pthread_attr_destroy(&attributes);
}

void ftm_thread_trim(void)
{
	/* What modules have put into the heap at the thread's start goes with its first request. */
	if (FTM_G(served)) {
		trim_heap();
		ftm_tables_trim();
	}
	trim_stack();
}

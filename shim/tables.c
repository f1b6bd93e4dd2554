/*
 * The tables of functions, classes and constants. Thread-safe PHP gives each thread copies of them, most of a megabyte; here
 * threads share what the tables name, to which nobody writes, and the tables themselves begin as one image, in which a page
 * becomes a thread's own when the thread writes to it, as after fork().
 *
 * What opcache's JIT compiles on one thread names the functions that this thread has, and runs on all threads. Before PHP
 * 8.3, they would have gone with the thread.
 *
 *   image    the tables as the main thread has them when all modules have started: a sealed file in memory
 *   thread   one private mapping of it; a table that outgrows its place moves to malloc()'s memory, as any does, and back when
 *            the thread is idle
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { FUNCTIONS, CLASSES, CONSTANTS, TABLES };

/* A table of the image: what it looks like, and where its buckets begin. */
typedef struct image {
	HashTable table;
	size_t offset;
} image;

static image images[TABLES];
/* Of the image: its bytes, how many, and the file that they are in. */
static char *contents;
static size_t size;
static int contents_file = -1;

/* The calling thread's mapping. */
static TSRM_TLS char *mapped;
/* PHP is making the calling thread's tables. */
static TSRM_TLS bool booting;

static HashTable *own(int which)
{
	switch (which) {
		case FUNCTIONS: return CG(function_table);
		case CLASSES: return CG(class_table);
		default: return EG(zend_constants);
	}
}

/* PHP's own destructors, but for what is shared: all that came with a module. */
static void drop_function(zval *function)
{
	if (Z_FUNC_P(function)->type != ZEND_INTERNAL_FUNCTION) {
		zend_function_dtor(function);
	}
}

static void drop_class(zval *class)
{
	if (Z_CE_P(class)->type != ZEND_INTERNAL_CLASS) {
		destroy_zend_class(class);
	}
}

static void drop_constant(zval *constant)
{
	if (!(ZEND_CONSTANT_FLAGS((zend_constant *) Z_PTR_P(constant)) & CONST_PERSISTENT)) {
		free_zend_constant(constant);
	}
}

static const struct {
	dtor_func_t of_php, here;
} destructors[TABLES] = {
	[FUNCTIONS] = {ZEND_FUNCTION_DTOR, drop_function},
	[CLASSES] = {ZEND_CLASS_DTOR, drop_class},
	[CONSTANTS] = {ZEND_CONSTANT_DTOR, drop_constant},
};

static size_t whole_pages(size_t size)
{
	const size_t page = (size_t) sysconf(_SC_PAGESIZE);
	return (size + page - 1) / page * page;
}

#ifdef FTM_WRAPPED
/* Moves the image into a file that threads can map, and nobody can change. False: it is not to be had. */
static bool move_to_file(int file)
{
	char *map = MAP_FAILED;

	if (ftruncate(file, (off_t) size) != 0
	 || (map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) == MAP_FAILED) {
		return false;
	}
	for (int which = 0; which < TABLES; which++) {
		/* Without the buckets that are not in use: what nobody has written to takes no memory. */
		memcpy(map + images[which].offset, contents + images[which].offset, HT_USED_SIZE(&images[which].table));
	}
	munmap(map, size);
	if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0
	 || (map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0)) == MAP_FAILED) {
		return false;
	}
	free(contents);
	contents = map;
	return true;
}
#endif

void ftm_tables_startup(void)
{
	HashTable roomy[TABLES];

	for (int which = 0; which < TABLES; which++) {
		HashTable *source = own(which), *table = &roomy[which];
		/* As much room again: what scripts define is to find place without a move. */
		zend_hash_init(table, source->nNumUsed * 2, NULL, NULL, 1);
		zend_hash_real_init_mixed(table);
		zend_hash_copy(table, source, NULL);
		images[which].table = *table;
		images[which].table.pDestructor = destructors[which].here;
		images[which].offset = size;
		size += whole_pages(HT_SIZE(table));
	}
	contents = pecalloc(1, size, 1);
	for (int which = 0; which < TABLES; which++) {
		memcpy(contents + images[which].offset, HT_GET_DATA_ADDR(&roomy[which]), HT_USED_SIZE(&roomy[which]));
		zend_hash_destroy(&roomy[which]);
	}
#ifdef FTM_WRAPPED
	const int file = memfd_create("php-ftm-tables", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file >= 0) {
		if (move_to_file(file)) {
			contents_file = file;
		} else {
			close(file);
		}
	}
#endif
}

/* `table` has nothing yet, and becomes the calling thread's. */
static void fill(HashTable *table, int which)
{
	const image *image = &images[which];
	char *data;

	if (!mapped && contents_file >= 0) {
		char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, contents_file, 0);
		mapped = map == MAP_FAILED ? NULL : map;
	}
	if (mapped) {
		data = mapped + image->offset;
	} else {
		data = pemalloc(HT_SIZE(&image->table), 1);
		memcpy(data, contents + image->offset, HT_USED_SIZE(&image->table));
	}
	*table = image->table;
	HT_SET_DATA_ADDR(table, data);
}

#ifdef FTM_WRAPPED
/* The linker puts these in the place of the functions that PHP calls, whose own are __real_*. */
void __real_free(void *block);
void __wrap_free(void *block);
void ZEND_FASTCALL __real_zend_hash_copy(HashTable *target, HashTable *source, copy_ctor_func_t copy);
void ZEND_FASTCALL __wrap_zend_hash_copy(HashTable *target, HashTable *source, copy_ctor_func_t copy);

/* A table that outgrows its place, or goes with the thread, leaves memory that was never malloc()'s. */
void __wrap_free(void *block)
{
	if (UNEXPECTED((uintptr_t) block - (uintptr_t) mapped < size) && mapped) {
		return;
	}
	__real_free(block);
}

void ZEND_FASTCALL __wrap_zend_hash_copy(HashTable *target, HashTable *source, copy_ctor_func_t copy)
{
	for (int which = 0; booting && which < TABLES; which++) {
		if (target->pDestructor == destructors[which].of_php) {
			fill(target, which);
			return;
		}
	}
	__real_zend_hash_copy(target, source, copy);
}
#endif

void ftm_tables_boot(void)
{
	booting = true;
	ts_resource(0);
	booting = false;
	ZEND_TSRMLS_CACHE_UPDATE();
	for (int which = 0; which < TABLES; which++) {
		HashTable *table = own(which);
		if (table->pDestructor != destructors[which].here) {
			/* Where PHP's calls are not ours to wrap: it has made its copies. */
			which == CLASSES ? zend_hash_graceful_reverse_destroy(table) : zend_hash_destroy(table);
			fill(table, which);
		}
	}
}

void ftm_tables_leave(void)
{
	for (int which = 0; which < TABLES; which++) {
		own(which)->nNumUsed = own(which)->nNumOfElements = 0;
	}
	ts_free_thread();
	if (mapped) {
		munmap(mapped, size);
		mapped = NULL;
	}
}

void ftm_tables_trim(void)
{
	for (int which = 0; mapped && which < TABLES; which++) {
		HashTable *table = own(which);
		const HashTable *first = &images[which].table;
		char *place = mapped + images[which].offset;
		void *data = HT_GET_DATA_ADDR(table);
		const bool moved = data != (void *) place;
		const bool as_first = table->nNumUsed == first->nNumUsed && table->nNumOfElements == first->nNumOfElements;
		/* Its place is what the image has then. */
		const bool fresh = (moved || as_first) && madvise(place, whole_pages(HT_SIZE(first)), MADV_DONTNEED) == 0;
		if (fresh && moved && as_first) {
			fill(table, which);
			pefree(data, 1);
		}
	}
}

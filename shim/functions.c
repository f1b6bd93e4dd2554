/*
 * Before 8.3, each thread has copies of PHP's own functions, freed with it. What opcache's JIT compiles on one thread names that
 * thread's copies, and runs on all threads, also when the one has ended. So a thread that ends leaves its copies to the next
 * one that starts, and there are never more of them than there were threads at once.
 */
#include "internal.h"

#if PHP_VERSION_ID < 80300

#include <pthread.h>

typedef struct left {
	HashTable *functions;
	struct left *next;
} left;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static left *all;

static void drop(HashTable *functions)
{
	zend_hash_destroy(functions);
	free(functions);
}

void ftm_functions_take_over(void)
{
	pthread_mutex_lock(&mutex);
	left *found = all;
	if (found) {
		all = found->next;
	}
	pthread_mutex_unlock(&mutex);
	if (found) {
		drop(CG(function_table));
		CG(function_table) = found->functions;
		free(found);
	}
}

void ftm_functions_leave(void)
{
	HashTable *none = malloc(sizeof(*none));
	left *entry = malloc(sizeof(*entry));

	if (!none || !entry) {
		free(none);
		free(entry);
		return;
	}
	entry->functions = CG(function_table);
	zend_hash_init(none, 0, NULL, NULL, 1);
	CG(function_table) = none;
	pthread_mutex_lock(&mutex);
	entry->next = all;
	all = entry;
	pthread_mutex_unlock(&mutex);
}

#else

void ftm_functions_take_over(void)
{
}

void ftm_functions_leave(void)
{
}

#endif

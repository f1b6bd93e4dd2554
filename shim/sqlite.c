/*
 * SQLite's wait for a locked database: it sleeps and tries again, for a minute by default, whatever signals come. On a PHP thread
 * it gives up once the request's time is up (request_terminate_timeout). This definition takes the place of SQLite's for PHP's
 * extensions; nobody calls it without SQLite. What remains visible is that "PRAGMA busy_timeout" tells 0.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <time.h>

typedef struct sqlite3 sqlite3;
typedef int busy_timeout(sqlite3 *, int);
typedef int busy_handler(sqlite3 *, int (*)(void *, int), void *);

int sqlite3_busy_timeout(sqlite3 *database, int ms);

#define MISUSE 21

/* SQLite's own pauses between two tries, in milliseconds; the last one is that of all further ones. */
static const int pauses[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
static const int last = sizeof(pauses) / sizeof(*pauses) - 1;

/* Whether to try again, after so many tries. */
static int wait_for_lock(void *limit, int tries)
{
	int64_t left = (intptr_t) limit;

	for (int i = 0; i < tries && i < last; i++) {
		left -= pauses[i];
	}
	left -= tries > last ? (int64_t) (tries - last) * pauses[last] : 0;
	const long pause = (long) MIN(left, pauses[MIN(tries, last)]);
	if (pause <= 0 || ftm_time_is_up()) {
		return 0;
	}
	const struct timespec time = {.tv_nsec = pause * 1000000};
	nanosleep(&time, NULL);
	return !ftm_time_is_up();
}

int sqlite3_busy_timeout(sqlite3 *database, int ms)
{
	if (ftm_php_thread && ms > 0) {
		busy_handler *set_handler = (busy_handler *) dlsym(RTLD_DEFAULT, "sqlite3_busy_handler");
		if (set_handler) {
			return set_handler(database, wait_for_lock, (void *) (intptr_t) ms);
		}
	}
	busy_timeout *of_sqlite = (busy_timeout *) dlsym(RTLD_NEXT, "sqlite3_busy_timeout");
	return of_sqlite ? of_sqlite(database, ms) : MISUSE;
}

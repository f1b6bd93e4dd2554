/*
 * Which descriptors programs inherit that a request starts. PHP opens files, sockets and pipes in a way that every program
 * inherits them; here that would be those of all requests of the pool: locks would stay, and ends of pipes be open, until a
 * stranger's program ends. So a program gets stdin, stdout and stderr, and what it is meant to get:
 *
 *  - from proc_open() the numbers that its descriptorspec names;
 *  - from a library the numbers that it has descriptors copied to, and the pipes that its thread has made: some tell their
 *    program the number of a pipe.
 *
 * Here is what applies to all ways of starting programs, and fork(); for posix_spawn() see spawn.c. The functions that are
 * defined here take the place of the C library's for PHP and its extensions.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "inherited.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANGE_CLOEXEC 4 /* CLOSE_RANGE_CLOEXEC */

void ftm_add_number(numbers *set, int number)
{
	if (number >= FIRST) {
		if (set->count < MOST) {
			set->at[set->count] = number;
		}
		set->count += set->count <= MOST;
	}
}

/* The last pipes and pairs of sockets that the thread has made. Whether they are still the same, their inodes tell. */
static TSRM_TLS struct {
	int number;
	ino_t inode;
} made[32];
static TSRM_TLS size_t made_next;

static int note_made(int result, const int *ends)
{
	struct stat found;

	for (int i = 0; result == 0 && ftm_php_thread && i < 2; i++) {
		if (fstat(ends[i], &found) == 0) {
			made[made_next].number = ends[i];
			made[made_next].inode = found.st_ino;
			made_next = (made_next + 1) % (sizeof(made) / sizeof(*made));
		}
	}
	return result;
}

int pipe(int ends[2])
{
	return note_made((int) syscall(SYS_pipe2, ends, 0), ends);
}

int pipe2(int ends[2], int flags)
{
	return note_made((int) syscall(SYS_pipe2, ends, flags), ends);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
	return note_made((int) syscall(SYS_socketpair, domain, type, protocol, ends), ends);
}

static void keep_made(numbers *kept)
{
	struct stat found;

	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		const int number = made[i].number, flags = number >= FIRST ? fcntl(number, F_GETFD) : -1;
		if (flags >= 0 && !(flags & FD_CLOEXEC) && fstat(number, &found) == 0 && found.st_ino == made[i].inode) {
			ftm_add_number(kept, number);
		}
	}
}

/* The descriptorspec if PHP's proc_open() is running. Where one of its ends has the number that it is to have, PHP does not
 * copy it. */
static HashTable *descriptorspec(void)
{
	const zend_execute_data *call = EG(current_execute_data);

	if (!call || !call->func || call->func->type != ZEND_INTERNAL_FUNCTION || !call->func->common.function_name
	    || !zend_string_equals_literal(call->func->common.function_name, "proc_open") || ZEND_CALL_NUM_ARGS(call) < 2) {
		return NULL;
	}
	const zval *spec = ZEND_CALL_ARG(call, 2);
	ZVAL_DEREF(spec);
	return Z_TYPE_P(spec) == IS_ARRAY ? Z_ARRVAL_P(spec) : NULL;
}

void ftm_keep_meant(numbers *kept)
{
	HashTable *spec = descriptorspec();
	zend_ulong index;
	zend_string *name;

	if (!spec) {
		keep_made(kept);
		return;
	}
	ZEND_HASH_FOREACH_KEY(spec, index, name) {
		if (!name && index <= INT_MAX) {
			ftm_add_number(kept, (int) index);
		}
	} ZEND_HASH_FOREACH_END();
}

/* Without /proc, which a sandbox may lack. */
int ftm_each_open(int (*visit)(int number, void *with), void *with)
{
	struct pollfd asked[512];
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return errno;
	}
	const int most = (int) MIN(limit.rlim_cur, INT_MAX);
	for (int number = FIRST, count; number < most; number += count) {
		count = MIN(most - number, (int) (sizeof(asked) / sizeof(*asked)));
		for (int i = 0; i < count; i++) {
			asked[i] = (struct pollfd) {.fd = number + i};
		}
		/* Tells which are not open. */
		if (poll(asked, (nfds_t) count, 0) < 0) {
			return errno;
		}
		for (int i = 0; i < count; i++) {
			int error = asked[i].revents & POLLNVAL ? 0 : visit(number + i, with);
			if (error) {
				return error;
			}
		}
	}
	return 0;
}

/* Whether the program may get files: PHP opens some, or the script has. */
static bool gets_files(HashTable *spec)
{
	zval *entry;

	ZEND_HASH_FOREACH_VAL(spec, entry) {
		ZVAL_DEREF(entry);
		const zval *kind = Z_TYPE_P(entry) == IS_ARRAY ? zend_hash_index_find_deref(Z_ARRVAL_P(entry), 0) : NULL;
		if (!kind || Z_TYPE_P(kind) != IS_STRING || zend_string_equals_literal(Z_STR_P(kind), "file")) {
			return true;
		}
	} ZEND_HASH_FOREACH_END();
	return false;
}

static int mark(int number, void *with)
{
	(void) with;
	fcntl(number, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* In the child of a fork(): what it copies afterwards is inherited again. Calls async-signal-safe functions only. */
static void in_child(void)
{
	numbers kept = {0};

	if (!ftm_php_thread) {
		return;
	}
	ftm_keep_meant(&kept);
	if (kept.count > MOST) {
		return;
	}
	if (syscall(SYS_close_range, FIRST, ~0U, RANGE_CLOEXEC) != 0) {
		ftm_each_open(mark, NULL); /* a kernel before 5.11 */
	}
	for (size_t i = 0; i < kept.count; i++) {
		fcntl(kept.at[i], F_SETFD, 0);
	}
	HashTable *spec = descriptorspec();
	if (spec && !gets_files(spec)) {
		ftm_copies_drop();
	}
}

void ftm_inherited_startup(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

/*
 * A program that is being started has copies of all descriptors of the process until it is executed. So long, a file that
 * another request has closed seems to be locked still (flock(), see interrupted.c). Who must not be deceived waits here, until
 *
 *  - posix_spawn() has returned: it closes them before (see spawn.c);
 *  - in the child of a fork() by proc_open(), what was ever locked is closed, or the program is executed.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Held by those who start programs. Whoever waits for it is not passed by. */
static pthread_rwlock_t copied = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

/* Nobody waits for longer: what is executed may lie on a file system that does not answer, and a child of a fork() that is not
 * proc_open()'s need not execute anything. Below force_kill_deadline, and enough for a busy machine. */
#define LONGEST_S 3

/* Of the fork() that the thread is calling: a pipe whose other end the child has until it has no copies that matter. */
static TSRM_TLS int kept[2];
static TSRM_TLS bool forking;

/* Descriptors that have been locked, whatever they may be by now. Those of scripts are below this. */
static atomic_uchar locked[FD_SETSIZE];

void ftm_copies_matter(int fd)
{
	if (fd >= 0 && fd < FD_SETSIZE) {
		atomic_store_explicit(&locked[fd], 1, memory_order_relaxed);
	}
}

static struct timespec deadline(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now.tv_sec += LONGEST_S;
	return now;
}

bool ftm_copies_begin(void)
{
	const struct timespec until = deadline();

	return pthread_rwlock_clockrdlock(&copied, CLOCK_MONOTONIC, &until) == 0;
}

void ftm_copies_end(bool begun)
{
	if (begun) {
		pthread_rwlock_unlock(&copied);
	}
}

void ftm_copies_wait(void)
{
	const struct timespec until = deadline();

	ftm_copies_end(pthread_rwlock_clockwrlock(&copied, CLOCK_MONOTONIC, &until) == 0);
}

static void before_fork(void)
{
	forking = ftm_php_thread && ftm_copies_begin();
	if (forking && syscall(SYS_pipe2, kept, O_CLOEXEC) != 0) {
		kept[0] = -1;
	}
}

static void in_parent(void)
{
	if (!forking) {
		return;
	}
	if (kept[0] >= 0) {
		struct pollfd end = {.fd = kept[0]};
		close(kept[1]);
		poll(&end, 1, LONGEST_S * 1000);
		close(kept[0]);
	}
	ftm_copies_end(true);
	forking = false;
}

void ftm_copies_drop(void)
{
	struct stat found;

	for (int fd = 0; fd < FD_SETSIZE; fd++) {
		if (atomic_load_explicit(&locked[fd], memory_order_relaxed) && fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
			close(fd);
		}
	}
	if (forking && kept[0] >= 0) {
		close(kept[1]);
	}
}

void ftm_copies_startup(void)
{
	pthread_atfork(before_fork, in_parent, NULL);
}

/*
 * Calls that PHP repeats when a signal breaks them off: flock() for a session's lock, semop() in sem_acquire(), nanosleep() in
 * time_sleep_until(). Once the request's time is up (request_terminate_timeout), they fail with an error that PHP does not repeat
 * them on; the request ends at its next opcode. These definitions take the place of the C library's for PHP and its extensions.
 *
 * flock() has another side: a lock lasts until the last copy of its descriptor is closed, and programs that others start have
 * copies for a while (see copied.c). So whoever would not wait for a lock waits for that, and asks once more.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <sys/file.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

bool ftm_time_is_up(void)
{
	return ftm_php_thread && FTM_REQUEST() && ftm_rs_kill_pending(FTM_REQUEST());
}

static int result_of(long result, int error)
{
	if (result == -1 && errno == EINTR && ftm_time_is_up()) {
		errno = error;
	}
	return (int) result;
}

int flock(int fd, int operation)
{
	/* Before it is locked: a child of this moment has to know. */
	if (!(operation & LOCK_UN)) {
		ftm_copies_matter(fd);
	}
	long result = syscall(SYS_flock, fd, operation);

	if (result == -1 && errno == EWOULDBLOCK && ftm_php_thread) {
		ftm_copies_wait();
		result = syscall(SYS_flock, fd, operation);
	}
	return result_of(result, EDEADLK);
}

int semop(int id, struct sembuf *operations, size_t count)
{
	return result_of(semtimedop(id, operations, count, NULL), EIDRM);
}

int nanosleep(const struct timespec *time, struct timespec *rest)
{
	const int error = clock_nanosleep(CLOCK_REALTIME, 0, time, rest);

	if (error == 0) {
		return 0;
	}
	errno = error;
	return result_of(-1, ECANCELED);
}

/*
 * flock() of a PHP thread whose request's time is up (request_terminate_timeout). PHP waits on for a session's lock when a signal
 * breaks the wait off, so it is told of an error that it does not wait on for; the request ends at its next opcode. This
 * definition takes the place of the C library's for PHP and its extensions.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

int flock(int fd, int operation)
{
	int result = (int) syscall(SYS_flock, fd, operation);

	if (result == -1 && errno == EINTR && ftm_php_thread && FTM_REQUEST() && ftm_rs_kill_pending(FTM_REQUEST())) {
		errno = EDEADLK;
	}
	return result;
}

/*
 * What a PHP thread does to a descriptor that would act on other requests, too: fcntl() and close(). These definitions take the
 * place of the C library's for PHP and its extensions; other threads get the plain system calls.
 *
 *  - Locks of records belong to the process: see record_locks.c.
 *  - stdout and stderr are the pool's. If one script made the pipe to the log non-blocking, lines of others would be lost.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8 && F_SETLK == F_SETLK64, "fcntl() and fcntl64() must be the same");

static bool is_output_of_pool(int fd)
{
	struct stat found, output;

	if (fstat(fd, &found) != 0) {
		return false;
	}
	for (int number = STDOUT_FILENO; number <= STDERR_FILENO; number++) {
		if (fstat(number, &output) == 0 && output.st_dev == found.st_dev && output.st_ino == found.st_ino) {
			return true;
		}
	}
	return false;
}

static int control(int fd, int command, long argument)
{
	if (ftm_php_thread) {
		switch (command) {
			case F_SETLK:
			case F_SETLKW:
			case F_GETLK:
				return ftm_record_lock(fd, command, (struct flock *) argument);
			case F_SETFL:
				if ((argument & O_NONBLOCK) && is_output_of_pool(fd)) {
					argument &= ~(long) O_NONBLOCK;
				}
				break;
		}
	}
	return (int) syscall(SYS_fcntl, fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
	va_list arguments;

	va_start(arguments, command);
	long argument = va_arg(arguments, long);
	va_end(arguments);
	return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
	va_list arguments;

	va_start(arguments, command);
	long argument = va_arg(arguments, long);
	va_end(arguments);
	return control(fd, command, argument);
}

int lockf(int fd, int command, off_t len)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = len};

	switch (command) {
		case F_ULOCK:
			lock.l_type = F_UNLCK;
			return control(fd, F_SETLK, (long) &lock);
		case F_LOCK:
			return control(fd, F_SETLKW, (long) &lock);
		case F_TLOCK:
			return control(fd, F_SETLK, (long) &lock);
		case F_TEST:
			if (control(fd, F_GETLK, (long) &lock) != 0) {
				return -1;
			}
			if (lock.l_type == F_UNLCK) {
				return 0;
			}
			errno = EACCES;
			return -1;
	}
	errno = EINVAL;
	return -1;
}

int lockf64(int fd, int command, off_t len)
{
	return lockf(fd, command, len);
}

int close(int fd)
{
	ftm_record_locks_close(fd);
	return (int) syscall(SYS_close, fd);
}

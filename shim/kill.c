/*
 * posix_kill(). What scripts know as the process id of a request is the id of its thread, and the kernel takes that for the
 * process of all. So a signal that would end a process ends the request of that thread.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static zif_handler posix_kill;

static bool ends_a_process(zend_long number)
{
	switch (number) {
		case SIGCHLD:
		case SIGCONT:
		case SIGURG:
		case SIGWINCH:
			return false;
		default:
			return number > 0 && number < NSIG; /* the kernel refuses others */
	}
}

static bool is_own_thread(zend_long id)
{
	return id > 0 && id <= INT_MAX && syscall(SYS_tgkill, getpid(), (pid_t) id, 0) == 0;
}

/* Whether this is a thread of another process, such as a request's in another pool. */
static bool is_foreign_thread(zend_long id)
{
	if (id <= 0 || id > INT_MAX) {
		return false;
	}
	int fd = (int) syscall(SYS_pidfd_open, (pid_t) id, 0);
	if (fd >= 0) {
		close(fd);
		return false;
	}
	return errno == EINVAL || errno == ENOENT; /* it exists, and does not lead a process: the number differs by kernel */
}

/* For posix_get_last_error(). */
static void set_last_error(int error)
{
	const zend_module_entry *posix = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("posix"));

	if (posix && posix->globals_size == sizeof(int)) {
		*TSRMG_BULK(*posix->globals_id_ptr, int *) = error;
	}
}

static void refuse(zval *return_value, const char *why)
{
	set_last_error(EPERM);
	php_error_docref(NULL, E_WARNING, "Refused: %s", why);
	RETURN_FALSE;
}

/* May bail out. */
static void own_kill(INTERNAL_FUNCTION_PARAMETERS)
{
	zend_long id, number;

	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_LONG(id)
		Z_PARAM_LONG(number)
	ZEND_PARSE_PARAMETERS_END();
	const bool self = id == 0 || id == getpid() || id == gettid() || id == -(zend_long) getpgrp();
	if (!ends_a_process(number)) {
		posix_kill(INTERNAL_FUNCTION_PARAM_PASSTHRU);
	} else if (self && number == SIGQUIT) {
		FTM_G(retire) = true; /* PHP-FPM's worker ends its request, and leaves */
		RETURN_TRUE;
	} else if (self) {
		zend_error_noreturn(E_ERROR, "The script has sent itself signal " ZEND_LONG_FMT, number);
	} else if (id == -1) {
		refuse(return_value, "it would reach the process of all requests of the pool");
	} else if (is_own_thread(id)) {
		if (FTM_REQUEST() && ftm_rs_kill_thread(FTM_REQUEST(), (int32_t) id, (int32_t) number)) {
			RETURN_TRUE;
		}
		refuse(return_value, "the thread is the server's own");
	} else if (is_foreign_thread(id)) {
		refuse(return_value, "it is a thread, and the signal would reach the process that it belongs to");
	} else {
		posix_kill(INTERNAL_FUNCTION_PARAM_PASSTHRU);
	}
}

void ftm_kill_startup(void)
{
	ftm_replace_function("posix_kill", own_kill, &posix_kill);
}

/*
 * openlog() of a PHP thread is about the thread's own messages, not about those of the process: requests that run at the same
 * time keep their own name, options and facility. The C library has one set of them, and keeps a pointer to the name, which
 * goes with the request. So it is given the thread's for each message, under a lock, and the process's afterwards. The
 * definitions here take the place of the library's for PHP and its extensions.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#undef _FORTIFY_SOURCE /* its syslog() is defined inline */
#include "internal.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <syslog.h>

typedef struct sender {
	const char *name; /* NULL: the program's */
	int options;
	int facility;
} sender;

static TSRM_TLS sender own = {NULL, 0, LOG_USER};
static sender of_process = {NULL, 0, LOG_USER};
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* for of_process, and around all calls of the library */

#define LIBRARY(type, name, parameters) \
	static type (*library) parameters; \
	if (!library) { \
		library = (type (*) parameters) dlsym(RTLD_NEXT, name); \
	}

static void library_openlog(const sender *sender)
{
	LIBRARY(void, "openlog", (const char *, int, int));
	library(sender->name, sender->options, sender->facility);
}

void openlog(const char *name, int options, int facility)
{
	pthread_mutex_lock(&mutex);
	sender *mine = ftm_php_thread ? &own : &of_process;
	mine->name = name;
	mine->options = options;
	/* As in the library, 0 and what is no facility change nothing. */
	if (facility != 0 && (facility & ~LOG_FACMASK) == 0) {
		mine->facility = facility;
	}
	if (!ftm_php_thread) {
		library_openlog(mine);
	}
	pthread_mutex_unlock(&mutex);
}

void closelog(void)
{
	if (ftm_php_thread) {
		own.name = NULL; /* the connection is that of all */
		return;
	}
	LIBRARY(void, "closelog", (void));
	pthread_mutex_lock(&mutex);
	of_process.name = NULL;
	library();
	pthread_mutex_unlock(&mutex);
}

void vsyslog(int priority, const char *format, va_list arguments)
{
	LIBRARY(void, "vsyslog", (int, const char *, va_list));
	const int error = errno; /* for %m */

	pthread_mutex_lock(&mutex);
	if (ftm_php_thread) {
		library_openlog(&own);
		errno = error;
	}
	library(priority, format, arguments);
	if (ftm_php_thread) {
		library_openlog(&of_process);
	}
	pthread_mutex_unlock(&mutex);
}

void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsyslog(priority, format, arguments);
	va_end(arguments);
}

/* What the two are called where they are compiled with _FORTIFY_SOURCE. */
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
	(void) flag;
	vsyslog(priority, format, arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void) flag;
	va_start(arguments, format);
	vsyslog(priority, format, arguments);
	va_end(arguments);
}

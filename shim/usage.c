/*
 * getrusage() and times() of a PHP thread tell what the thread has used, not all threads of the pool: scripts measure
 * themselves by them. The definitions here take the place of the C library's for PHP and its extensions.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

int getrusage(__rusage_who_t who, struct rusage *usage)
{
	OF_PROCESS(int, "getrusage", (__rusage_who_t, struct rusage *));
	return of_process(ftm_php_thread && who == RUSAGE_SELF ? RUSAGE_THREAD : who, usage);
}

static clock_t ticks(const struct timeval *time)
{
	const long per_second = sysconf(_SC_CLK_TCK);

	return time->tv_sec * per_second + time->tv_usec * per_second / 1000000;
}

clock_t times(struct tms *times)
{
	OF_PROCESS(clock_t, "times", (struct tms *));
	struct rusage usage;
	clock_t now = of_process(times);
	if (ftm_php_thread && times && getrusage(RUSAGE_THREAD, &usage) == 0) {
		times->tms_utime = ticks(&usage.ru_utime);
		times->tms_stime = ticks(&usage.ru_stime);
	}
	return now;
}

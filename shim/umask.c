/*
 * The umask of a PHP thread, which has one of its own (see thread.c). This definition takes the place of the C library's for PHP
 * and its extensions.
 */
#include "internal.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static TSRM_TLS bool changed;

mode_t umask(mode_t mask)
{
	changed = true;
	return (mode_t) syscall(SYS_umask, mask);
}

void ftm_umask_back(void)
{
	if (changed) {
		umask(ftm_process_umask);
		changed = false;
	}
}

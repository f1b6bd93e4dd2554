/*
 * Programs that a request has started and not waited for have no other parent than its thread: once they have ended, they would
 * stay as zombies for as long as the process lives.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <pthread.h>
#include <sys/wait.h>

/* The thread may have some: to ask the kernel after each request would be a system call for nothing. */
static TSRM_TLS bool any;

void ftm_program_started(void)
{
	any = ftm_php_thread;
}

void ftm_programs_reap(void)
{
	pid_t ended;

	if (!any) {
		return;
	}
	do {
		ended = waitpid(-1, NULL, WNOHANG | __WNOTHREAD);
	} while (ended > 0);
	any = ended == 0; /* some still run: looked at again after the next request */
}

void ftm_programs_startup(void)
{
	pthread_atfork(NULL, ftm_program_started, NULL);
}

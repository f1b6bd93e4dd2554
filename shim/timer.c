/*
 * max_execution_time of PHP threads, by PHP's own timer for threads. What PHP asks of the C library for it at each request stands
 * here, because most of it needs to be done once: each definition takes the place of the C library's for PHP and its extensions.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef sigev_notify_thread_id
# define sigev_notify_thread_id _sigev_un._tid
#endif

/* The timer of max_execution_time counts the thread's CPU time (max_execution_clock = cpu), as PHP-FPM's ITIMER_PROF
 * does, and lives as long as the thread. PHP makes and deletes one per request, on a wall clock, unless EG(pid) tells it
 * otherwise: equal to getpid() means "there is one", any other value but 0 "it is not mine to delete". */
#define TIMER_KEPT ((pid_t) -1)

static TSRM_TLS bool timer_made;

/* A thread stays in its process: getpid() need not be asked for each request. */
static TSRM_TLS pid_t own_process;

/* PHP starts a request. */
static TSRM_TLS bool starting;

static void timer_make(void)
{
	struct sigevent event = {0};

	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGRTMIN;
	event.sigev_value.sival_ptr = &EG(max_execution_timer_timer);
	event.sigev_notify_thread_id = (pid_t) syscall(SYS_gettid);
	/* Where a foreign SIGRTMIN is passed on to: nobody. PHP saves its own handler here, which would call itself. */
	EG(oldact) = (struct sigaction) {0};
	own_process = getpid();
	if (EG(pid) == own_process) {
		timer_delete(EG(max_execution_timer_timer)); /* the wall clock one that the new thread was given */
	}
	if (timer_create(ftm_config.wall_clock ? CLOCK_BOOTTIME : CLOCK_THREAD_CPUTIME_ID, &event,
	                 &EG(max_execution_timer_timer)) == 0) {
		timer_made = true;
	} else {
		EG(pid) = 0; /* PHP tries to make its own and reports why it cannot */
	}
}

void ftm_timer_prepare(void)
{
	if (!timer_made) {
		timer_make();
	}
	if (timer_made) {
		EG(pid) = own_process;
		starting = true;
	}
}

void ftm_timer_keep(void)
{
	starting = false;
	if (timer_made) {
		EG(pid) = TIMER_KEPT;
	}
}

void ftm_timer_free(void)
{
	if (timer_made) {
		timer_delete(EG(max_execution_timer_timer));
		EG(pid) = 0;
		timer_made = false;
	}
}

/* PHP's handler of the timer's signal, once it is there: nobody else has a use for this signal. */
static _Atomic(void (*)(int, siginfo_t *, void *)) timer_handler;

int sigaction(int signal, const struct sigaction *action, struct sigaction *former)
{
	OF_PROCESS(int, "sigaction", (int, const struct sigaction *, struct sigaction *));
	if (ftm_php_thread && signal == SIGRTMIN && action) {
		if (!former && action->sa_sigaction == atomic_load_explicit(&timer_handler, memory_order_relaxed)) {
			return 0;
		}
		atomic_store_explicit(&timer_handler, action->sa_sigaction, memory_order_relaxed);
	}
	return of_process(signal, action, former);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *former)
{
	static TSRM_TLS bool unblocked; /* the timer's signal, by PHP, before its first request */

	OF_PROCESS(int, "sigprocmask", (int, const sigset_t *, sigset_t *));
	if (ftm_php_thread && how == SIG_UNBLOCK && set && !former) {
		sigset_t rest = *set;
		sigdelset(&rest, SIGRTMIN);
		if (sigisemptyset(&rest) && sigismember(set, SIGRTMIN)) {
			if (unblocked) {
				return 0;
			}
			unblocked = true;
		}
	}
	return of_process(how, set, former);
}

/* PHP sets the timer at the start of a request, for max_input_time, and again when the script begins. No script runs in between
 * that it could end, and the main thread looks after bodies that arrive slowly. */
int timer_settime(timer_t timer, int flags, const struct itimerspec *value, struct itimerspec *former)
{
	OF_PROCESS(int, "timer_settime", (timer_t, int, const struct itimerspec *, struct itimerspec *));
	if (starting && PG(max_input_time) != -1) {
		return 0;
	}
	return of_process(timer, flags, value, former);
}

/*
 * max_execution_time of PHP threads, by PHP's own timer for threads. What PHP asks of the C library for it at each request stands
 * here, because most of it needs to be done once: each definition takes the place of the C library's for PHP and its extensions.
 *
 * A timer that counts processor time is not set for each request, nor stopped: it runs from the first one on. When it goes off,
 * the request of that moment may have begun later: then it is set again, for the rest of that one's time. Between requests, and
 * in those without a limit, it goes off for nothing.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
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

/* The next limit is the one that PHP sets for the script. */
static TSRM_TLS bool first_limit;

/* What the thread will have used of the processor, in nanoseconds: when the limit is reached, 0 where there is none; and when the
 * timer goes off, 0 where it does not. The timer's signal comes to this thread, between any two statements. */
static TSRM_TLS volatile int64_t limit;
static TSRM_TLS volatile int64_t goes_off;

/* What it had used when the script was about to begin; 0: to be asked. */
static TSRM_TLS int64_t begun;

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

#ifdef FTM_WRAPPED
/* The linker has PHP call these at each request. PHP's own ask the system for the process first. */
void __real_zend_max_execution_timer_init(void);
void __wrap_zend_max_execution_timer_init(void);
void __real_zend_max_execution_timer_shutdown(void);
void __wrap_zend_max_execution_timer_shutdown(void);

void __wrap_zend_max_execution_timer_init(void)
{
	if (!timer_made) {
		__real_zend_max_execution_timer_init();
	}
}

void __wrap_zend_max_execution_timer_shutdown(void)
{
	if (!timer_made) {
		__real_zend_max_execution_timer_shutdown();
	}
}
#endif

void ftm_timer_prepare(const ftm_request *request)
{
	if (!timer_made) {
		timer_make();
	}
	first_limit = true;
	begun = request->cpu_time;
	starting = true;
	if (timer_made) {
		EG(pid) = own_process;
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

static int64_t thread_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int set_timer(timer_t timer, int flags, const struct itimerspec *value, struct itimerspec *former)
{
	OF_PROCESS(int, "timer_settime", (timer_t, int, const struct itimerspec *, struct itimerspec *));
	return of_process(timer, flags, value, former);
}

/* The timer goes off when the thread has used `time`. */
static int set_to(int64_t time)
{
	const struct itimerspec value = {.it_value = {time / 1000000000, time % 1000000000}};

	goes_off = time;
	return set_timer(EG(max_execution_timer_timer), TIMER_ABSTIME, &value, NULL);
}

static bool of_processor_time(void)
{
	return timer_made && !ftm_config.wall_clock;
}

/* Who handles the timer's signal: PHP when it is a timer of PHP's that went off, and otherwise whoever said so last. That is PHP
 * again at each request, which does nothing then, unless an extension wants the signal for itself. */
typedef void handler(int, siginfo_t *, void *);
static _Atomic(handler *) of_php, of_last;

/* What the last asked for; ours needs SA_SIGINFO, and is there to stay. */
static atomic_int flags_of_last;

/* Async-signal-safe: the C library's timer_settime() has been looked up before there was anything to go off. */
static void timer_went_off(int signal, siginfo_t *info, void *context)
{
	handler *const php = atomic_load(&of_php);
	handler *const last = atomic_load(&of_last);

	if (!ftm_php_thread || info->si_value.sival_ptr != &EG(max_execution_timer_timer)) {
		if (last != php && (uintptr_t) last != (uintptr_t) SIG_DFL && (uintptr_t) last != (uintptr_t) SIG_IGN) {
			last(signal, info, context);
		}
		return;
	}
	if (of_processor_time()) {
		const int error = errno;
		goes_off = 0;
		const bool early = !limit || thread_time() < limit;
		if (early && limit) {
			(void) set_to(limit);
		}
		errno = error;
		if (early) {
			return;
		}
		limit = 0;
	}
	php(signal, info, context);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *former)
{
	OF_PROCESS(int, "sigaction", (int, const struct sigaction *, struct sigaction *));
	if (signal != SIGRTMIN) {
		return of_process(signal, action, former);
	}
	handler *last = atomic_load(&of_last);
	int flags = atomic_load(&flags_of_last);
	struct sigaction ours;
	if (ftm_php_thread && action) {
		if (!former && action->sa_sigaction == last) {
			return 0;
		}
		if (starting && !atomic_load(&of_php)) {
			/* PHP comes before all modules. */
			atomic_store(&of_php, action->sa_sigaction);
		}
		last = atomic_exchange(&of_last, action->sa_sigaction);
		flags = atomic_exchange(&flags_of_last, action->sa_flags);
		ours = *action;
		ours.sa_sigaction = timer_went_off;
		ours.sa_flags = (ours.sa_flags | SA_SIGINFO) & ~(int) SA_RESETHAND;
		action = &ours;
	}
	const int result = of_process(signal, action, former);
	if (result == 0 && former && former->sa_sigaction == timer_went_off) {
		former->sa_sigaction = last;
		former->sa_flags = flags;
	}
	return result;
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
	if (!ftm_php_thread || !timer_made || timer != EG(max_execution_timer_timer)) {
		return set_timer(timer, flags, value, former);
	}
	if (starting && PG(max_input_time) != -1) {
		return 0;
	}
	if (!of_processor_time()) {
		return set_timer(timer, flags, value, former);
	}
	const bool first = first_limit;
	first_limit = false;
	limit = 0;
	if (value->it_value.tv_sec) {
		const int64_t from = first && begun ? begun : thread_time();
		limit = from + value->it_value.tv_sec * INT64_C(1000000000);
		/* If it has gone off since, it was set again for this limit. */
		if (!goes_off || goes_off > limit) {
			return set_to(limit);
		}
	}
	return 0;
}

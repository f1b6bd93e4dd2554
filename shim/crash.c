/*
 * A fault on a PHP thread (SIGSEGV, SIGBUS, SIGFPE, SIGILL, abort()) does not end the process at once, and with it the
 * requests of all other threads: the handler notes it, tells the main thread, and parks this thread. Once the others are done,
 * or a deadline has passed, the signal takes its default action on this thread, so that a core dump shows the culprit.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* What the main thread calls this thread; 0: it is no PHP thread. Plain data: still there while the thread_local objects of
 * extensions are destroyed. */
static __thread uint64_t fault_id;

static pid_t process;
static int fault_pipe;
static int master;
static char message;
static unsigned most_seconds;
static int released; /* a futex */
static bool any;

/* Sent by the kernel for what the thread did, or by this process itself: abort(). Not by somebody outside. */
static bool is_own(const siginfo_t *info)
{
	return info->si_code > 0 || info->si_pid == process;
}

/* Calls async-signal-safe functions only. */
static void park(void)
{
	struct timespec until, now;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += most_seconds;
	while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= until.tv_sec) {
			return;
		}
		struct timespec left = {.tv_sec = until.tv_sec - now.tv_sec};
		syscall(SYS_futex, &released, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
	}
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};

	(void) context;
	/* A child between fork() and exec() is on its own. */
	if (fault_id && getpid() == process && is_own(info)) {
		ftm_fault fault;

		__atomic_store_n(&any, true, __ATOMIC_RELEASE);
		memset(&fault, 0, sizeof(fault));
		fault.thread = fault_id;
		fault.signal = number;
		/* From here, because the main thread may wait for a lock that this thread holds. */
		send(master, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (write(fault_pipe, &fault, sizeof(fault)) == sizeof(fault)) {
			park();
		}
	}
	sigemptyset(&standard.sa_mask);
	sigaction(number, &standard, NULL);
	/* Blocked until this returns, and then delivered where the fault was. */
	syscall(SYS_tgkill, getpid(), (pid_t) syscall(SYS_gettid), number);
}

void ftm_faults_contain(int pipe, int control, char crashed, uint32_t seconds)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	process = getpid();
	fault_pipe = pipe;
	master = control;
	message = crashed;
	most_seconds = seconds;
	sigfillset(&action.sa_mask); /* a parked thread runs nothing */
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		sigaction(faults[i], &action, NULL);
	}
}

void ftm_fault_name(uint64_t id)
{
	fault_id = id;
}

bool ftm_faults_any(void)
{
	return __atomic_load_n(&any, __ATOMIC_ACQUIRE);
}

void ftm_faults_release(void)
{
	__atomic_store_n(&released, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &released, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/*
 * What reaches a running script from outside:
 *
 *  - its client has left: connection_aborted() tells from then on. The script ends where PHP-FPM would end it, at its next
 *    output, so that work without output is not torn in the middle;
 *  - it is slow: it writes its own backtrace;
 *  - its time is up (request_terminate_timeout), or another request has sent it a signal: a fatal error ends it.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <signal.h>
#include <time.h>

static void (*next_interrupt_function)(zend_execute_data *execute_data);

/* Room for the backtrace of a slow request. */
#define TRACE_MAX (64 * 1024)

static void trace(const ftm_request *request)
{
	char *text = malloc(TRACE_MAX);

	if (text) {
		bool whole = ftm_backtrace(&EG(current_execute_data), ftm_rs_trace_depth(request), text, TRACE_MAX);
		ftm_rs_trace(request, text, strlen(text), whole);
		free(text);
	}
}

/* How long C code may go on that calls functions itself, in milliseconds. */
#define C_PATIENCE 100

/* Whether PHP asks between two opcodes, not in the midst of C code that has called a function: `asker` is where in PHP. */
static bool between_opcodes(zend_execute_data *execute_data, void *asker)
{
	if (!execute_data || !execute_data->func || ZEND_USER_CODE(execute_data->func->type)) {
		return true;
	}
#if PHP_VERSION_ID >= 80400
	/* It also asks when a function of C that the script has called is back, while that still is the current one. */
	Dl_info info;
	return !dladdr(asker, &info) || info.dli_saddr != (void *) zend_call_function;
#else
	(void) asker;
	return false;
#endif
}

/* What C code holds would be lost, such as the socket of a mysqli that throws: it has a moment to return, and the script ends
 * at its next opcode. */
static bool may_end_script(zend_execute_data *execute_data, void *asker)
{
	struct timespec time;

	if (between_opcodes(execute_data, asker)) {
		return true;
	}
	clock_gettime(CLOCK_MONOTONIC, &time);
	const int64_t now = (int64_t) time.tv_sec * 1000 + time.tv_nsec / 1000000;
	if (FTM_G(in_c_since) == 0) {
		FTM_G(in_c_since) = now;
	}
	return now - FTM_G(in_c_since) >= C_PATIENCE;
}

void ftm_end_script_if_wanted(const ftm_request *request)
{
	ftm_kill kill;

	if (ftm_rs_take_kill(request, &kill)) {
		FTM_G(in_c_since) = 0;
		if (kill.signal) {
			zend_error_noreturn(E_ERROR, "Another script has sent this request signal %d (posix_kill)", (int) kill.signal);
		}
		FTM_G(time_up) = true;
		zend_error_noreturn(E_ERROR, "Maximum request time of %u second%s exceeded (request_terminate_timeout)", kill.seconds,
			kill.seconds == 1 ? "" : "s");
	}
}

/* Runs on the PHP thread between two opcodes. May bail out. */
static void on_interrupt(zend_execute_data *execute_data)
{
	const ftm_request *request = FTM_REQUEST();

	if (request) {
		if (ftm_rs_aborted(request)) {
			PG(connection_status) |= PHP_CONNECTION_ABORTED;
		}
		if (ftm_rs_trace_wanted(request)) {
			trace(request);
		}
		if (ftm_rs_kill_pending(request) && !may_end_script(execute_data, __builtin_return_address(0))) {
			zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
		} else {
			ftm_end_script_if_wanted(request);
		}
	}
	if (next_interrupt_function) {
		next_interrupt_function(execute_data);
	}
}

static void on_wake_signal(int signal)
{
	(void) signal; /* the system call that it breaks off is all that is wanted */
}

void ftm_interrupt_startup(void)
{
	struct sigaction action = {.sa_handler = on_wake_signal, .sa_flags = SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	sigaction(SIGRTMIN + 3, &action, NULL);
	next_interrupt_function = zend_interrupt_function;
	zend_interrupt_function = on_interrupt;
}

void ftm_interrupt(void *interrupt)
{
	zend_atomic_bool_store_ex(interrupt, true);
}

int ftm_wake_signal(void)
{
	return SIGRTMIN + 3;
}

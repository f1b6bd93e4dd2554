/*
 * Functions by which a script would act on its process, which is that of all requests of the pool. Those about "my process"
 * are about the thread; those that nothing could be made of are refused. Where a function is disabled or its extension is not
 * loaded, there is nothing to do.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <signal.h>
#include <unistd.h>

/* getmypid(), posix_getpid(): the thread's id, as the status page shows it. Programs name files and locks by it. */
static void own_id(INTERNAL_FUNCTION_PARAMETERS)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_LONG(gettid());
}

static bool ends_a_process(zend_long number)
{
	switch (number) {
		case 0:
		case SIGCHLD:
		case SIGCONT:
		case SIGURG:
		case SIGWINCH:
			return false;
		default:
			return true;
	}
}

static zif_handler posix_kill;

/* posix_kill(): what would end this process ends the request. */
static void kill_own(INTERNAL_FUNCTION_PARAMETERS)
{
	zend_long pid, number;

	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_LONG(pid)
		Z_PARAM_LONG(number)
	ZEND_PARSE_PARAMETERS_END();
	if ((pid == 0 || pid == getpid() || pid == gettid()) && ends_a_process(number)) {
		zend_error_noreturn(E_ERROR, "The script has sent itself signal " ZEND_LONG_FMT, number);
	}
	posix_kill(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

static void refuse(INTERNAL_FUNCTION_PARAMETERS)
{
	(void) execute_data;
	php_error_docref(NULL, E_WARNING, "Refused: the process is that of all requests of the pool");
	RETURN_FALSE;
}

/* pcntl_fork() and its relatives: -1 is their error. And what is declared to return nothing but numbers: PHP relies on that. */
static void refuse_fork(INTERNAL_FUNCTION_PARAMETERS)
{
	refuse(INTERNAL_FUNCTION_PARAM_PASSTHRU);
	RETURN_LONG(-1);
}

/* pcntl_sigprocmask(): a script gets no signals, so that blocking some changes nothing for it, and those of the thread stay
 * as they are. */
static void keep_mask(INTERNAL_FUNCTION_PARAMETERS)
{
	zend_long how;
	HashTable *signals;
	zval *blocked_before = NULL;

	ZEND_PARSE_PARAMETERS_START(2, 3)
		Z_PARAM_LONG(how)
		Z_PARAM_ARRAY_HT(signals)
		Z_PARAM_OPTIONAL
		Z_PARAM_ZVAL(blocked_before)
	ZEND_PARSE_PARAMETERS_END();
	(void) how;
	(void) signals;
	if (blocked_before && !zend_try_array_init(blocked_before)) {
		RETURN_THROWS();
	}
	RETURN_TRUE;
}

static const struct {
	const char *name;
	zif_handler handler;
	zif_handler *original;
} replaced[] = {
	{"chdir", ftm_chdir, &ftm_php_chdir},
	{"getmypid", own_id, NULL},
	{"posix_getpid", own_id, NULL},
	{"posix_kill", kill_own, &posix_kill},
	{"posix_setsid", refuse_fork, NULL},
	{"posix_setpgid", refuse, NULL},
	{"posix_setuid", refuse, NULL},
	{"posix_seteuid", refuse, NULL},
	{"posix_setgid", refuse, NULL},
	{"posix_setegid", refuse, NULL},
	{"posix_initgroups", refuse, NULL},
	{"posix_setrlimit", refuse, NULL},
	{"pcntl_fork", refuse_fork, NULL},
	{"pcntl_rfork", refuse_fork, NULL},
	{"pcntl_forkx", refuse_fork, NULL},
	{"pcntl_wait", refuse_fork, NULL},
	{"pcntl_waitpid", refuse_fork, NULL},
	{"pcntl_waitid", refuse, NULL},
	{"pcntl_exec", refuse, NULL},
	{"pcntl_signal", refuse, NULL},
	{"pcntl_sigprocmask", keep_mask, NULL},
	{"pcntl_sigwaitinfo", refuse, NULL},
	{"pcntl_sigtimedwait", refuse, NULL},
	{"pcntl_alarm", refuse_fork, NULL},
	{"pcntl_setpriority", refuse, NULL},
	{"pcntl_setcpuaffinity", refuse, NULL},
	{"pcntl_unshare", refuse, NULL},
	{"pcntl_setns", refuse, NULL},
};

void ftm_own_process(void)
{
	for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced); i++) {
		const char *name = replaced[i].name;
		zend_internal_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));
		/* Threads may share the function's entry. */
		if (function && function->handler != replaced[i].handler) {
			if (replaced[i].original) {
				*replaced[i].original = function->handler;
			}
			function->handler = replaced[i].handler;
		}
	}
}

const char *ftm_refused_functions(void)
{
	static char names[1024];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced) && len < sizeof(names); i++) {
		const bool refused = replaced[i].handler == refuse || replaced[i].handler == refuse_fork;
		if (refused && ftm_has_function(replaced[i].name)) {
			len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "", replaced[i].name);
		}
	}
	return names;
}

/*
 * Functions by which a script would act on its process, which is that of all requests of the pool. Those about "my process"
 * are about the thread (see also kill.c); those that nothing could be made of are refused.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <unistd.h>

/* getmypid(), posix_getpid(): the thread's id, as the status page shows it. Programs name files and locks by it. */
static void own_id(INTERNAL_FUNCTION_PARAMETERS)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_LONG(gettid());
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

/* pcntl_alarm(): it has no error, and 0 says that no alarm was set before. */
static void refuse_alarm(INTERNAL_FUNCTION_PARAMETERS)
{
	refuse(INTERNAL_FUNCTION_PARAM_PASSTHRU);
	RETURN_LONG(0);
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
} replaced[] = {
	{"getmypid", own_id},
	{"posix_getpid", own_id},
	{"posix_setsid", refuse_fork},
	{"posix_setpgid", refuse},
	{"posix_setuid", refuse},
	{"posix_seteuid", refuse},
	{"posix_setgid", refuse},
	{"posix_setegid", refuse},
	{"posix_initgroups", refuse},
	{"posix_setrlimit", refuse},
	{"pcntl_fork", refuse_fork},
	{"pcntl_rfork", refuse_fork},
	{"pcntl_forkx", refuse_fork},
	{"pcntl_wait", refuse_fork},
	{"pcntl_waitpid", refuse_fork},
	{"pcntl_waitid", refuse},
	{"pcntl_exec", refuse},
	{"pcntl_signal", refuse},
	{"pcntl_sigprocmask", keep_mask},
	{"pcntl_sigwaitinfo", refuse},
	{"pcntl_sigtimedwait", refuse},
	{"pcntl_alarm", refuse_alarm},
	{"pcntl_setpriority", refuse},
	{"pcntl_setcpuaffinity", refuse},
	{"pcntl_unshare", refuse},
	{"pcntl_setns", refuse},
};

void ftm_own_process(void)
{
	for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced); i++) {
		ftm_replace_function(replaced[i].name, replaced[i].handler, NULL);
	}
}

const char *ftm_refused_functions(void)
{
	static char names[1024];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced) && len < sizeof(names); i++) {
		const zif_handler handler = replaced[i].handler;
		const bool refused = handler == refuse || handler == refuse_fork || handler == refuse_alarm;
		if (refused && ftm_has_function(replaced[i].name)) {
			len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "", replaced[i].name);
		}
	}
	return names;
}

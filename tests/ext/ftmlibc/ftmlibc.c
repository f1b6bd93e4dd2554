/* An extension that uses the C library as one may in a process of one's own. */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "php.h"

#include <arpa/inet.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Changes a variable for a moment, without a copy of what it was. */
PHP_FUNCTION(ftmlibc_for_a_moment)
{
	char *name;
	size_t len;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STRING(name, len)
	ZEND_PARSE_PARAMETERS_END();
	char *before = getenv(name);
	if (!before) {
		RETURN_NULL();
	}
	for (int n = 0; n < 10; n++) {
		char other[1000];
		memset(other, 'a' + n, sizeof(other) - 1);
		other[sizeof(other) - 1 - n] = '\0';
		setenv(name, other, 1);
	}
	setenv(name, before, 1);
	RETURN_STRING(getenv(name));
}

PHP_FUNCTION(ftmlibc_clearenv)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_BOOL(clearenv() == 0 && !getenv("POOL"));
}

/* What setlocale() tells of two categories stays what it was, whatever else changes. */
PHP_FUNCTION(ftmlibc_locales)
{
	ZEND_PARSE_PARAMETERS_NONE();
	setlocale(LC_ALL, "C");
	const char *type = setlocale(LC_CTYPE, "C.UTF-8");
	const char *time = setlocale(LC_TIME, NULL);
	setlocale(LC_COLLATE, "C.UTF-8");
	const char *all = setlocale(LC_ALL, NULL);
	setlocale(LC_TIME, type);
	RETURN_STR(strpprintf(0, "%s %s %d", type, time, strncmp(all, "LC_CTYPE=C.UTF-8;LC_NUMERIC=C;LC_TIME=C;", 40) == 0));
}

/* How often another address than this one is found for it. */
PHP_FUNCTION(ftmlibc_wrong_hosts)
{
	char *name;
	size_t len;
	zend_long wrong = 0;
	char found[INET_ADDRSTRLEN];

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STRING(name, len)
	ZEND_PARSE_PARAMETERS_END();
	for (int n = 0; n < 50000; n++) {
		struct hostent *host = gethostbyname(name);
		wrong += !host || !inet_ntop(AF_INET, host->h_addr_list[0], found, sizeof(found)) || strcmp(found, name) != 0;
	}
	RETURN_LONG(wrong);
}

/* Whom an own handler of SIGRTMIN passes it on to, and how often it came. */
static struct sigaction next_handler;
static volatile sig_atomic_t times;

static void own_handler(int number, siginfo_t *info, void *context)
{
	times++;
	next_handler.sa_sigaction(number, info, context);
}

static const char *handler_name(const struct sigaction *action)
{
	if (action->sa_handler == SIG_IGN) {
		return "ignore";
	}
	if (action->sa_handler == SIG_DFL) {
		return "default";
	}
	return action->sa_sigaction == own_handler ? "own" : "another";
}

/* Sets what is to happen at SIGRTMIN, or asks for it; sends one; and tells what was set before, and how often an own handler was
 * called. */
PHP_FUNCTION(ftmlibc_timer_signal)
{
	char *name;
	size_t len;
	struct sigaction action = {0}, former;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STRING(name, len)
	ZEND_PARSE_PARAMETERS_END();
	if (strcmp(name, "ask") == 0) {
		sigaction(SIGRTMIN, NULL, &former);
	} else if (strcmp(name, "own") == 0) {
		action.sa_sigaction = own_handler;
		action.sa_flags = SA_SIGINFO;
		sigaction(SIGRTMIN, NULL, &next_handler);
		sigaction(SIGRTMIN, &action, &former);
	} else {
		action.sa_handler = strcmp(name, "ignore") == 0 ? SIG_IGN : SIG_DFL;
		sigaction(SIGRTMIN, &action, &former);
	}
	times = 0;
	pthread_kill(pthread_self(), SIGRTMIN);
	RETURN_STR(strpprintf(0, "%s %d", handler_name(&former), (int) times));
}

ZEND_BEGIN_ARG_INFO(arginfo_none, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_INFO(arginfo_name, 0)
	ZEND_ARG_INFO(0, name)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(ftmlibc_for_a_moment, arginfo_name)
	PHP_FE(ftmlibc_clearenv, arginfo_none)
	PHP_FE(ftmlibc_locales, arginfo_none)
	PHP_FE(ftmlibc_wrong_hosts, arginfo_name)
	PHP_FE(ftmlibc_timer_signal, arginfo_name)
	PHP_FE_END
};

zend_module_entry ftmlibc_module_entry = {
	STANDARD_MODULE_HEADER, "ftmlibc", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()
ZEND_GET_MODULE(ftmlibc)

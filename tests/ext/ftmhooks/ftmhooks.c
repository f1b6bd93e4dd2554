/*
 * A test extension that notes each hook which PHP calls, as a line "HOOK process thread" in the file that the setting
 * ftmhooks.log names; and that bails out, or fails, in the hook that ftmhooks.bailout or ftmhooks.fail names.
 *
 * ftmhooks.bailout = OBSERVER is an observer whose end handlers bail out: after a fatal error PHP calls those of the open
 * functions first of all in php_request_shutdown(), without a fence.
 */
#include "php.h"
#include "php_ini.h"
#include "zend_observer.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

ZEND_BEGIN_MODULE_GLOBALS(ftmhooks)
	char *bailout;
	char *fail;
ZEND_END_MODULE_GLOBALS(ftmhooks)

ZEND_DECLARE_MODULE_GLOBALS(ftmhooks)
#define HOOKS_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(ftmhooks, v)

static int log_fd = -1;

PHP_INI_BEGIN()
	STD_PHP_INI_ENTRY("ftmhooks.bailout", "", PHP_INI_ALL, OnUpdateString, bailout, zend_ftmhooks_globals, ftmhooks_globals)
	STD_PHP_INI_ENTRY("ftmhooks.fail", "", PHP_INI_ALL, OnUpdateString, fail, zend_ftmhooks_globals, ftmhooks_globals)
	PHP_INI_ENTRY("ftmhooks.log", "", PHP_INI_SYSTEM, NULL)
PHP_INI_END()

static void note(const char *hook)
{
	char line[80];
	int len = snprintf(line, sizeof(line), "%s %d %ld\n", hook, (int) getpid(), (long) syscall(SYS_gettid));

	if (log_fd >= 0 && write(log_fd, line, len) != len) {
		abort();
	}
}

/* May bail out. */
static zend_result hook(const char *name)
{
	note(name);
	if (HOOKS_G(bailout) && strcmp(HOOKS_G(bailout), name) == 0) {
		zend_bailout();
	}
	return HOOKS_G(fail) && strcmp(HOOKS_G(fail), name) == 0 ? FAILURE : SUCCESS;
}

/* The first hook of all. Settings are not registered yet, but the files have been read. */
static PHP_GINIT_FUNCTION(ftmhooks)
{
	char *log;

	memset(ftmhooks_globals, 0, sizeof(*ftmhooks_globals));
	if (log_fd < 0 && cfg_get_string("ftmhooks.log", &log) == SUCCESS && log && *log) {
		log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	}
	note("GINIT");
}

static PHP_GSHUTDOWN_FUNCTION(ftmhooks)
{
	(void) ftmhooks_globals;
	note("GSHUTDOWN");
}

/* Bails out after a fatal error. */
static void observe_end(zend_execute_data *execute_data, zval *return_value)
{
	(void) execute_data;
	(void) return_value;
	if (CG(unclean_shutdown)) {
		zend_bailout();
	}
}

static zend_observer_fcall_handlers observe(zend_execute_data *execute_data)
{
	(void) execute_data;
	return (zend_observer_fcall_handlers) {NULL, observe_end};
}

static PHP_MINIT_FUNCTION(ftmhooks)
{
	(void) type;
	REGISTER_INI_ENTRIES();
	if (HOOKS_G(bailout) && strcmp(HOOKS_G(bailout), "OBSERVER") == 0) {
		zend_observer_fcall_register(observe);
	}
	return hook("MINIT");
}

static PHP_MSHUTDOWN_FUNCTION(ftmhooks)
{
	(void) type;
	note("MSHUTDOWN");
	UNREGISTER_INI_ENTRIES();
	return SUCCESS;
}

static PHP_RINIT_FUNCTION(ftmhooks)
{
	(void) type;
	(void) module_number;
	return hook("RINIT");
}

static PHP_RSHUTDOWN_FUNCTION(ftmhooks)
{
	(void) type;
	(void) module_number;
	return hook("RSHUTDOWN");
}

static ZEND_MODULE_POST_ZEND_DEACTIVATE_D(ftmhooks)
{
	return hook("POST_DEACTIVATE");
}

static zend_module_entry ftmhooks_module_entry = {
	STANDARD_MODULE_HEADER,
	"ftmhooks",
	NULL,
	PHP_MINIT(ftmhooks),
	PHP_MSHUTDOWN(ftmhooks),
	PHP_RINIT(ftmhooks),
	PHP_RSHUTDOWN(ftmhooks),
	NULL,
	"1",
	PHP_MODULE_GLOBALS(ftmhooks),
	PHP_GINIT(ftmhooks),
	PHP_GSHUTDOWN(ftmhooks),
	ZEND_MODULE_POST_ZEND_DEACTIVATE_N(ftmhooks),
	STANDARD_MODULE_PROPERTIES_EX
};

ZEND_GET_MODULE(ftmhooks)

/*
 * A test extension that notes each hook which PHP calls, as a line "HOOK process thread" in the file that the setting
 * ftmhooks.log names; and that bails out, or fails, in the hook that ftmhooks.bailout or ftmhooks.fail names.
 *
 * ftm_bailing_resource() returns a resource that bails out when it is freed. PHP fences the first such bailout in at the
 * end of a request, but the second one leaves php_request_shutdown() in the midst of its work.
 */
#include "php.h"
#include "php_ini.h"

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
static int le_bailing;

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

/* Bails out. */
static void free_bailing(zend_resource *resource)
{
	(void) resource;
	zend_bailout();
}

PHP_FUNCTION(ftm_bailing_resource)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_RES(zend_register_resource(&le_bailing, le_bailing));
}

static PHP_MINIT_FUNCTION(ftmhooks)
{
	(void) type;
	REGISTER_INI_ENTRIES();
	le_bailing = zend_register_list_destructors_ex(free_bailing, NULL, "bailing", module_number);
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

ZEND_BEGIN_ARG_INFO_EX(arginfo_bailing_resource, 0, 0, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(ftm_bailing_resource, arginfo_bailing_resource)
	PHP_FE_END
};

static zend_module_entry ftmhooks_module_entry = {
	STANDARD_MODULE_HEADER,
	"ftmhooks",
	functions,
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

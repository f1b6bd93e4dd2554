/*
 * A test extension that crashes as bad extensions do: at once, by ftm_crash(), or when its thread ends, by
 * ftm_crash_at_end(): in GSHUTDOWN, or in the destructor of a C++ thread_local.
 */
extern "C" {
#include "php.h"
}
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

struct at_end {
	bool aborts = false;

	~at_end()
	{
		if (aborts) {
			abort();
		}
	}
};

static thread_local at_end local;

ZEND_BEGIN_MODULE_GLOBALS(ftmcrash)
	bool frees_twice;
ZEND_END_MODULE_GLOBALS(ftmcrash)

ZEND_DECLARE_MODULE_GLOBALS(ftmcrash)

static void free_twice()
{
	void *volatile block = malloc(4096); /* too large for a cache that looks at nothing */
	void *volatile guard = malloc(4096);

	free(block);
	free(block);
	free(guard);
}

static PHP_GINIT_FUNCTION(ftmcrash)
{
	ftmcrash_globals->frees_twice = false;
}

static PHP_GSHUTDOWN_FUNCTION(ftmcrash)
{
	if (ftmcrash_globals->frees_twice) {
		free_twice();
	}
}

static int overflow(volatile char *from)
{
	volatile char frame[4096];

	frame[0] = *from;
	return overflow(frame) + frame[0];
}

static volatile int zero = 0;

/* ftm_crash(string $how) */
PHP_FUNCTION(ftm_crash)
{
	char *how;
	size_t len;
	char first = 0;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STRING(how, len)
	ZEND_PARSE_PARAMETERS_END();
	if (strcmp(how, "null") == 0) {
		*static_cast<volatile int *>(nullptr) = 1;
	} else if (strcmp(how, "stack") == 0) {
		RETURN_LONG(overflow(&first));
	} else if (strcmp(how, "abort") == 0) {
		abort();
	} else if (strcmp(how, "division") == 0) {
		RETURN_LONG(1000 / zero);
	} else if (strcmp(how, "heap") == 0) {
		free_twice();
	} else if (strcmp(how, "raise") == 0) {
		kill(getpid(), SIGSEGV);
	}
}

/* ftm_crash_at_end(string $where) */
PHP_FUNCTION(ftm_crash_at_end)
{
	char *where;
	size_t len;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STRING(where, len)
	ZEND_PARSE_PARAMETERS_END();
	if (strcmp(where, "GSHUTDOWN") == 0) {
		ZEND_MODULE_GLOBALS_ACCESSOR(ftmcrash, frees_twice) = true;
	} else {
		local.aborts = true;
	}
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_crash, 0, 1, IS_LONG, 1)
	ZEND_ARG_TYPE_INFO(0, how, IS_STRING, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_crash_at_end, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, where, IS_STRING, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(ftm_crash, arginfo_crash)
	PHP_FE(ftm_crash_at_end, arginfo_crash_at_end)
	PHP_FE_END
};

static zend_module_entry ftmcrash_module_entry = {
	STANDARD_MODULE_HEADER,
	"ftmcrash",
	functions,
	nullptr, nullptr, nullptr, nullptr, nullptr,
	"1",
	PHP_MODULE_GLOBALS(ftmcrash),
	PHP_GINIT(ftmcrash),
	PHP_GSHUTDOWN(ftmcrash),
	nullptr,
	STANDARD_MODULE_PROPERTIES_EX
};

extern "C" {
ZEND_GET_MODULE(ftmcrash)
}

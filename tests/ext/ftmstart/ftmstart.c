/* An extension whose start goes as the variable FTM_START says: as one built for a PHP without threads, by a crash, or
 * never to its end. */
#include "php.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static bool asked(const char *how)
{
	const char *start = getenv("FTM_START");
	return start && strcmp(start, how) == 0;
}

static PHP_MINIT_FUNCTION(ftmstart)
{
	(void) type, (void) module_number;
	if (asked("crash")) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	while (asked("hang")) {
		pause();
	}
	return asked("fail") ? FAILURE : SUCCESS;
}

static zend_module_entry entry = {
	STANDARD_MODULE_HEADER, "ftmstart", NULL, PHP_MINIT(ftmstart), NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()

ZEND_DLEXPORT zend_module_entry *get_module(void)
{
	if (asked("nts")) {
		entry.build_id = "API" ZEND_TOSTR(ZEND_MODULE_API_NO) ",NTS";
	}
	return &entry;
}

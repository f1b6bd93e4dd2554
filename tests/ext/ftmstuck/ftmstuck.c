/* Functions that never return: ftm_spin() computes, ftm_block() waits on whatever signal comes. */
#include "php.h"

#include <unistd.h>

static PHP_FUNCTION(ftm_spin)
{
	ZEND_PARSE_PARAMETERS_NONE();
	for (volatile unsigned n = 0;; n++) {
	}
}

static PHP_FUNCTION(ftm_block)
{
	ZEND_PARSE_PARAMETERS_NONE();
	for (;;) {
		pause();
	}
}

ZEND_BEGIN_ARG_INFO_EX(no_arguments, 0, 0, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(ftm_spin, no_arguments)
	PHP_FE(ftm_block, no_arguments)
	PHP_FE_END
};

static zend_module_entry entry = {
	STANDARD_MODULE_HEADER, "ftmstuck", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()

ZEND_DLEXPORT zend_module_entry *get_module(void)
{
	return &entry;
}

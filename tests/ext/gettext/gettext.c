/* Has functions of the names of gettext's that act on all requests, which do nothing. */
#include "php.h"

ZEND_BEGIN_ARG_INFO_EX(arginfo_none, 0, 0, 0)
ZEND_END_ARG_INFO()

static PHP_FUNCTION(textdomain)
{
	ZEND_PARSE_PARAMETERS_NONE();
}

static const zend_function_entry functions[] = {
	PHP_FE(textdomain, arginfo_none)
	PHP_FALIAS(bindtextdomain, textdomain, arginfo_none)
	PHP_FE_END
};

zend_module_entry gettext_module_entry = {
	STANDARD_MODULE_HEADER, "gettext", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()
ZEND_GET_MODULE(gettext)

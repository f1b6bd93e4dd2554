/* What PHP's gettext has of the C library's functions, as far as tests need it. */
#include "php.h"

#include <libintl.h>

ZEND_BEGIN_ARG_INFO_EX(arginfo_one, 0, 0, 1)
	ZEND_ARG_INFO(0, text)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(arginfo_two, 0, 0, 2)
	ZEND_ARG_INFO(0, domain)
	ZEND_ARG_INFO(0, directory)
ZEND_END_ARG_INFO()

static PHP_FUNCTION(textdomain)
{
	char *domain;
	size_t len;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_PATH(domain, len)
	ZEND_PARSE_PARAMETERS_END();
	RETURN_STRING(textdomain(domain));
}

static PHP_FUNCTION(bindtextdomain)
{
	char *domain, *directory;
	size_t domain_len, directory_len;

	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_PATH(domain, domain_len)
		Z_PARAM_PATH(directory, directory_len)
	ZEND_PARSE_PARAMETERS_END();
	RETURN_STRING(bindtextdomain(domain, directory));
}

static PHP_FUNCTION(gettext)
{
	char *message;
	size_t len;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_PATH(message, len)
	ZEND_PARSE_PARAMETERS_END();
	RETURN_STRING(gettext(message));
}

static const zend_function_entry functions[] = {
	PHP_FE(textdomain, arginfo_one)
	PHP_FE(bindtextdomain, arginfo_two)
	PHP_FE(gettext, arginfo_one)
	PHP_FE_END
};

zend_module_entry gettext_module_entry = {
	STANDARD_MODULE_HEADER, "gettext", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()
ZEND_GET_MODULE(gettext)

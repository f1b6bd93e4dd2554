/* Bears the name of an extension that is known not to bear threads, and does nothing. */
#include "php.h"

zend_module_entry imap_module_entry = {
	STANDARD_MODULE_HEADER, "imap", NULL, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_TSRMLS_CACHE_DEFINE()
ZEND_GET_MODULE(imap)

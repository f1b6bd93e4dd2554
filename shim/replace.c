/*
 * PHP functions that php-ftm has a version of its own of. They are put in their places once, when all modules are there and
 * before PHP's tables are copied for threads, or shared with them.
 */
#include "internal.h"

static zend_result (*next_post_startup)(void);

void ftm_replace_function(const char *name, zif_handler handler, zif_handler *original)
{
	zend_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

	if (function && function->type == ZEND_INTERNAL_FUNCTION) {
		if (original) {
			*original = function->internal_function.handler;
		}
		function->internal_function.handler = handler;
	}
}

static zend_result replace(void)
{
	ftm_own_process();
	ftm_kill_startup();
	ftm_replace_function("chdir", ftm_chdir, &ftm_php_chdir);
	ftm_opcache_hook();
	return next_post_startup ? next_post_startup() : SUCCESS;
}

void ftm_replace_startup(void)
{
	next_post_startup = zend_post_startup_cb;
	zend_post_startup_cb = replace;
}

/*
 * opcache's restarts. It wipes the memory that all threads run from when nobody uses it, which it finds out by locks of
 * processes: it does not see the threads of its own. So php-ftm holds a lock that it does see, and lets go of it when no thread
 * runs a script (src/pool/opcache.rs). Here stands what is asked of opcache, and when.
 */
#include "internal.h"

static zif_handler original_reset;

/* opcache_reset(): as it is, and the pool hears of it. */
static void reset_handler(INTERNAL_FUNCTION_PARAMETERS)
{
	original_reset(INTERNAL_FUNCTION_PARAM_PASSTHRU);
	if (Z_TYPE_P(return_value) == IS_TRUE && FTM_REQUEST()) {
		ftm_rs_opcache_wanted(FTM_REQUEST());
	}
}

void ftm_opcache_hook(void)
{
	zend_internal_function *reset = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("opcache_reset"));

	/* Threads may share the function's entry. */
	if (reset && reset->handler != reset_handler) {
		original_reset = reset->handler;
		reset->handler = reset_handler;
	}
}

static zend_long number(zval *array, const char *name)
{
	zval *found = array && Z_TYPE_P(array) == IS_ARRAY ? zend_hash_str_find(Z_ARRVAL_P(array), name, strlen(name)) : NULL;
	return found ? zval_get_long(found) : 0;
}

void ftm_opcache_look(const ftm_request *request)
{
	zend_function *get_status = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("opcache_get_status"));
	char *const path = SG(request_info).path_translated;
	zval status, without_scripts;

	if (!get_status) {
		return;
	}
	/* opcache.restrict_api is meant for scripts. */
	SG(request_info).path_translated = INI_STR("opcache.restrict_api");
	ZVAL_FALSE(&without_scripts);
	ZVAL_UNDEF(&status);
	zend_call_known_function(get_status, NULL, NULL, &status, 1, &without_scripts, NULL);
	SG(request_info).path_translated = path;
	if (Z_TYPE(status) == IS_ARRAY) {
		zval *statistics = zend_hash_str_find(Z_ARRVAL(status), ZEND_STRL("opcache_statistics"));
		zend_long restarts = number(statistics, "oom_restarts") + number(statistics, "hash_restarts")
			+ number(statistics, "manual_restarts");
		ftm_rs_opcache_restarts(request, (uint64_t) restarts);
		if (number(&status, "restart_pending")) {
			ftm_rs_opcache_wanted(request);
		}
	}
	zval_ptr_dtor(&status);
}

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
	ftm_replace_function("opcache_reset", reset_handler, &original_reset);
}

static zend_long number(zval *array, const char *name)
{
	zval *found = array && Z_TYPE_P(array) == IS_ARRAY ? zend_hash_str_find(Z_ARRVAL_P(array), name, strlen(name)) : NULL;
	return found ? zval_get_long(found) : 0;
}

/* opcache_get_status(), also where it is disabled for scripts. */
static zend_function get_status;

void ftm_opcache_startup(void)
{
	const zend_module_entry *opcache = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("zend opcache"));

	for (const zend_function_entry *entry = opcache ? opcache->functions : NULL; entry && entry->fname; entry++) {
		if (strcmp(entry->fname, "opcache_get_status") == 0) {
			get_status.type = ZEND_INTERNAL_FUNCTION;
			get_status.internal_function.function_name = zend_string_init_interned(ZEND_STRL("opcache_get_status"), 1);
			get_status.internal_function.handler = entry->handler;
			get_status.internal_function.num_args = entry->num_args;
		}
	}
}

/* Calls it without its list of scripts. Not as a script calls a function: what interrupts a script is not for this. */
static void call_get_status(zval *status)
{
	zend_execute_data *call = zend_vm_stack_push_call_frame(ZEND_CALL_TOP_FUNCTION, &get_status, 1, NULL);

	ZVAL_FALSE(ZEND_CALL_ARG(call, 1));
	call->prev_execute_data = EG(current_execute_data);
	EG(current_execute_data) = call;
	get_status.internal_function.handler(call, status);
	EG(current_execute_data) = call->prev_execute_data;
	zend_vm_stack_free_args(call);
	zend_vm_stack_free_call_frame(call);
}

bool ftm_opcache_look(const ftm_request *request)
{
	char *const path = SG(request_info).path_translated;
	volatile bool done = false;
	zval status;

	if (!get_status.internal_function.handler) {
		return true;
	}
	ZVAL_UNDEF(&status);
	zend_try {
		/* opcache.restrict_api is meant for scripts. */
		SG(request_info).path_translated = INI_STR("opcache.restrict_api");
		call_get_status(&status);
		done = true;
	} zend_end_try();
	SG(request_info).path_translated = path;
	if (done && Z_TYPE(status) == IS_ARRAY) {
		zval *statistics = zend_hash_str_find(Z_ARRVAL(status), ZEND_STRL("opcache_statistics"));
		zend_long restarts = number(statistics, "oom_restarts") + number(statistics, "hash_restarts")
			+ number(statistics, "manual_restarts");
		ftm_rs_opcache_restarts(request, (uint64_t) restarts);
		if (number(&status, "restart_pending")) {
			ftm_rs_opcache_wanted(request);
		}
		zval_ptr_dtor(&status);
	}
	return done;
}

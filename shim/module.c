/* The module "cgi-fcgi": ini entries and PHP functions under the names that PHP-FPM gives them. */
#include "internal.h"

#include "SAPI.h"
#include "ext/standard/head.h"

ZEND_DECLARE_MODULE_GLOBALS(ftm)

PHP_INI_BEGIN()
	STD_PHP_INI_BOOLEAN("cgi.rfc2616_headers", "0", PHP_INI_ALL, OnUpdateBool, rfc2616_headers, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_BOOLEAN("cgi.nph", "0", PHP_INI_ALL, OnUpdateBool, nph, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_BOOLEAN("cgi.force_redirect", "1", PHP_INI_SYSTEM, OnUpdateBool, force_redirect, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_ENTRY("cgi.redirect_status_env", NULL, PHP_INI_SYSTEM, OnUpdateString, redirect_status_env, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_BOOLEAN("cgi.fix_pathinfo", "1", PHP_INI_SYSTEM, OnUpdateBool, fix_pathinfo, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_BOOLEAN("cgi.discard_path", "0", PHP_INI_SYSTEM, OnUpdateBool, discard_path, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_BOOLEAN("fastcgi.logging", "1", PHP_INI_SYSTEM, OnUpdateBool, fcgi_logging, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_ENTRY("fastcgi.error_header", NULL, PHP_INI_SYSTEM, OnUpdateString, error_header, zend_ftm_globals, ftm_globals)
	STD_PHP_INI_ENTRY("fpm.config", NULL, PHP_INI_SYSTEM, OnUpdateString, fpm_config, zend_ftm_globals, ftm_globals)
PHP_INI_END()

static PHP_GINIT_FUNCTION(ftm)
{
	memset(ftm_globals, 0, sizeof(*ftm_globals));
	ftm_globals->force_redirect = true;
	ftm_globals->fix_pathinfo = true;
	ftm_globals->fcgi_logging = true;
	ftm_globals->body_fd = -1;
}

static PHP_GSHUTDOWN_FUNCTION(ftm)
{
	ftm_user_ini_free(&ftm_globals->user_ini);
}

/* disable_functions of the pool adds to that of php.ini. PHP acts on the entry after the modules' startup. */
static void append_to_entry(const char *name, const char *more)
{
	zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), name, strlen(name));
	if (!more || !entry) {
		return;
	}
	const char *given = entry->value ? ZSTR_VAL(entry->value) : "";
	char *joined;
	size_t len = spprintf(&joined, 0, "%s%s%s", given, *given ? "," : "", more);
	entry->value = zend_string_init(joined, len, 1);
	efree(joined);
}

static PHP_MINIT_FUNCTION(ftm)
{
	(void) type;
	REGISTER_INI_ENTRIES();
	append_to_entry("disable_functions", ftm_config.disable_functions);
	append_to_entry("disable_classes", ftm_config.disable_classes);
	ftm_replace_startup();
	ftm_interrupt_startup();
	return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(ftm)
{
	(void) type;
	UNREGISTER_INI_ENTRIES();
	return SUCCESS;
}

/* After all modules, and before the request's memory goes. */
static zend_result after_modules(void)
{
	/* Whatever of the body was not read is dropped by the main thread: PHP would read it to its end here, and a slow upload
	 * would hold this thread. Not earlier, since shutdown functions may read it. */
	SG(post_read) = 1;
	ftm_ini_restore_params();
	ftm_session_close();
	FTM_G(modules_ended) = true;
	return SUCCESS;
}

static PHP_MINFO_FUNCTION(ftm)
{
	php_info_print_table_start();
	php_info_print_table_row(2, "php-fpm", "active"); /* as tools that read phpinfo() expect it */
	php_info_print_table_end();
	DISPLAY_INI_ENTRIES();
	(void) zend_module;
}

/* {{{ Ends the response and closes it for the client; the script goes on. */
PHP_FUNCTION(fastcgi_finish_request)
{
	const ftm_request *request = FTM_REQUEST();

	ZEND_PARSE_PARAMETERS_NONE();
	if (!request || ftm_rs_finished(request)) {
		RETURN_FALSE;
	}
	php_output_end_all();
	php_header();
	RETURN_BOOL(ftm_rs_finish(request));
}
/* }}} */

/* {{{ The request's HTTP headers, the last that arrived first. */
PHP_FUNCTION(apache_request_headers)
{
	const ftm_request *request = FTM_REQUEST();

	ZEND_PARSE_PARAMETERS_NONE();
	array_init(return_value);
	for (size_t i = request ? ftm_params(request) : 0; i-- > 0;) {
		const ftm_param p = ftm_param_at(request, i);
		sapi_add_request_header(p.name, p.name_len, p.value, p.value_len, return_value);
	}
}
/* }}} */

static void status_row(zval *rows, const ftm_status_slot *slot)
{
	zval row;
	array_init(&row);
	add_assoc_long(&row, "pid", (zend_long) slot->thread_id);
	add_assoc_string(&row, "state", slot->state);
	add_assoc_long(&row, "start-time", (zend_long) slot->start_time);
	add_assoc_long(&row, "start-since", (zend_long) (time(NULL) - slot->start_time));
	add_assoc_long(&row, "requests", (zend_long) slot->requests);
	add_assoc_long(&row, "request-duration", (zend_long) slot->duration_us);
	add_assoc_string(&row, "request-method", *slot->method ? slot->method : "-");
	add_assoc_string(&row, "request-uri", slot->uri);
	add_assoc_string(&row, "query-string", slot->query);
	add_assoc_long(&row, "request-length", (zend_long) slot->content_length);
	add_assoc_string(&row, "user", *slot->user ? slot->user : "-");
	add_assoc_string(&row, "script", *slot->script ? slot->script : "-");
	add_assoc_double(&row, "last-request-cpu", slot->cpu_percent);
	add_assoc_long(&row, "last-request-memory", (zend_long) slot->memory);
	add_next_index_zval(rows, &row);
}

/* {{{ The pool and its threads: PHP-FPM's fields, no others. */
PHP_FUNCTION(fpm_get_status)
{
	ftm_status status;
	ftm_status_slot slot;
	zval rows;

	ZEND_PARSE_PARAMETERS_NONE();
	if (!ftm_rs_status(&status)) {
		RETURN_FALSE;
	}
	array_init(return_value);
	add_assoc_string(return_value, "pool", status.pool);
	add_assoc_string(return_value, "process-manager", status.process_manager);
	add_assoc_long(return_value, "start-time", (zend_long) status.start_time);
	add_assoc_long(return_value, "start-since", (zend_long) (time(NULL) - status.start_time));
	add_assoc_long(return_value, "accepted-conn", (zend_long) status.accepted);
	add_assoc_long(return_value, "listen-queue", (zend_long) status.queue);
	add_assoc_long(return_value, "max-listen-queue", (zend_long) status.queue_max);
	add_assoc_long(return_value, "listen-queue-len", (zend_long) status.queue_limit);
	add_assoc_long(return_value, "idle-processes", (zend_long) status.idle);
	add_assoc_long(return_value, "active-processes", (zend_long) status.active);
	add_assoc_long(return_value, "total-processes", (zend_long) (status.idle + status.active));
	add_assoc_long(return_value, "max-active-processes", (zend_long) status.active_max);
	add_assoc_long(return_value, "max-children-reached", (zend_long) status.max_children_reached);
	add_assoc_long(return_value, "slow-requests", (zend_long) status.slow_requests);
#if PHP_VERSION_ID >= 80400
	add_assoc_long(return_value, "memory-peak", (zend_long) status.memory_peak);
#endif
	array_init(&rows);
	for (size_t i = 0; i < status.slots; i++) {
		if (ftm_rs_status_slot(i, &slot)) {
			status_row(&rows, &slot);
		}
	}
	add_assoc_zval(return_value, "procs", &rows);
}
/* }}} */

/* {{{ What php-ftm knows of the pool beyond PHP-FPM's fields. */
PHP_FUNCTION(ftm_get_status)
{
	const char *name;
	int64_t value;

	ZEND_PARSE_PARAMETERS_NONE();
	if (!ftm_rs_own_figure(0, &name, &value)) {
		RETURN_FALSE;
	}
	array_init(return_value);
	for (size_t i = 0; ftm_rs_own_figure(i, &name, &value); i++) {
		add_assoc_long(return_value, name, (zend_long) value);
	}
}
/* }}} */

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_bool, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_array, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_MASK_EX(arginfo_array_or_false, 0, 0, MAY_BE_ARRAY | MAY_BE_FALSE)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(fastcgi_finish_request, arginfo_bool)
	PHP_FE(apache_request_headers, arginfo_array)
	PHP_FALIAS(getallheaders, apache_request_headers, arginfo_array)
	PHP_FE(fpm_get_status, arginfo_array_or_false)
	PHP_FE(ftm_get_status, arginfo_array_or_false)
	PHP_FE_END
};

zend_module_entry ftm_module_entry = {
	STANDARD_MODULE_HEADER,
	"cgi-fcgi",
	functions,
	PHP_MINIT(ftm),
	PHP_MSHUTDOWN(ftm),
	NULL,
	NULL,
	PHP_MINFO(ftm),
	PHP_VERSION,
	PHP_MODULE_GLOBALS(ftm),
	PHP_GINIT(ftm),
	PHP_GSHUTDOWN(ftm),
	after_modules,
	STANDARD_MODULE_PROPERTIES_EX
};

/* $_SERVER and $_ENV: the process's environment, then the parameters, in PHP-FPM's order. */
#include "internal.h"

#include "php_globals.h"

static void (*import_process_environment)(zval *array);

static void import_params(zval *array, bool filtered)
{
	const ftm_request *request = FTM_REQUEST();
	int source = Z_ARR_P(array) == Z_ARR(PG(http_globals)[TRACK_VARS_ENV]) ? PARSE_ENV : PARSE_SERVER;

	if (!request) {
		return;
	}
	/* With room for what PHP adds. An environment of numbers alone makes a list. */
	if (!(HT_FLAGS(Z_ARRVAL_P(array)) & HASH_FLAG_PACKED)) {
		zend_hash_extend(Z_ARRVAL_P(array), zend_hash_num_elements(Z_ARRVAL_P(array)) + (uint32_t) ftm_params(request) + 8, false);
	}
	for (size_t i = ftm_params(request); i-- > 0;) {
		ftm_param p = ftm_param_at(request, i);

		/* What passes the filter is cut at a NUL, as in PHP-FPM. */
		if (!filtered || sapi_module.input_filter(source, p.name, &p.value, strlen(p.value), &p.value_len)) {
			php_register_variable_safe(p.name, p.value, p.value_len, array);
		}
	}
}

static bool copy_track_vars(zval *array, int from)
{
	zval *source = &PG(http_globals)[from];

	if (Z_TYPE_P(source) != IS_ARRAY || Z_ARR_P(source) == Z_ARR_P(array) || !zend_hash_num_elements(Z_ARRVAL_P(source))) {
		return false;
	}
	zend_array_destroy(Z_ARR_P(array));
	Z_ARR_P(array) = zend_array_dup(Z_ARR_P(source));
	return true;
}

/* As PHP imports that of the process: names that a parameter cannot have are left out. */
static void import_own_environment(zval *array)
{
	char **const texts = ftm_environment();

	if (texts == environ) {
		import_process_environment(array);
		return;
	}
	for (char **text = texts; *text; text++) {
		const char *end = *text + strcspn(*text, "=");
		zval value;
		if (*end == '=' && strcspn(*text, " .[") >= (size_t) (end - *text)) {
			ZVAL_STRING(&value, end + 1);
			zend_symtable_str_update(Z_ARRVAL_P(array), *text, end - *text, &value);
		}
	}
}

static void import_environment(zval *array)
{
	if (copy_track_vars(array, TRACK_VARS_ENV) || copy_track_vars(array, TRACK_VARS_SERVER)) {
		return;
	}
	import_own_environment(array);
	import_params(array, true);
}

#if PHP_VERSION_ID < 80500
/* getenv() without arguments. */
static void load_environment(zval *array)
{
	import_own_environment(array);
	import_params(array, false);
}
#endif

void ftm_variables_startup(void)
{
	import_process_environment = php_import_environment_variables;
	php_import_environment_variables = import_environment;
#if PHP_VERSION_ID < 80500
	php_load_environment_variables = load_environment;
#endif
}

/* May bail out. */
void ftm_register_variables(zval *array)
{
	const ftm_request *request = FTM_REQUEST();

	php_import_environment_variables(array);
	if (!request) {
		return;
	}
	const char *script_name = SG(request_info).request_uri ? SG(request_info).request_uri : "";
	const char *path_info = FTM_G(fix_pathinfo) ? ftm_rs_param(request, ZEND_STRL("PATH_INFO")) : NULL;
	char *self;
	size_t len = spprintf(&self, 0, "%s%s", script_name, path_info ? path_info : "");

	if (sapi_module.input_filter(PARSE_SERVER, "PHP_SELF", &self, len, &len)) {
		php_register_variable_safe("PHP_SELF", self, len, array);
	}
	efree(self);
}

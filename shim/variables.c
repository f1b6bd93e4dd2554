/* $_SERVER and $_ENV: the process's environment, then the parameters, in PHP-FPM's order. */
#include "internal.h"

#include "php_globals.h"

static void (*import_process_environment)(zval *array);

/* Names that web servers send, which PHP takes as they are. */
static const char *const usual[] = {
	"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "CONTEXT_DOCUMENT_ROOT", "CONTEXT_PREFIX", "DOCUMENT_ROOT", "DOCUMENT_URI",
	"FCGI_ROLE", "GATEWAY_INTERFACE", "HTTPS", "HTTP_ACCEPT", "HTTP_ACCEPT_CHARSET", "HTTP_ACCEPT_ENCODING",
	"HTTP_ACCEPT_LANGUAGE", "HTTP_AUTHORIZATION", "HTTP_CACHE_CONTROL", "HTTP_CONNECTION", "HTTP_CONTENT_LENGTH",
	"HTTP_CONTENT_TYPE", "HTTP_COOKIE", "HTTP_DNT", "HTTP_FORWARDED", "HTTP_HOST", "HTTP_IF_MODIFIED_SINCE",
	"HTTP_IF_NONE_MATCH", "HTTP_ORIGIN", "HTTP_PRAGMA", "HTTP_PRIORITY", "HTTP_RANGE", "HTTP_REFERER", "HTTP_SEC_CH_UA",
	"HTTP_SEC_CH_UA_MOBILE", "HTTP_SEC_CH_UA_PLATFORM", "HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_SITE",
	"HTTP_SEC_FETCH_USER", "HTTP_UPGRADE_INSECURE_REQUESTS", "HTTP_USER_AGENT", "HTTP_VIA", "HTTP_X_FORWARDED_FOR",
	"HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_X_REQUESTED_WITH",
	"HTTP_X_REQUEST_ID", "PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_STATUS", "REDIRECT_URL", "REMOTE_ADDR",
	"REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_FILENAME", "SCRIPT_NAME",
	"SERVER_ADDR", "SERVER_ADMIN", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SIGNATURE", "SERVER_SOFTWARE",
	"SSL_TLS_SNI",
};

/* The same as strings that all threads share, each at its place() or behind it. */
#define PLACES 256
static zend_string *shared_names[PLACES];

static size_t place(const char *name, size_t len)
{
	return (len ^ (size_t) name[len / 2] << 2 ^ (size_t) name[len - 1] << 5 ^ (size_t) name[len / 4 * 3] << 3) % PLACES;
}

static zend_string *shared_name(const char *name, size_t len)
{
	for (size_t at = len ? place(name, len) : PLACES; at < PLACES && shared_names[at]; at++) {
		if (ZSTR_LEN(shared_names[at]) == len && memcmp(ZSTR_VAL(shared_names[at]), name, len) == 0) {
			return shared_names[at];
		}
	}
	return NULL;
}

void ftm_variables_names(void)
{
	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		zend_string *name = zend_string_init_interned(usual[i], strlen(usual[i]), true);
		size_t at = place(ZSTR_VAL(name), ZSTR_LEN(name));

		while (at < PLACES && shared_names[at]) {
			at++;
		}
		if (at < PLACES) {
			shared_names[at] = name;
		}
	}
}

/* As php_register_variable_safe(), to which it leaves names that may mean an array, or be changed. */
static void import(zval *array, const ftm_param *param)
{
	zend_string *name = shared_name(param->name, param->name_len);

	if (name) {
		zval value;
		ZVAL_STRINGL_FAST(&value, param->value, param->value_len);
		zend_hash_update_ind(Z_ARRVAL_P(array), name, &value);
	} else {
		php_register_variable_safe(param->name, param->value, param->value_len, array);
	}
}

static void import_params(zval *array, bool filtered)
{
	const ftm_request *request = FTM_REQUEST();
	int source = Z_ARR_P(array) == Z_ARR(PG(http_globals)[TRACK_VARS_ENV]) ? PARSE_ENV : PARSE_SERVER;

	if (!request) {
		return;
	}
	/* And what PHP adds. */
	zend_hash_extend(Z_ARRVAL_P(array), zend_hash_num_elements(Z_ARRVAL_P(array)) + (uint32_t) ftm_params(request) + 8, false);
	for (size_t i = ftm_params(request); i-- > 0;) {
		ftm_param p = ftm_param_at(request, i);

		/* What passes the filter is cut at a NUL, as in PHP-FPM. */
		if (!filtered || sapi_module.input_filter(source, p.name, &p.value, strlen(p.value), &p.value_len)) {
			import(array, &p);
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

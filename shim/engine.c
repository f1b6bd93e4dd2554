/* The engine's life in a pool process: start, settings, the printing options, stop. */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include "zend_smart_str.h"

#ifdef FTM_SHARED_LIBPHP
/* libphp.a brings this definition along (sapi/embed); beside a libphp.so it is ours. */
ZEND_TSRMLS_CACHE_DEFINE()
#endif

#include <dlfcn.h>
#include <sys/stat.h>

/* PHP exports them, but no header of its declares them. */
extern PHPAPI char *php_ini_opened_path;
extern PHPAPI char *php_ini_scanned_files;

ftm_engine_config ftm_config;
mode_t ftm_process_umask;

/* Keeps the entries that the pool's php_admin_value[] and php_admin_flag[] set from being changed by scripts, on the
 * calling thread: each thread has entries of its own. */
void ftm_lock_admin_entries(void)
{
	for (const char *const *name = ftm_config.admin_names; name && *name; name++) {
		zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), *name, strlen(*name));
		if (entry) {
			entry->modifiable = ZEND_INI_SYSTEM;
		}
	}
}

static void warn_of_unknown_admin_entries(void)
{
	for (const char *const *name = ftm_config.admin_names; name && *name; name++) {
		if (!zend_hash_str_exists(EG(ini_directives), *name, strlen(*name))) {
			char line[512];
			int len = snprintf(line, sizeof(line),
				"Unable to set php_admin_value '%s': no loaded extension knows it", *name);
			ftm_rs_log(FTM_WARNING, line, MIN((size_t) len, sizeof(line) - 1));
		}
	}
}

static const char *mismatch(const char *found)
{
	static char message[512];

	snprintf(message, sizeof(message),
		"this php-ftm was built for PHP %s (%s) but finds PHP %s: build it again with PHP_CONFIG naming that PHP's "
		"php-config, or put the former libphp back", PHP_VERSION, ZEND_MODULE_BUILD_ID, found);
	return message;
}

/* What this binary was compiled against must be what it runs with: a libphp.so may have been exchanged. Before anything of
 * it is used: by php_version(), which came with PHP 8.3. */
static const char *check_version(void)
{
	const char *(*version)(void) = (const char *(*)(void)) dlsym(RTLD_DEFAULT, "php_version");

	if (!version) {
		return PHP_VERSION_ID < 80300 ? NULL : mismatch("before 8.3");
	}
	return strcmp(version(), PHP_VERSION) == 0 ? NULL : mismatch(version());
}

/* The same for what check_version() cannot see: another patch release before 8.3, a debug build. */
static const char *check_build(void)
{
	const zend_module_entry *standard = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("standard"));
	char found[128];

	if (standard && strcmp(standard->version, PHP_VERSION) == 0 && strcmp(standard->build_id, ZEND_MODULE_BUILD_ID) == 0) {
		return NULL;
	}
	snprintf(found, sizeof(found), "%s (%s)", standard ? standard->version : "?", standard ? standard->build_id : "?");
	return mismatch(found);
}

const char *ftm_engine_start(const ftm_engine_config *config)
{
	const char *wrong = check_version();
	if (wrong) {
		return wrong;
	}
	ftm_config = *config;
	ftm_process_umask = umask(0);
	umask(ftm_process_umask);
	ftm_environment_keep();
	if (!php_tsrm_startup()) {
		return "cannot start the thread-safe resource manager: out of memory?";
	}
	ZEND_TSRMLS_CACHE_UPDATE();

	sapi_startup(&ftm_sapi_module);
	ftm_sapi_module.php_ini_path_override = config->ini_path ? strdup(config->ini_path) : NULL;
	ftm_sapi_module.php_ini_ignore = config->ini_ignore;
	ftm_sapi_module.php_ini_ignore_cwd = 1;
	ftm_sapi_module.executable_location = (char *) config->executable;
	ftm_sapi_module.ini_entries = config->ini_entries ? strdup(config->ini_entries) : NULL;
	SG(request_info).path_translated = NULL;

	if (ftm_sapi_module.startup(&ftm_sapi_module) == FAILURE) {
		return "PHP's module startup failed: see the messages above, and try the same php.ini with php -c";
	}
	ZEND_TSRMLS_CACHE_UPDATE();
	wrong = check_build();
	if (wrong) {
		return wrong;
	}
	ftm_opcache_startup();
	warn_of_unknown_admin_entries();
	ftm_variables_startup();
	ftm_environment_startup();
	ftm_inherited_startup();
	ftm_copies_startup();
	ftm_pcre_startup();
	ftm_programs_startup();
	ftm_record_locks_startup();
	ftm_tables_startup();
	ftm_upload_startup();
	return NULL;
}

void ftm_environment_set(void)
{
	/* SQLite's directory for temporary files is to be the pool's, not that of the first request that uses SQLite: it keeps what
	 * getenv() returned for it. */
	int (*start_sqlite)(void) = (int (*)(void)) dlsym(RTLD_DEFAULT, "sqlite3_initialize");

	if (start_sqlite) {
		(void) start_sqlite(); /* tried again at its first use */
	}
}

void ftm_engine_stop(void)
{
	SG(server_context) = NULL;
	php_module_shutdown();
	sapi_shutdown();
	tsrm_shutdown();
}

int64_t ftm_ini_long(const char *name, int64_t fallback)
{
	bool exists = false;
	const char *value = zend_ini_string_ex((char *) name, strlen(name), 0, &exists);
	(void) value;
	return exists ? (int64_t) zend_ini_long((char *) name, strlen(name), 0) : fallback;
}

const char *ftm_ini_string(const char *name)
{
	const char *value = zend_ini_string((char *) name, strlen(name), 0);
	return value && *value ? value : NULL;
}

bool ftm_has_extension(const char *name)
{
	return zend_hash_str_exists(&module_registry, name, strlen(name)) || zend_get_extension(name);
}

static void append_extension(smart_str *text, const char *name, const char *version)
{
	smart_str_appends_ex(text, name, true);
	smart_str_appendc_ex(text, '\t', true);
	smart_str_appends_ex(text, version ? version : "", true);
	smart_str_appendc_ex(text, '\n', true);
}

static void append_zend_extension(void *data, void *text)
{
	const zend_extension *extension = data;

	/* Most register a module, too. */
	if (!zend_hash_str_find_ptr_lc(&module_registry, extension->name, strlen(extension->name))) {
		append_extension(text, extension->name, extension->version);
	}
}

const char *ftm_extensions(void)
{
	static smart_str text;
	const zend_module_entry *module;

	if (!text.s) {
		ZEND_HASH_FOREACH_PTR(&module_registry, module) {
			append_extension(&text, module->name, module->version);
		} ZEND_HASH_FOREACH_END();
		zend_llist_apply_with_argument(&zend_extensions, append_zend_extension, &text);
		smart_str_0(&text);
	}
	return ZSTR_VAL(text.s);
}

bool ftm_has_function(const char *name)
{
	return zend_hash_str_exists(CG(function_table), name, strlen(name));
}

const char *ftm_ini_file(void)
{
	return php_ini_opened_path;
}

const char *ftm_ini_scanned(void)
{
	return php_ini_scanned_files;
}

const char *ftm_php_version(void)
{
	return PHP_VERSION;
}

uint32_t ftm_php_version_id(void)
{
	return PHP_VERSION_ID;
}

/* The printing options run a request without a client, whose output goes to stdout. */
static bool print_begin(void)
{
	if (php_request_startup() == FAILURE) {
		return false;
	}
	SG(headers_sent) = 1;
	SG(request_info).no_headers = 1;
	return true;
}

void ftm_print_version(void)
{
	zend_first_try {
		if (print_begin()) {
			php_printf("PHP %s (%s) (built: %s %s)"
#if PHP_VERSION_ID >= 80400
				" (ZTS)"
#endif
#if ZEND_DEBUG
				" (DEBUG)"
#endif
				"\nCopyright (c) The PHP Group\n%s", PHP_VERSION, sapi_module.name, __DATE__, __TIME__, get_zend_version());
			php_request_shutdown(NULL);
		}
	} zend_end_try();
}

static int compare_modules(Bucket *a, Bucket *b)
{
	return strcasecmp(((zend_module_entry *) Z_PTR(a->val))->name, ((zend_module_entry *) Z_PTR(b->val))->name);
}

static int compare_extensions(const zend_llist_element **a, const zend_llist_element **b)
{
	return strcmp(((const zend_extension *) (*a)->data)->name, ((const zend_extension *) (*b)->data)->name);
}

void ftm_print_modules(void)
{
	zend_first_try {
		if (print_begin()) {
			HashTable modules;
			zend_module_entry *module;
			zend_llist extensions;

			php_printf("[PHP Modules]\n");
			zend_hash_init(&modules, 64, NULL, NULL, 1);
			zend_hash_copy(&modules, &module_registry, NULL);
			zend_hash_sort(&modules, compare_modules, 0);
			ZEND_HASH_FOREACH_PTR(&modules, module) {
				php_printf("%s\n", module->name);
			} ZEND_HASH_FOREACH_END();
			zend_hash_destroy(&modules);

			php_printf("\n[Zend Modules]\n");
			zend_llist_copy(&extensions, &zend_extensions);
			extensions.dtor = NULL;
			zend_llist_sort(&extensions, compare_extensions);
			for (zend_llist_element *e = extensions.head; e; e = e->next) {
				php_printf("%s\n", ((zend_extension *) e->data)->name);
			}
			zend_llist_destroy(&extensions);
			php_printf("\n");
			php_request_shutdown(NULL);
		}
	} zend_end_try();
}

void ftm_print_info(void)
{
	zend_first_try {
		sapi_module.phpinfo_as_text = 1; /* PHP works with a copy of ours */
		if (print_begin()) {
			php_print_info(0xFFFFFFFF);
			php_request_shutdown(NULL);
		}
	} zend_end_try();
}

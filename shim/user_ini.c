/* Settings that depend on the script: .user.ini, [PATH=] and [HOST=] sections. */
#include "internal.h"

#include "zend_ini_scanner.h"

typedef struct user_ini {
	time_t expires;
	HashTable config; /* the combination of all files from the document root down to the directory; strings only */
	bool foreign_section; /* while a file is read: in a [PATH=] or [HOST=] section, which only php.ini may have */
} user_ini;

static void free_config_value(zval *value)
{
	zend_string_release_ex(Z_STR_P(value), 1);
}

static void free_user_ini(zval *value)
{
	user_ini *entry = Z_PTR_P(value);
	zend_hash_destroy(&entry->config);
	free(entry);
}

void ftm_user_ini_free(HashTable *cache)
{
	if (cache->pDestructor) {
		zend_hash_destroy(cache);
	}
}

static bool has_prefix(const zend_string *text, const char *prefix)
{
	return strncasecmp(ZSTR_VAL(text), prefix, strlen(prefix)) == 0;
}

/* One line of a file. Arrays are passed over: PHP would take them for strings when it sets them. */
static void user_ini_entry(zval *key, zval *value, zval *index, int kind, void *arg)
{
	user_ini *entry = arg;
	zval copy;

	if (kind == ZEND_INI_PARSER_SECTION) {
		entry->foreign_section = has_prefix(Z_STR_P(key), "PATH") || has_prefix(Z_STR_P(key), "HOST");
	} else if (kind == ZEND_INI_PARSER_ENTRY && key && value && Z_TYPE_P(value) == IS_STRING && !entry->foreign_section) {
		zend_string *name = zend_string_init(Z_STRVAL_P(key), Z_STRLEN_P(key), 1);
		ZVAL_STR(&copy, zend_string_init(Z_STRVAL_P(value), Z_STRLEN_P(value), 1));
		zend_hash_update(&entry->config, name, &copy);
		zend_string_release_ex(name, 1);
	}
	(void) index;
}

/* php_parse_user_ini_file() without its callback, which notes the section in variables of the whole process. */
static void parse_user_ini(user_ini *entry, const char *dir)
{
	char path[MAXPATHLEN];
	zend_stat_t status = {0};
	zend_file_handle file;

	snprintf(path, sizeof(path), "%s/%s", dir, PG(user_ini_filename));
	if (VCWD_STAT(path, &status) != 0 || !S_ISREG(status.st_mode)) {
		return;
	}
	zend_stream_init_fp(&file, VCWD_FOPEN(path, "r"), path);
	entry->foreign_section = false;
	if (file.handle.fp) {
		zend_parse_ini_file(&file, 1, ZEND_INI_SCANNER_NORMAL, (zend_ini_parser_cb_t) user_ini_entry, entry);
	}
	zend_destroy_file_handle(&file);
}

/* Reads the files of `dir` (ends with a slash; is modified and restored) and of its parents down from the document root,
 * if it lies inside. */
static void read_user_ini(user_ini *entry, char *dir, size_t dir_len, const char *root, size_t root_len)
{
	zend_hash_clean(&entry->config);
	if (dir_len > root_len && strncmp(root, dir, root_len) == 0) {
		for (char *slash = dir + root_len; (slash = strchr(slash, '/')); slash++) {
			*slash = 0;
			parse_user_ini(entry, dir);
			*slash = '/';
		}
	} else {
		parse_user_ini(entry, dir);
	}
}

static void activate_user_ini(char *dir, size_t dir_len, const char *root)
{
	HashTable *cache = &FTM_G(user_ini);
	size_t root_len = strlen(root);
	time_t now = (time_t) sapi_get_request_time();

	if (root_len > 0 && root[root_len - 1] == '/') {
		root_len--;
	}
	if (!cache->pDestructor) {
		zend_hash_init(cache, 8, NULL, free_user_ini, 1);
	}
	user_ini *entry = zend_hash_str_find_ptr(cache, dir, dir_len);
	if (!entry) {
		entry = pemalloc(sizeof(*entry), 1);
		entry->expires = 0;
		zend_hash_init(&entry->config, 0, NULL, free_config_value, 1);
		zend_hash_str_update_ptr(cache, dir, dir_len, entry);
	}
	if (now > entry->expires) {
		read_user_ini(entry, dir, dir_len, root, root_len);
		entry->expires = now + PG(user_ini_cache_ttl);
	}
	php_ini_activate_config(&entry->config, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS);
}

/* May bail out. */
void ftm_ini_activate(void)
{
	const ftm_request *request = FTM_REQUEST();
	const char *script = SG(request_info).path_translated;
	bool user_ini_on = PG(user_ini_filename) && *PG(user_ini_filename);

	if (php_ini_has_per_host_config()) {
		const char *server_name = ftm_rs_param(request, ZEND_STRL("SERVER_NAME"));
		if (server_name) {
			char *lower = estrdup(server_name);
			zend_str_tolower(lower, strlen(lower));
			php_ini_activate_per_host_config(lower, strlen(lower));
			efree(lower);
		}
	}
	if (!php_ini_has_per_dir_config() && !user_ini_on) {
		return;
	}
	size_t len = strlen(script);
	char *dir = emalloc(len + 2);
	memcpy(dir, script, len + 1);
	len = zend_dirname(dir, len);
	dir[len++] = '/';
	dir[len] = 0;
	php_ini_activate_per_dir_config(dir, len);

	const char *root = ftm_rs_param(request, ZEND_STRL("DOCUMENT_ROOT"));
	if (user_ini_on && root && dir[0] == '/') {
		activate_user_ini(dir, len, root);
	}
	efree(dir);
}

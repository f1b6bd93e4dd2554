/*
 * Settings of the parameters PHP_VALUE and PHP_ADMIN_VALUE. They are what the script begins with, as if they stood in php.ini:
 * ini_restore() goes back to them, not to what the pool has. They end with the request.
 */
#include "internal.h"

#include "zend_ini_scanner.h"
#include "zend_smart_str.h"

/* What an entry was before the request. The last one that was set comes first. */
typedef struct former {
	struct former *next;
	zend_ini_entry *entry;
	zend_string *value;
	int modifiable;
} former;

static TSRM_TLS former *formers;

/* PHP has noted the entry as changed at run time: instead, it is noted here. */
static void keep_former(zend_ini_entry *entry)
{
	former *f = malloc(sizeof(*f));

	if (!f) {
		return; /* PHP takes it back, if ini_restore() does not */
	}
	*f = (former) {.next = formers, .entry = entry, .value = entry->orig_value, .modifiable = entry->orig_modifiable};
	formers = f;
	entry->modified = 0;
	entry->orig_value = NULL;
	entry->orig_modifiable = 0;
	zend_hash_del(EG(modified_ini_directives), entry->name);
}

void ftm_ini_restore_params(void)
{
	while (formers) {
		former *f = formers;
		zend_ini_entry *entry = f->entry;
		formers = f->next;
		if (entry->on_modify) {
			zend_try {
				entry->on_modify(entry, f->value, entry->mh_arg1, entry->mh_arg2, entry->mh_arg3, ZEND_INI_STAGE_DEACTIVATE);
			} zend_end_try();
		}
		if (entry->value != f->value) {
			zend_string_release(entry->value);
			entry->value = f->value;
		}
		entry->modifiable = f->modifiable;
		free(f);
	}
}

/* May bail out. */
static bool set(zend_string *name, const zend_string *value, int mode)
{
	/* It outlives the script's own changes. */
	zend_string *kept = zend_string_init(ZSTR_VAL(value), ZSTR_LEN(value), true);
	zend_result result = zend_alter_ini_entry_ex(name, kept, mode, PHP_INI_STAGE_ACTIVATE, true);
	zend_ini_entry *entry = zend_hash_find_ptr(EG(ini_directives), name);

	zend_string_release(kept);
	if (entry && entry->modified) {
		keep_former(entry);
	}
	return result == SUCCESS;
}


static bool is_admin_entry(const char *name)
{
	for (const char *const *n = ftm_config.admin_names; n && *n; n++) {
		if (strcmp(*n, name) == 0) {
			return true;
		}
	}
	return false;
}

/* disable_functions acts on the function table of this thread, which is replaced after the request. From PHP 8.3 on the
 * entries themselves are those of all threads, so they are taken out, not destroyed. opcache's scripts call functions that
 * were there when they were compiled without looking, so this request does without it. */
static bool disable(const char *name, const char *value)
{
	HashTable *table = CG(function_table);
	dtor_func_t destructor = table->pDestructor;

	if (strcmp(name, "disable_functions") != 0) {
		return false;
	}
#if PHP_VERSION_ID >= 80300
	table->pDestructor = NULL;
#endif
	zend_disable_functions(value);
	table->pDestructor = destructor;
	zend_string *opcache = zend_string_init(ZEND_STRL("opcache.enable"), 0);
	zend_alter_ini_entry_chars(opcache, "0", 1, ZEND_INI_SYSTEM, PHP_INI_STAGE_ACTIVATE);
	zend_string_release(opcache);
	FTM_G(retire) = true;
	return true;
}

/* What a parameter's lines are applied with, and the messages that they leave for the web server. Those wait: to send one
 * may bail out, and then the lines behind it would not be applied. */
typedef struct param_lines {
	int mode;
	smart_str messages;
} param_lines;

static void complain(param_lines *lines, const char *problem, const char *name)
{
	smart_str *messages = &lines->messages;
	size_t before = 0;

	if (messages->s) {
		smart_str_appends(messages, "; ");
		before = ZSTR_LEN(messages->s);
	}
	smart_str_append_printf(messages, "Passing INI directive through FastCGI: %s%s%s%s", problem,
		name ? " '" : "", name ? name : "", name ? "'" : "");
	ftm_rs_message(FTM_REQUEST(), FTM_ERROR, ZSTR_VAL(messages->s) + before, ZSTR_LEN(messages->s) - before, false);
}

/* One line of the parameter. The value ends with the request; what the pool's php_admin_value[] set stays. */
static void ini_param_entry(zval *key, zval *value, zval *index, int kind, void *arg)
{
	param_lines *lines = arg;

	if (!key) {
		return;
	}
	if (kind != ZEND_INI_PARSER_ENTRY) {
		complain(lines, "only classic entries are allowed", NULL);
	} else if (Z_STRLEN_P(key) < 1) {
		complain(lines, "empty key", NULL);
	} else if (!value || Z_TYPE_P(value) != IS_STRING) {
		complain(lines, "empty value for key", Z_STRVAL_P(key));
	} else if (strcmp(Z_STRVAL_P(key), "extension") == 0) {
		complain(lines, "a thread cannot load an extension of its own: set it in the pool, with php_admin_value[extension]; "
			"not loaded", Z_STRVAL_P(value));
	} else if (strcmp(Z_STRVAL_P(key), "disable_classes") == 0) {
		complain(lines, "all threads share their classes: set it in the pool, with php_admin_value[disable_classes]; "
			"not disabled", Z_STRVAL_P(value));
	} else if (is_admin_entry(Z_STRVAL_P(key)) || !set(Z_STR_P(key), Z_STR_P(value), lines->mode)) {
		if (!disable(Z_STRVAL_P(key), Z_STRVAL_P(value))) {
			complain(lines, "unable to set", Z_STRVAL_P(key));
		}
	} else {
		disable(Z_STRVAL_P(key), Z_STRVAL_P(value));
	}
	(void) index;
}

/* May bail out, after all lines have been applied. */
static void ini_from_param(const char *text, int mode)
{
	param_lines lines = {.mode = mode};
	char *terminated;

	spprintf(&terminated, 0, "%s\n", text);
	zend_parse_ini_string(terminated, 1, ZEND_INI_SCANNER_NORMAL, (zend_ini_parser_cb_t) ini_param_entry, &lines);
	efree(terminated);
	if (lines.messages.s) {
		smart_str_0(&lines.messages);
		ftm_message_stderr(ZSTR_VAL(lines.messages.s), ZSTR_LEN(lines.messages.s));
		smart_str_free(&lines.messages);
	}
}

/* May bail out. */
void ftm_ini_from_params(const ftm_request *request)
{
	const char *user = ftm_rs_param(request, ZEND_STRL("PHP_VALUE"));
	const char *admin = ftm_rs_param(request, ZEND_STRL("PHP_ADMIN_VALUE"));

	if (user) {
		ini_from_param(user, ZEND_INI_USER);
	}
	if (admin) {
		ini_from_param(admin, ZEND_INI_SYSTEM);
	}
}

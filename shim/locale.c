/*
 * setlocale() of a PHP thread sets the thread's own locale, not that of the process: requests that run at the same time do not
 * see each other's. This definition takes the place of the C library's for PHP and for its extensions; threads that do not run
 * PHP get the library's.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <langinfo.h>
#include <locale.h>

static const struct {
	int category;
	int mask;
	const char *name;
} categories[] = {
	/* In the order in which the C library joins their names. */
	{LC_CTYPE, LC_CTYPE_MASK, "LC_CTYPE"},
	{LC_NUMERIC, LC_NUMERIC_MASK, "LC_NUMERIC"},
	{LC_TIME, LC_TIME_MASK, "LC_TIME"},
	{LC_COLLATE, LC_COLLATE_MASK, "LC_COLLATE"},
	{LC_MONETARY, LC_MONETARY_MASK, "LC_MONETARY"},
	{LC_MESSAGES, LC_MESSAGES_MASK, "LC_MESSAGES"},
	{LC_PAPER, LC_PAPER_MASK, "LC_PAPER"},
	{LC_NAME, LC_NAME_MASK, "LC_NAME"},
	{LC_ADDRESS, LC_ADDRESS_MASK, "LC_ADDRESS"},
	{LC_TELEPHONE, LC_TELEPHONE_MASK, "LC_TELEPHONE"},
	{LC_MEASUREMENT, LC_MEASUREMENT_MASK, "LC_MEASUREMENT"},
	{LC_IDENTIFICATION, LC_IDENTIFICATION_MASK, "LC_IDENTIFICATION"},
};
#define CATEGORIES (sizeof(categories) / sizeof(*categories))

/* Room for the names of all categories. */
#define NAMES_MAX 2048

static TSRM_TLS locale_t own; /* 0: the thread has that of the process */
static TSRM_TLS char names[NAMES_MAX];

static const char *name_in(locale_t locale, int category)
{
	return nl_langinfo_l(NL_LOCALE_NAME(category), locale);
}

/* The name of the thread's locale, as setlocale() returns it. */
static char *current_name(int category, locale_t locale)
{
	if (category != LC_ALL) {
		snprintf(names, sizeof(names), "%s", name_in(locale, category));
		return names;
	}
	bool same = true;
	size_t len = 0;
	for (size_t i = 0; i < CATEGORIES && len < sizeof(names); i++) {
		const char *name = name_in(locale, categories[i].category);
		same = same && strcmp(name, name_in(locale, LC_CTYPE)) == 0;
		len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s=%s", i ? ";" : "", categories[i].name, name);
	}
	if (same) {
		snprintf(names, sizeof(names), "%s", name_in(locale, LC_CTYPE));
	}
	return names;
}

/* The locale that the environment names for a category, as setlocale(3) says. */
static const char *name_in_environment(size_t at)
{
	for (size_t i = 0; i < 3; i++) {
		const char *value = getenv(i == 0 ? "LC_ALL" : i == 1 ? categories[at].name : "LANG");
		if (value && *value) {
			return value;
		}
	}
	return "C";
}

/* `locale` with the categories of `mask` as the environment names them; 0, and `locale` is as it was: it names a locale that is
 * not there. The C library would look into the environment of the process. */
static locale_t from_environment(int mask, locale_t locale)
{
	locale_t changed = duplocale(locale);

	for (size_t i = 0; changed && i < CATEGORIES; i++) {
		if (mask & categories[i].mask) {
			locale_t next = newlocale(categories[i].mask, name_in_environment(i), changed);
			if (!next) {
				freelocale(changed);
			}
			changed = next;
		}
	}
	return changed;
}

static locale_t from_name(int mask, const char *name, locale_t locale)
{
	if (!*name) {
		return from_environment(mask, locale);
	}
	/* A copy, because what was given is gone when it works, and still there when it does not. */
	locale_t base = duplocale(locale);
	locale_t changed = base ? newlocale(mask, name, base) : (locale_t) 0;
	if (!changed && base) {
		freelocale(base);
	}
	return changed;
}

static int mask_of(int category)
{
	for (size_t i = 0; i < CATEGORIES; i++) {
		if (categories[i].category == category) {
			return categories[i].mask;
		}
	}
	return category == LC_ALL ? LC_ALL_MASK : 0;
}

char *setlocale(int category, const char *name)
{
	static char *(*of_process)(int, const char *);

	if (!ftm_php_thread) {
		if (!of_process) {
			of_process = (char *(*)(int, const char *)) dlsym(RTLD_NEXT, "setlocale");
		}
		return of_process ? of_process(category, name) : NULL;
	}
	int mask = mask_of(category);
	if (!mask) {
		errno = EINVAL;
		return NULL;
	}
	if (!own) {
		own = duplocale(LC_GLOBAL_LOCALE);
		if (!own) {
			return NULL;
		}
		uselocale(own);
	}
	if (name) {
		locale_t changed = from_name(mask, name, own);
		if (!changed) {
			return NULL;
		}
		uselocale(changed);
		freelocale(own);
		own = changed;
	}
	return current_name(category, own);
}

void ftm_locale_end(void)
{
	if (own) {
		uselocale(LC_GLOBAL_LOCALE);
		freelocale(own);
		own = (locale_t) 0;
	}
}

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

/* The locale of all categories, beside those of each. */
#define ALL CATEGORIES

static TSRM_TLS locale_t own; /* 0: the thread has that of the process */
/* What was returned, by category: valid until the category changes and is asked for again. */
static TSRM_TLS char *names[CATEGORIES + 1];

static const char *name_in(locale_t locale, int category)
{
	return nl_langinfo_l(NL_LOCALE_NAME(category), locale);
}

/* Keeps `name` for a category; NULL: no memory. That of "C" stays for good, as the C library's. */
static char *kept(size_t at, const char *name)
{
	static char c[] = "C";

	if (strcmp(name, c) == 0) {
		return c;
	}
	if (!names[at] || strcmp(names[at], name) != 0) {
		char *copy = strdup(name);
		if (!copy) {
			return NULL;
		}
		free(names[at]);
		names[at] = copy;
	}
	return names[at];
}

/* The names of all categories, where they differ. */
static char *joined_name(locale_t locale)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream) {
		return NULL;
	}
	for (size_t i = 0; i < CATEGORIES; i++) {
		fprintf(stream, "%s%s=%s", i ? ";" : "", categories[i].name, name_in(locale, categories[i].category));
	}
	char *name = fclose(stream) == 0 ? kept(ALL, text) : NULL;
	free(text);
	return name;
}

/* The name of the thread's locale, as setlocale() returns it. */
static char *current_name(size_t at, locale_t locale)
{
	const char *first = name_in(locale, categories[at == ALL ? 0 : at].category);

	for (size_t i = 1; at == ALL && i < CATEGORIES; i++) {
		if (strcmp(name_in(locale, categories[i].category), first) != 0) {
			return joined_name(locale);
		}
	}
	return kept(at, first);
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

/* `locale` with one category changed, if there is such a locale. 0: there is none, and `locale` is as it was. */
static locale_t with_category(locale_t locale, int mask, const char *name)
{
	/* newlocale() would take its part of a name that names several. */
	return strchr(name, ';') ? (locale_t) 0 : newlocale(mask, name, locale);
}

/* `locale` with the categories of `mask` as the environment names them; 0, and `locale` is as it was: it names a locale that is
 * not there. The C library would look into the environment of the process. */
static locale_t from_environment(int mask, locale_t locale)
{
	locale_t changed = duplocale(locale);

	for (size_t i = 0; changed && i < CATEGORIES; i++) {
		if (mask & categories[i].mask) {
			locale_t next = with_category(changed, categories[i].mask, name_in_environment(i));
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
	if (mask == LC_ALL_MASK) {
		/* Nothing of the former is left, and for "C" newlocale() would not free what it was given. */
		return newlocale(mask, name, (locale_t) 0);
	}
	/* A copy, because what was given is gone when it works, and still there when it does not. */
	locale_t base = duplocale(locale);
	locale_t changed = base ? with_category(base, mask, name) : (locale_t) 0;
	if (!changed && base) {
		freelocale(base);
	}
	return changed;
}

/* Where the category stands in the table; ALL for LC_ALL; beyond that for what is none. */
static size_t index_of(int category)
{
	size_t at = 0;

	while (at < CATEGORIES && categories[at].category != category) {
		at++;
	}
	return at < CATEGORIES || category == LC_ALL ? at : ALL + 1;
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
	const size_t at = index_of(category);
	if (at > ALL) {
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
		locale_t changed = from_name(at == ALL ? LC_ALL_MASK : categories[at].mask, name, own);
		if (!changed) {
			return NULL;
		}
		uselocale(changed);
		freelocale(own);
		own = changed;
	}
	return current_name(at, own);
}

bool ftm_locale_reset(void)
{
	if (!own) {
		return false;
	}
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(own);
	own = (locale_t) 0;
	for (size_t i = 0; i <= ALL; i++) {
		free(names[i]);
		names[i] = NULL;
	}
	return true;
}

/*
 * textdomain() of a PHP thread chooses the domain for the thread's own messages: requests that run at the same time do not
 * change each other's. As a process's does, it stays until it is changed. The definitions here take the place of the C
 * library's for PHP's extensions; where a domain lies (bindtextdomain()) is one for all.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <libintl.h>
#include <locale.h>

/* Shorthands for dcgettext() and dcngettext(). */
#undef gettext
#undef dgettext
#undef ngettext
#undef dngettext

static TSRM_TLS char *own; /* NULL: that of the process, which nobody changes */

char *textdomain(const char *domain)
{
	OF_PROCESS(char *, "textdomain", (const char *));
	if (!ftm_php_thread) {
		return of_process(domain);
	}
	if (domain) {
		char *copy = strdup(*domain ? domain : "messages");
		if (!copy) {
			return NULL;
		}
		free(own);
		own = copy;
	}
	return own ? own : of_process(NULL);
}

void ftm_gettext_end(void)
{
	free(own);
	own = NULL;
}

char *dcgettext(const char *domain, const char *message, int category)
{
	OF_PROCESS(char *, "dcgettext", (const char *, const char *, int));
	return of_process(domain ? domain : own, message, category);
}

char *dcngettext(const char *domain, const char *one, const char *more, unsigned long n, int category)
{
	OF_PROCESS(char *, "dcngettext", (const char *, const char *, const char *, unsigned long, int));
	return of_process(domain ? domain : own, one, more, n, category);
}

char *gettext(const char *message)
{
	return dcgettext(NULL, message, LC_MESSAGES);
}

char *dgettext(const char *domain, const char *message)
{
	return dcgettext(domain, message, LC_MESSAGES);
}

char *ngettext(const char *one, const char *more, unsigned long n)
{
	return dcngettext(NULL, one, more, n, LC_MESSAGES);
}

char *dngettext(const char *domain, const char *one, const char *more, unsigned long n)
{
	return dcngettext(domain, one, more, n, LC_MESSAGES);
}

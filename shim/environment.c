/*
 * putenv() of a PHP thread changes the environment of its request, not that of the process: requests that run at the same time
 * do not see each other's. The first change copies the process's environment, which itself never changes while PHP threads
 * run; the copy goes with the request. The definitions here take the place of the C library's for PHP and its extensions;
 * other threads get the library's. What the library itself looks up (TZ, LANGUAGE, …) is the process's.
 *
 * Programs that a request starts get its environment: by fork(), by posix_spawn() (see spawn.c), by popen() (see popen.c).
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

typedef struct variable {
	char *text; /* NAME=value */
	bool own;   /* to be freed; others are the process's */
} variable;

/* The environment of the request, where it has one of its own: the same texts twice, the second time as programs get them. */
static TSRM_TLS variable *variables;
static TSRM_TLS char **texts;
static TSRM_TLS size_t count, room;

/* Texts that are not in it any more. With the C library, what getenv() has returned outlives a setenv(), and extensions count on
 * it: they put back later what they found. Kept until the request's end, or until there are too many bytes of younger ones. */
#define SUPERSEDED_MAX (256 * 1024)

typedef struct superseded {
	char *text;
	size_t size;
	struct superseded *younger;
} superseded;

static TSRM_TLS superseded *oldest, *youngest;
static TSRM_TLS size_t superseded_size;

char **ftm_environment(void)
{
	return texts ? texts : environ;
}

static bool has_name(const char *text, const char *name, size_t len)
{
	return strncmp(text, name, len) == 0 && text[len] == '=';
}

static bool reserve(size_t wanted)
{
	if (wanted + 1 > room) {
		size_t more = wanted + 1 + 32;
		variable *grown = realloc(variables, more * sizeof(*variables));
		if (!grown) {
			return false;
		}
		variables = grown;
		char **grown_texts = realloc(texts, more * sizeof(*texts));
		if (!grown_texts) {
			return false;
		}
		texts = grown_texts;
		room = more;
	}
	return true;
}

/* Gives the request an environment of its own. */
static bool own_environment(void)
{
	size_t len = 0;

	if (texts) {
		return true;
	}
	while (environ && environ[len]) {
		len++;
	}
	if (!reserve(len)) {
		return false;
	}
	for (count = 0; count < len; count++) {
		variables[count] = (variable) {environ[count], false};
		texts[count] = environ[count];
	}
	texts[count] = NULL;
	return true;
}

static void free_oldest(void)
{
	superseded *entry = oldest;

	oldest = entry->younger;
	superseded_size -= entry->size;
	free(entry->text);
	free(entry);
}

/* The variable is to get another text, or to go. */
static void supersede(const variable *former)
{
	if (!former->own) {
		return;
	}
	superseded *entry = malloc(sizeof(*entry));
	if (!entry) {
		free(former->text);
		return;
	}
	*entry = (superseded) {former->text, sizeof(*entry) + strlen(former->text), NULL};
	*(oldest ? &youngest->younger : &oldest) = entry;
	youngest = entry;
	superseded_size += entry->size;
	while (superseded_size > SUPERSEDED_MAX && oldest != youngest) {
		free_oldest();
	}
}

static void drop(size_t at)
{
	supersede(&variables[at]);
	count--;
	memmove(variables + at, variables + at + 1, (count - at) * sizeof(*variables));
	memmove(texts + at, texts + at + 1, (count + 1 - at) * sizeof(*texts));
}

static int unset(const char *name, size_t len)
{
	if (!own_environment()) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = count; i-- > 0;) {
		if (has_name(variables[i].text, name, len)) {
			drop(i);
		}
	}
	return 0;
}

/* Takes over `text`, which may be NULL. A variable that is there keeps its place. */
static int put(char *text)
{
	if (!text || !own_environment() || !reserve(count + 1)) {
		free(text);
		errno = ENOMEM;
		return -1;
	}
	size_t len = strcspn(text, "="), at = 0;
	while (at < count && !has_name(variables[at].text, text, len)) {
		at++;
	}
	if (at == count) {
		count++;
		texts[count] = NULL;
	} else {
		supersede(&variables[at]);
	}
	variables[at] = (variable) {text, true};
	texts[at] = text;
	return 0;
}

/* What PHP asks for whenever a thread starts, as php-fpm's master finds it: where PHP's memory comes from. The pool's
 * environment (clear_env, env[]) is that of scripts. */
static struct {
	const char *name;
	char *value;
} of_start[] = {{"USE_ZEND_ALLOC", NULL}, {"USE_TRACKED_ALLOC", NULL}, {"USE_ZEND_ALLOC_HUGE_PAGES", NULL}};
static TSRM_TLS bool starting;

void ftm_environment_keep(void)
{
	for (size_t i = 0; i < sizeof(of_start) / sizeof(*of_start); i++) {
		const char *value = getenv(of_start[i].name);
		of_start[i].value = value ? strdup(value) : NULL;
	}
}

void ftm_environment_starting(bool now)
{
	starting = now;
}

char *getenv(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; starting && i < sizeof(of_start) / sizeof(*of_start); i++) {
		if (strcmp(of_start[i].name, name) == 0) {
			return of_start[i].value;
		}
	}

	for (char **text = ftm_environment(); text && *text; text++) {
		if (has_name(*text, name, len)) {
			return *text + len + 1;
		}
	}
	return NULL;
}

/* For libraries that trust the environment only where the process has no more rights than who started it. */
char *secure_getenv(const char *name)
{
	return getauxval(AT_SECURE) ? NULL : getenv(name);
}

int putenv(char *text)
{
	if (ftm_php_thread) {
		return strchr(text, '=') ? put(strdup(text)) : unset(text, strlen(text));
	}
	OF_PROCESS(int, "putenv", (char *));
	return of_process(text);
}

int setenv(const char *name, const char *value, int overwrite)
{
	if (ftm_php_thread) {
		char *text;
		if (!*name || strchr(name, '=')) {
			errno = EINVAL;
			return -1;
		}
		if (!overwrite && getenv(name)) {
			return 0;
		}
		return put(asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text);
	}
	OF_PROCESS(int, "setenv", (const char *, const char *, int));
	return of_process(name, value, overwrite);
}

int unsetenv(const char *name)
{
	if (ftm_php_thread) {
		return unset(name, strlen(name));
	}
	OF_PROCESS(int, "unsetenv", (const char *));
	return of_process(name);
}

int clearenv(void)
{
	if (ftm_php_thread) {
		if (!own_environment()) {
			return -1;
		}
		while (count > 0) {
			drop(count - 1);
		}
		return 0;
	}
	OF_PROCESS(int, "clearenv", (void));
	return of_process();
}

/* In the child of a fork(): it is the only thread there. */
static void in_child(void)
{
	environ = ftm_environment();
}

void ftm_environment_startup(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

void ftm_environment_reset(void)
{
	while (count > 0) {
		if (variables[--count].own) {
			free(variables[count].text);
		}
	}
	while (oldest) {
		free_oldest();
	}
	free(variables);
	free(texts);
	variables = NULL;
	texts = NULL;
	room = 0;
}

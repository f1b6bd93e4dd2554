/*
 * popen() and system() of a PHP thread. The C library's would start the program with the environment of the process (see
 * environment.c), and let it inherit what other requests have open (see inherited.c); its system() also makes the process ignore
 * SIGINT and SIGQUIT. These definitions take their place for PHP and its extensions; other threads get the library's.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* A stream that popen() opened here, and the program at its other end. */
typedef struct opened {
	FILE *stream;
	pid_t pid;
	struct opened *next;
} opened;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static opened *all;

/* Starts a shell, with `from` as its descriptor `to`. -1: errno tells why not. */
static pid_t start(const char *command, int from, int to)
{
	char *argv[] = {"sh", "-c", (char *) command, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int error = posix_spawn_file_actions_init(&actions);

	if (error == 0) {
		error = posix_spawn_file_actions_adddup2(&actions, from, to);
		if (error == 0) {
			error = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
		}
		posix_spawn_file_actions_destroy(&actions);
	}
	errno = error;
	return error == 0 ? pid : -1;
}

/* Its status; -1: errno tells why not. */
static int wait_for(pid_t pid)
{
	int status;
	pid_t ended;

	do {
		ended = waitpid(pid, &status, 0);
	} while (ended == -1 && errno == EINTR);
	return ended == -1 ? -1 : status;
}

FILE *popen(const char *command, const char *mode)
{
	OF_PROCESS(FILE *, "popen", (const char *, const char *));
	const bool reads = mode[0] == 'r';
	int ends[2];

	if (!ftm_php_thread) {
		return of_process(command, mode);
	}
	if (mode[0] != 'r' && mode[0] != 'w') {
		errno = EINVAL;
		return NULL;
	}
	opened *entry = malloc(sizeof(*entry));
	if (!entry || pipe2(ends, O_CLOEXEC) != 0) {
		free(entry);
		return NULL;
	}
	entry->stream = fdopen(ends[reads ? 0 : 1], reads ? "r" : "w");
	entry->pid = entry->stream ? start(command, ends[reads ? 1 : 0], reads ? STDOUT_FILENO : STDIN_FILENO) : -1;
	int error = errno;
	close(ends[reads ? 1 : 0]);
	if (entry->pid == -1) {
		if (entry->stream) {
			fclose(entry->stream);
		} else {
			close(ends[reads ? 0 : 1]);
		}
		free(entry);
		errno = error;
		return NULL;
	}
	FILE *stream = entry->stream;
	pthread_mutex_lock(&mutex);
	entry->next = all;
	all = entry;
	pthread_mutex_unlock(&mutex);
	return stream;
}

int pclose(FILE *stream)
{
	OF_PROCESS(int, "pclose", (FILE *));
	opened *found = NULL;

	pthread_mutex_lock(&mutex);
	for (opened **entry = &all; *entry; entry = &(*entry)->next) {
		if ((*entry)->stream == stream) {
			found = *entry;
			*entry = found->next;
			break;
		}
	}
	pthread_mutex_unlock(&mutex);
	if (!found) {
		return of_process(stream);
	}
	fclose(stream);
	int status = wait_for(found->pid);
	free(found);
	return status;
}

int system(const char *command)
{
	OF_PROCESS(int, "system", (const char *));

	if (!ftm_php_thread || !command) {
		return of_process(command);
	}
	pid_t pid = start(command, STDIN_FILENO, STDIN_FILENO);
	return pid == -1 ? -1 : wait_for(pid);
}

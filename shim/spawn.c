/*
 * posix_spawn() of a PHP thread: the program gets the environment of the request (see environment.c) and no descriptors of others
 * (see inherited.c). Nothing of ours runs in the new process before the program does, so the C library is told what to close.
 * These definitions take the place of its own for PHP and its extensions; other threads get the library's.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "inherited.h"

#include <dlfcn.h>
#include <limits.h>
#include <spawn.h>
#include <unistd.h>

/* What the thread's posix_spawn_file_actions_t copy to, since its last posix_spawn(). */
static TSRM_TLS numbers targets;

#if __GLIBC_PREREQ(2, 34)
/* The C library closes from a number on by close_range(), else by /proc. Without both it would start nothing. */
static bool can_close(void)
{
	return syscall(SYS_close_range, ~0U, ~0U, 0) == 0 || access("/proc/self/fd", X_OK) == 0;
}

static int add_close_from(posix_spawn_file_actions_t *actions, int number)
{
	return can_close() ? posix_spawn_file_actions_addclosefrom_np(actions, number) : 0;
}
#else
typedef struct closing {
	posix_spawn_file_actions_t *actions;
	int from;
} closing;

static int add_close(int number, void *with)
{
	const closing *closing = with;
	return number >= closing->from ? posix_spawn_file_actions_addclose(closing->actions, number) : 0;
}

/* Those that are open now: what other threads open until the program starts, it inherits. */
static int add_close_from(posix_spawn_file_actions_t *actions, int number)
{
	return ftm_each_open(add_close, &(closing) {actions, number});
}
#endif

/* As the last of the actions: all but `kept` are closed. */
static int add_closing(posix_spawn_file_actions_t *actions, const numbers *kept)
{
	int number = FIRST;

	if (kept->count > MOST) {
		return 0;
	}
	for (;;) {
		int next = INT_MAX; /* the least that is kept from `number` on */
		for (size_t i = 0; i < kept->count; i++) {
			next = kept->at[i] >= number ? MIN(next, kept->at[i]) : next;
		}
		if (next == INT_MAX) {
			return add_close_from(actions, number);
		}
		for (; number < next; number++) {
			int error = posix_spawn_file_actions_addclose(actions, number);
			if (error) {
				return error;
			}
		}
		number++;
	}
}

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
	char *const *);

static int start(spawn_function *of_process, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *env)
{
	const bool begun = ftm_copies_begin();
	const int error = of_process(pid, path, actions, attributes, argv, env); /* returns when it has been executed */

	ftm_copies_end(begun);
	return error;
}

static int spawn(const char *name, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const *argv, char *const *env)
{
	spawn_function *of_process = (spawn_function *) dlsym(RTLD_NEXT, name);
	posix_spawn_file_actions_t own;
	numbers kept = targets;
	int error;

	env = env == environ ? ftm_environment() : env;
	if (!ftm_php_thread) {
		return of_process(pid, path, actions, attributes, argv, env);
	}
	targets.count = 0;
	ftm_program_started();
	ftm_keep_meant(&kept);
	if (actions) {
		/* Whoever made them is about to destroy them: what is added does no harm. */
		error = add_closing((posix_spawn_file_actions_t *) actions, &kept);
		return error ? error : start(of_process, pid, path, actions, attributes, argv, env);
	}
	error = posix_spawn_file_actions_init(&own);
	if (error == 0) {
		error = add_closing(&own, &kept);
		if (error == 0) {
			error = start(of_process, pid, path, &own, attributes, argv, env);
		}
		posix_spawn_file_actions_destroy(&own);
	}
	return error;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const *argv, char *const *env)
{
	return spawn("posix_spawn", pid, path, actions, attributes, argv, env);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const *argv, char *const *env)
{
	return spawn("posix_spawnp", pid, file, actions, attributes, argv, env);
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int to)
{
	OF_PROCESS(int, "posix_spawn_file_actions_adddup2", (posix_spawn_file_actions_t *, int, int));
	ftm_add_number(&targets, ftm_php_thread ? to : -1);
	return of_process(actions, from, to);
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int number, const char *path, int flags, mode_t mode)
{
	OF_PROCESS(int, "posix_spawn_file_actions_addopen", (posix_spawn_file_actions_t *, int, const char *, int, mode_t));
	ftm_add_number(&targets, ftm_php_thread ? number : -1);
	return of_process(actions, number, path, flags, mode);
}

/* Does what the libraries of extensions do: starts programs in ways of its own, and locks files. */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "php.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

ZEND_BEGIN_ARG_INFO(arginfo_start, 0)
	ZEND_ARG_INFO(0, how)
	ZEND_ARG_INFO(0, command)
ZEND_END_ARG_INFO()

/* library_start(string $how, string $command): runs the command by a shell, in a way that $how names. What its "pipe" or its
 * descriptor 9 gets is returned: by "fork" the shell finds the pipe's number in $1, by "spawn" the pipe is its descriptor 9. */
static PHP_FUNCTION(library_start)
{
	char *how, *command, number[20], text[1024];
	size_t how_len, command_len, len = 0;
	int ends[2];
	pid_t pid = -1;

	if (zend_parse_parameters(ZEND_NUM_ARGS(), "ss", &how, &how_len, &command, &command_len) == FAILURE) {
		RETURN_THROWS();
	}
	if (strcmp(how, "system") == 0) {
		RETURN_LONG(system(command));
	}
	if (pipe(ends) != 0 || fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0) {
		RETURN_FALSE;
	}
	snprintf(number, sizeof(number), "%d", ends[1]);
	char *argv[] = {"sh", "-c", command, "sh", number, NULL};
	if (strcmp(how, "fork") == 0) {
		pid = fork();
		if (pid == 0) {
			execv("/bin/sh", argv);
			_exit(127);
		}
	} else {
		posix_spawn_file_actions_t actions;
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, ends[1], 9);
		if (posix_spawnp(&pid, "sh", &actions, NULL, argv, environ) != 0) {
			pid = -1;
		}
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	for (ssize_t got; (got = read(ends[0], text + len, sizeof(text) - len)) > 0;) {
		len += got;
	}
	close(ends[0]);
	if (pid > 0) {
		waitpid(pid, NULL, 0);
	}
	RETURN_STRINGL(text, len);
}

ZEND_BEGIN_ARG_INFO(arginfo_lock, 0)
	ZEND_ARG_INFO(0, path)
	ZEND_ARG_INFO(0, from)
	ZEND_ARG_INFO(0, len)
ZEND_END_ARG_INFO()

/* library_lock(string $path, int $from, int $len): the descriptor of the file if that part of it could be locked; false: it is
 * locked by somebody else. */
static PHP_FUNCTION(library_lock)
{
	char *path;
	size_t path_len;
	zend_long from, len;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (zend_parse_parameters(ZEND_NUM_ARGS(), "sll", &path, &path_len, &from, &len) == FAILURE) {
		RETURN_THROWS();
	}
	lock.l_start = from;
	lock.l_len = len;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fcntl(fd, F_SETLK, &lock) != 0) {
		close(fd);
		RETURN_FALSE;
	}
	RETURN_LONG(fd);
}

ZEND_BEGIN_ARG_INFO(arginfo_close, 0)
	ZEND_ARG_INFO(0, fd)
ZEND_END_ARG_INFO()

static PHP_FUNCTION(library_close)
{
	zend_long fd;

	if (zend_parse_parameters(ZEND_NUM_ARGS(), "l", &fd) == FAILURE) {
		RETURN_THROWS();
	}
	RETURN_BOOL(close((int) fd) == 0);
}

static const zend_function_entry functions[] = {
	PHP_FE(library_start, arginfo_start)
	PHP_FE(library_lock, arginfo_lock)
	PHP_FE(library_close, arginfo_close)
	PHP_FE_END
};

static zend_module_entry ftmlibrary_module_entry = {
	STANDARD_MODULE_HEADER, "ftmlibrary", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_GET_MODULE(ftmlibrary)

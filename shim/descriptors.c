/*
 * Programs that a request starts get its standard streams and what proc_open() gives them, none of the descriptors of the
 * requests beside it. PHP opens files and connections without FD_CLOEXEC; of a process of its own, a program would only
 * inherit those of its own request. Here it would keep the locks, connections and pipes of others, and who waits for the end
 * of such a pipe would wait as long as the program runs.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>
#include <linux/close_range.h>
#include <unistd.h>

void ftm_close_on_exec(void)
{
	/* A kernel that cannot do it (before 5.11) leaves them open. */
	int error = errno;
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	errno = error;
}

/* Whether an address lies in PHP: in this program, or in a libphp.so. */
static bool of_php(const void *address)
{
	Dl_info php, other;

	return dladdr((const void *) zend_error, &php) && dladdr(address, &other) && php.dli_fbase == other.dli_fbase;
}

/* PHP calls it for proc_open() only. Libraries know themselves what their programs inherit. */
pid_t fork(void)
{
	static pid_t (*library)(void);

	if (!library) {
		library = (pid_t (*)(void)) dlsym(RTLD_NEXT, "fork");
	}
	const bool starts_program = ftm_php_thread && of_php(__builtin_return_address(0));
	pid_t pid = library();
	if (pid == 0 && starts_program) {
		/* What proc_open() gives the program is copied to its place after this, and the copy stays open. */
		ftm_close_on_exec();
	}
	return pid;
}

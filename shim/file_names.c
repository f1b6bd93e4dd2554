/*
 * File names go to the system as they are, as in php-fpm. Thread-safe PHP resolves each of them against the directory that the
 * thread has by name, and symbolic links and ".." with it, which takes time and is not always what the system takes it for. A
 * name from the root needs none of that, and neither does any other where the system knows the thread's directory.
 */
#include "internal.h"

#ifdef FTM_WRAPPED

# include <dirent.h>
# include <fcntl.h>
# include <stdarg.h>
# include <stdio.h>
# include <sys/stat.h>
# include <unistd.h>
# include <utime.h>

/* The system takes this name for the file that the script means. */
static bool as_it_is(const char *name)
{
	/* open_basedir has been asked about the file in PHP's directory. Had that been moved since, the system's would be another one. */
	const bool confined = PG(open_basedir) && *PG(open_basedir);

	return name[0] == '/' || (!confined && ftm_directory_is_real());
}

/* What the linker has PHP call instead of virtual_NAME(), and that; DIRECT is what it does for a name that can stay as it is. */
# define AS_IT_IS(type, name, params, args, direct) \
	type __wrap_virtual_##name params; \
	type __real_virtual_##name params; \
	type __wrap_virtual_##name params \
	{ \
		return as_it_is(path) ? (direct) : __real_virtual_##name args; \
	}

AS_IT_IS(int, access, (const char *path, int mode), (path, mode), access(path, mode))
AS_IT_IS(int, stat, (const char *path, zend_stat_t *result), (path, result), stat(path, result))
AS_IT_IS(int, lstat, (const char *path, zend_stat_t *result), (path, result), lstat(path, result))
AS_IT_IS(FILE *, fopen, (const char *path, const char *mode), (path, mode), fopen(path, mode))
AS_IT_IS(DIR *, opendir, (const char *path), (path), opendir(path))
AS_IT_IS(int, creat, (const char *path, mode_t mode), (path, mode), creat(path, mode))
AS_IT_IS(int, unlink, (const char *path), (path), unlink(path))
AS_IT_IS(int, mkdir, (const char *path, mode_t mode), (path, mode), mkdir(path, mode))
AS_IT_IS(int, rmdir, (const char *path), (path), rmdir(path))
AS_IT_IS(int, chmod, (const char *path, mode_t mode), (path, mode), chmod(path, mode))
AS_IT_IS(int, utime, (const char *path, struct utimbuf *times), (path, times), utime(path, times))
AS_IT_IS(int, chown, (const char *path, uid_t owner, gid_t group, int link), (path, owner, group, link),
	link ? lchown(path, owner, group) : chown(path, owner, group))
AS_IT_IS(int, rename, (const char *path, const char *to), (path, to),
	as_it_is(to) ? rename(path, to) : __real_virtual_rename(path, to))

int __wrap_virtual_open(const char *path, int flags, ...);
int __real_virtual_open(const char *path, int flags, ...);

int __wrap_virtual_open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list given;
		va_start(given, flags);
		mode = va_arg(given, mode_t);
		va_end(given);
	}
	return as_it_is(path) ? open(path, flags, mode) : __real_virtual_open(path, flags, mode);
}

#endif

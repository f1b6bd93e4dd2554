/*
 * File names go to the system as they are, as in php-fpm. Thread-safe PHP resolves each of them against the directory that the
 * thread has by name, and symbolic links and ".." with it, which takes time, is not always what the system takes it for, and not
 * always what open_basedir has been asked about. A name from the root needs none of that, and neither does any other where the
 * system has the thread where PHP has it. For the PHP that is linked statically; what is loaded calls PHP's own.
 */
#include "internal.h"

#ifdef FTM_WRAPPED

# include <dirent.h>
# include <errno.h>
# include <fcntl.h>
# include <stdarg.h>
# include <stdio.h>
# include <sys/stat.h>
# include <unistd.h>
# include <utime.h>

/* The name by which the system finds the file; NULL: it would be too long, and errno says so. */
static const char *for_system(const char *name, char joined[MAXPATHLEN])
{
	if (name[0] == '/' || name[0] == '\0' || ftm_directory_is_real()) {
		return name;
	}
	if (snprintf(joined, MAXPATHLEN, "%s/%s", CWDG(cwd).cwd, name) >= MAXPATHLEN) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return joined;
}

/* What the linker has PHP call instead of virtual_NAME(). DIRECT is what it does. */
# define DIRECTLY(type, name, params, direct, failed) \
	type __wrap_virtual_##name params; \
	type __wrap_virtual_##name params \
	{ \
		char joined[MAXPATHLEN]; \
		path = for_system(path, joined); \
		return path ? (direct) : (failed); \
	}

DIRECTLY(int, access, (const char *path, int mode), access(path, mode), -1)
DIRECTLY(int, stat, (const char *path, zend_stat_t *result), stat(path, result), -1)
DIRECTLY(int, lstat, (const char *path, zend_stat_t *result), lstat(path, result), -1)
DIRECTLY(FILE *, fopen, (const char *path, const char *mode), fopen(path, mode), NULL)
DIRECTLY(DIR *, opendir, (const char *path), opendir(path), NULL)
DIRECTLY(int, unlink, (const char *path), unlink(path), -1)
DIRECTLY(int, mkdir, (const char *path, mode_t mode), mkdir(path, mode), -1)
DIRECTLY(int, rmdir, (const char *path), rmdir(path), -1)
DIRECTLY(int, chmod, (const char *path, mode_t mode), chmod(path, mode), -1)
DIRECTLY(int, utime, (const char *path, struct utimbuf *times), utime(path, times), -1)
DIRECTLY(int, chown, (const char *path, uid_t owner, gid_t group, int link),
	link ? lchown(path, owner, group) : chown(path, owner, group), -1)

int __wrap_virtual_rename(const char *from, const char *to);
int __wrap_virtual_open(const char *path, int flags, ...);
char *__wrap_virtual_getcwd(char *name, size_t size);
char *__real_virtual_getcwd(char *name, size_t size);

int __wrap_virtual_rename(const char *from, const char *to)
{
	char joined[2][MAXPATHLEN];

	from = for_system(from, joined[0]);
	to = for_system(to, joined[1]);
	return from && to ? rename(from, to) : -1;
}

int __wrap_virtual_open(const char *path, int flags, ...)
{
	char joined[MAXPATHLEN];
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list given;
		va_start(given, flags);
		mode = va_arg(given, mode_t);
		va_end(given);
	}
	path = for_system(path, joined);
	return path ? open(path, flags, mode) : -1;
}

/* The directory may have been moved: names of files are put together with its own name of now. */
char *__wrap_virtual_getcwd(char *name, size_t size)
{
	return ftm_directory_is_real() ? getcwd(name, size) : __real_virtual_getcwd(name, size);
}

#endif

/*
 * Locks of records (fcntl(), lockf()) belong to the process: requests of a pool would not exclude each other, and a request that
 * opens a file and closes it again would cancel the locks that others hold on it. So the locks of PHP threads belong to open
 * file descriptions instead:
 *
 *  - A lock of a whole file belongs to the description that it is asked for with: of two requests one gets it.
 *  - Locks of parts of a file belong to one description for the file, which only this file knows: nothing else closes it. SQLite,
 *    the one that locks parts, knows of all its connections in the process, and takes and releases locks for all of them with the
 *    descriptor of any. As long as one of the descriptors is open with which locks were asked for, they stay.
 *
 * Files without a name are left alone: opcache's lock file is one (see src/pool/opcache.rs), and no other process has it. That
 * processes use the cache, which opcache notes there for each request, is not even asked of the kernel: a process does not see
 * its own locks, and php-ftm holds another one instead.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A file of which parts are locked. */
typedef struct locked {
	dev_t device;
	ino_t inode;
	int description; /* that holds the locks */
	unsigned calls;  /* under way */
	int *askers;     /* the descriptors with which locks were asked for */
	size_t count, room;
	struct locked *next;
} locked;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static locked *all;
static atomic_bool any; /* for close(): it looks no further without */

static long plain(int fd, int command, struct flock *lock)
{
	return syscall(SYS_fcntl, fd, command, lock);
}

/* The calls of open file descriptions have the process id 0, and are given back with the id of a process or -1. */
static int of_description(int fd, int command, struct flock *lock)
{
	static const struct flock everything = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	struct flock copy = lock ? *lock : everything;

	copy.l_pid = 0;
	long result = plain(fd, command == F_GETLK ? F_OFD_GETLK : command == F_SETLKW ? F_OFD_SETLKW : F_OFD_SETLK, &copy);
	if (result == 0 && command == F_GETLK) {
		*lock = copy;
	}
	/* Who repeats the call after a signal does not get away from request_terminate_timeout. */
	if (result == -1 && errno == EINTR && ftm_time_is_up()) {
		errno = EDEADLK;
	}
	return (int) result;
}

/* The functions from here to `ask` are called with the mutex held. */

static void drop(locked *file)
{
	locked **at = &all;

	while (*at != file) {
		at = &(*at)->next;
	}
	*at = file->next;
	atomic_store_explicit(&any, all != NULL, memory_order_relaxed);
	of_description(file->description, F_SETLK, NULL);
	syscall(SYS_close, file->description);
	free(file->askers);
	free(file);
}

/* `fd` is no descriptor of other files than `but` any more. */
static void forget(int fd, const locked *but)
{
	for (locked *file = all, *next; file; file = next) {
		next = file->next;
		for (size_t i = file == but ? file->count : 0; i < file->count; i++) {
			if (file->askers[i] == fd) {
				file->askers[i] = file->askers[--file->count];
				break;
			}
		}
		if (file->count == 0 && file->calls == 0) {
			drop(file);
		}
	}
}

static locked *find(const struct stat *of)
{
	locked *file = all;

	while (file && (file->device != of->st_dev || file->inode != of->st_ino)) {
		file = file->next;
	}
	return file;
}

/* Opened for writing if that is allowed, since a description that is not can hold no locks for those who write. */
static locked *make(const struct stat *of, int fd)
{
	char path[40];
	locked *file = calloc(1, sizeof(*file));

	if (!file) {
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file->description = open(path, O_RDWR | O_CLOEXEC);
	if (file->description == -1) {
		file->description = (int) syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	}
	if (file->description == -1) {
		free(file);
		return NULL;
	}
	file->device = of->st_dev;
	file->inode = of->st_ino;
	file->next = all;
	all = file;
	atomic_store_explicit(&any, true, memory_order_relaxed);
	return file;
}

static bool note_asker(locked *file, int fd)
{
	for (size_t i = 0; i < file->count; i++) {
		if (file->askers[i] == fd) {
			return true;
		}
	}
	if (file->count == file->room) {
		int *grown = realloc(file->askers, (file->room + 8) * sizeof(*grown));
		if (!grown) {
			return false;
		}
		file->askers = grown;
		file->room += 8;
	}
	file->askers[file->count++] = fd;
	return true;
}

/* The file's entry, with a call under way. It is made if there is none and `new`. */
static locked *begin(const struct stat *of, int fd, bool new)
{
	locked *file = find(of);

	if (!file && new) {
		file = make(of, fd);
	}
	if (file) {
		file->calls++;
		/* A descriptor may have been closed where close() does not see it, by fclose() or dup2(). */
		forget(fd, file);
		if (new && !note_asker(file, fd)) {
			file->calls--;
			forget(fd, file);
			return NULL;
		}
	}
	return file;
}

static int ask(const struct stat *of, int fd, int command, struct flock *lock)
{
	const bool takes = command != F_GETLK && lock->l_type != F_UNLCK;

	pthread_mutex_lock(&mutex);
	locked *file = begin(of, fd, takes && of->st_nlink > 0);
	pthread_mutex_unlock(&mutex);
	if (!file && of->st_nlink == 0) {
		return (int) plain(fd, command, lock);
	}
	if (!file && takes) {
		errno = ENOLCK;
		return -1;
	}
	int result = of_description(file ? file->description : fd, command, lock);
	if (file) {
		int error = errno;
		pthread_mutex_lock(&mutex);
		file->calls--;
		forget(-1, NULL);
		pthread_mutex_unlock(&mutex);
		errno = error;
	}
	return result;
}

static int opcache = -1;

void ftm_opcache_locks(int fd)
{
	opcache = fd;
}

/* Locks of byte 1 say that the cache is in use, of byte 0 that it is written to; at the end of a request both are given up. */
static bool says_in_use(const struct flock *lock)
{
	return lock->l_whence == SEEK_SET && ((lock->l_start == 1 && lock->l_len == 1 && lock->l_type != F_WRLCK)
		|| (lock->l_start == 0 && lock->l_len == 0 && lock->l_type == F_UNLCK));
}

int ftm_record_lock(int fd, int command, struct flock *lock)
{
	struct stat found;

	if (fd == opcache && command == F_SETLK && lock && says_in_use(lock)) {
		return 0;
	}

	if (!lock || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
		return (int) plain(fd, command, lock);
	}
	struct flock wanted = *lock;
	if (wanted.l_whence == SEEK_CUR) {
		/* The other description has a position of its own. */
		wanted.l_whence = SEEK_SET;
		wanted.l_start += lseek(fd, 0, SEEK_CUR);
	}
	const bool whole = wanted.l_whence == SEEK_SET && wanted.l_start == 0 && wanted.l_len == 0;
	int result = whole ? of_description(fd, command, &wanted) : 0;
	/* All locks of the file are given up in the same way as that of the whole. */
	if (!whole || (result == 0 && command != F_GETLK && wanted.l_type == F_UNLCK)) {
		result = ask(&found, fd, command, &wanted);
	}
	if (result == 0 && command == F_GETLK) {
		*lock = wanted;
	}
	return result;
}

void ftm_record_locks_close(int fd)
{
	if (atomic_load_explicit(&any, memory_order_relaxed)) {
		pthread_mutex_lock(&mutex);
		forget(fd, NULL);
		pthread_mutex_unlock(&mutex);
	}
}

/* The locks are not the child's, and the mutex may be held by a thread that is not there. */
static void in_child(void)
{
	atomic_store_explicit(&any, false, memory_order_relaxed);
}

void ftm_record_locks_startup(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

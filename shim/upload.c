/*
 * Uploaded files, written in large pieces. PHP writes each 5 KiB of them as they come, and what the file system does for one
 * write was more than half of what an upload cost. So what PHP writes to such a file is gathered, and written at its end or when
 * there is enough of it.
 *
 * PHP tells extensions of each piece right before it writes it, and of a file's end when it has closed it. What cannot be written
 * then is an upload that an extension has stopped (UPLOAD_ERR_EXTENSION), no longer one that the disk had no room for
 * (UPLOAD_ERR_CANT_WRITE). So nothing is left for then: PHP reads up to the next boundary, which is why a file's last piece is
 * shorter than the others, and is written at once with all before it. It is as long as they are for one file in 5,119.
 */
#include "internal.h"

#ifdef FTM_WRAPPED

# include "rfc1867.h"

# include <errno.h>
# include <stdlib.h>
# include <unistd.h>

/* As much is written at once, in bytes. */
# define PIECE ((size_t) 64 * 1024)

/* What PHP reads and writes at once, but for a file's last piece, and where what follows may be a boundary: FILLUNIT of rfc1867.c,
 * less the byte that ends strings. */
# define FULL ((size_t) 5 * 1024 - 1)

/* What the linker has PHP call instead of write() and close(), and these. */
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);
int __wrap_close(int fd);
int __real_close(int fd);

/* An int in some versions of PHP, a zend_result in others. */
typedef __typeof__(php_rfc1867_callback(0, NULL, NULL)) outcome;

/* Who was told before. */
static __typeof__(php_rfc1867_callback) former;

static TSRM_TLS struct {
	/* What PHP is about to write to an uploaded file; length 0: nothing. */
	const void *next;
	size_t next_len;
	/* The file, and what is to be written to it; buffer NULL: none. */
	int fd;
	char *buffer;
	size_t len;
	/* The last of it could not be written. */
	bool failed;
} upload;

void ftm_upload_forget(void)
{
	free(upload.buffer);
	upload.buffer = NULL;
	upload.len = upload.next_len = 0;
	upload.failed = false;
}

static bool write_gathered(void)
{
	const char *from = upload.buffer;
	size_t left = upload.len;

	upload.len = 0;
	while (left > 0) {
		ssize_t written = __real_write(upload.fd, from, left);

		if (written > 0) {
			from += written;
			left -= (size_t) written;
		} else if (written == 0 || errno != EINTR) {
			return false;
		}
	}
	return true;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (EXPECTED(upload.next_len == 0) || data != upload.next || len != upload.next_len || len > PIECE) {
		return __real_write(fd, data, len);
	}
	upload.next_len = 0;
	if (!upload.buffer) {
		upload.buffer = malloc(PIECE);
		upload.fd = fd;
		if (!upload.buffer) {
			return __real_write(fd, data, len);
		}
	}
	if (upload.len + len > PIECE && !write_gathered()) {
		return -1;
	}
	memcpy(upload.buffer + upload.len, data, len);
	upload.len += len;
	if (len < FULL && !write_gathered()) {
		return -1;
	}
	return (ssize_t) len;
}

int __wrap_close(int fd)
{
	if (UNEXPECTED(upload.buffer) && fd == upload.fd) {
		bool written = write_gathered();

		ftm_upload_forget();
		upload.failed = !written;
	}
	return __real_close(fd);
}

static outcome on_event(unsigned int event, void *data, void **extra)
{
	bool failed = false;

	if (event == MULTIPART_EVENT_FILE_END) {
		multipart_event_file_end *file = data;

		failed = upload.failed && !file->cancel_upload;
		if (failed) {
			file->cancel_upload = 7; /* UPLOAD_ERR_CANT_WRITE, for others who are told */
		}
		ftm_upload_forget();
	}
	outcome result = former ? former(event, data, extra) : SUCCESS;

	if (event == MULTIPART_EVENT_FILE_DATA && result == SUCCESS) {
		const multipart_event_file_data *piece = data;

		upload.next = piece->data;
		upload.next_len = *piece->newlength;
	}
	return failed ? FAILURE : result;
}

void ftm_upload_startup(void)
{
	former = php_rfc1867_callback;
	php_rfc1867_callback = on_event;
}

#else

void ftm_upload_startup(void)
{
}

void ftm_upload_forget(void)
{
}

#endif

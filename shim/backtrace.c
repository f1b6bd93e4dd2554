/*
 * The PHP backtrace of a thread for the slowlog, in PHP-FPM's form.
 *
 * Every look at the engine's memory goes through the kernel (process_vm_readv on this very process, which takes no
 * capability), so a frame that disappears meanwhile costs the trace, not the process. The thread itself may therefore be
 * looked at from another one while it is blocked: it is neither stopped nor signalled, and its sleep() sleeps on.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <sys/uio.h>

/* Frames that are looked at for the file of a caller: recursion without user code does not go deeper. */
#define FRAMES_MAX 100000

#define NAME_MAX_LEN 1023

static bool look(const void *at, void *into, size_t len)
{
	struct iovec local = {into, len}, remote = {(void *) at, len};

	return ((uintptr_t) at & 3) == 0 && at && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t) len;
}

/* A copy of the bytes of a zend_string, cut and with what cannot be printed replaced. */
static bool look_string(const zend_string *string, char *into)
{
	size_t len;

	if (!look(&string->len, &len, sizeof(len))) {
		return false;
	}
	len = MIN(len, NAME_MAX_LEN);
	struct iovec local = {into, len}, remote = {(void *) string->val, len};
	if (len > 0 && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t) len) {
		return false;
	}
	into[len] = '\0';
	for (char *c = into; *c; c++) {
		if ((unsigned char) *c < ' ' || *c == 0x7f) {
			*c = '?';
		}
	}
	return true;
}

/* File and line of the first frame with user code, from `frame` on. */
static bool look_caller(const zend_execute_data *frame, char *file, uint32_t *line)
{
	for (int i = 0; frame && i < FRAMES_MAX; i++) {
		const zend_function *function;
		zend_uchar type;

		if (!look(&frame->func, &function, sizeof(function))) {
			return false;
		}
		if (!function) {
			return true;
		}
		/* The type is a byte at the beginning: read it with its neighbours. */
		uint32_t head;
		if (!look(function, &head, sizeof(head))) {
			return false;
		}
		type = (zend_uchar) (head & 0xff);
		if (ZEND_USER_CODE(type)) {
			const zend_string *name;
			const zend_op *opline;
			if (!look(&function->op_array.filename, &name, sizeof(name)) || !look_string(name, file)
			 || !look(&frame->opline, &opline, sizeof(opline))) {
				return false;
			}
			return !opline || look(&opline->lineno, line, sizeof(*line));
		}
		if (!look(&frame->prev_execute_data, &frame, sizeof(frame))) {
			return false;
		}
	}
	return true;
}

bool ftm_backtrace(const void *anchor, uint32_t depth, char *out, size_t size)
{
	const zend_execute_data *frame;
	size_t used = 0;

	out[0] = '\0';
	if (!look(anchor, &frame, sizeof(frame))) {
		return false;
	}
	while (frame && depth-- > 0) {
		char name[NAME_MAX_LEN + 1] = "???", file[NAME_MAX_LEN + 1] = "";
		const zend_execute_data *at = frame;
		const zend_function *function;
		uint32_t line = 0;

		if (!look(&at->func, &function, sizeof(function))) {
			return false;
		}
		if (function) {
			const zend_string *string;
			uint32_t info;
			if (!look(&function->common.function_name, &string, sizeof(string))) {
				return false;
			}
			if (string) {
				if (!look_string(string, name)) {
					return false;
				}
			} else {
				if (!look(&at->This.u1.type_info, &info, sizeof(info))) {
					return false;
				}
				if (ZEND_CALL_KIND_EX(info) == ZEND_CALL_TOP_CODE) {
					return true; /* the script itself */
				}
				strcpy(name, "[INCLUDE_OR_EVAL]");
			}
		}
		if (!look(&at->prev_execute_data, &frame, sizeof(frame)) || !look_caller(frame, file, &line)) {
			return false;
		}
		int len = snprintf(out + used, size - used, "[0x%016" PRIxPTR "] %s() %s:%" PRIu32 "\n", (uintptr_t) at, name,
			*file ? file : "unknown", line);
		if (len < 0 || (size_t) len >= size - used) {
			out[used] = '\0';
			return true; /* what fits */
		}
		used += (size_t) len;
	}
	return true;
}

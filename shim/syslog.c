/*
 * openlog() and syslog() of a PHP thread: ident, options, facility and mask are the request's, where the C library has one of
 * each for all, and even keeps the pointer to an ident that its owner frees. These definitions take the place of the C
 * library's for PHP and its extensions; threads that do not run PHP get the library's.
 */
#undef _FORTIFY_SOURCE /* its syslog() would be defined inline */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"
/* The C library's, as in its syslog(): PHP's reads a text of "%.*s" to its NUL, which PHP's own messages do not have. */
#undef vsnprintf

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* A message beyond this many bytes is cut: longer ones would not go through the daemon's socket. */
#define MESSAGE_MAX (64 * 1024)

/* How long a message may wait for the daemon, or for stderr, in milliseconds; twice that in all. One that does not go then is
 * lost. */
#define PATIENCE 1000

#define DEFAULT_FACILITY LOG_USER
#define DEFAULT_MASK LOG_UPTO(LOG_DEBUG)

static TSRM_TLS struct {
	char *ident;
	int options;
	int facility; /* 0: DEFAULT_FACILITY */
	int without;  /* priorities that are not logged, as setlogmask() has them, inverted */
	bool connected;
	int socket;
	int type;     /* of the socket */
	bool stuck;   /* the last message was not taken: the next one does not wait */
} own;

static void disconnect(void)
{
	if (own.connected) {
		close(own.socket);
		own.connected = false;
	}
}

static bool connect_as(int type)
{
	const struct sockaddr_un daemon = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return false;
	}
	if (connect(fd, (const struct sockaddr *) &daemon, sizeof(daemon)) != 0) {
		int error = errno;
		close(fd);
		errno = error;
		return false;
	}
	own.socket = fd;
	own.type = type;
	own.connected = true;
	return true;
}

static bool connected(void)
{
	return own.connected || connect_as(SOCK_DGRAM) || (errno == EPROTOTYPE && connect_as(SOCK_STREAM));
}

/* Waits until something can be written to `fd`. Not where a signal comes in between: the request may have to end. */
static bool wait_for(int fd, int milliseconds)
{
	struct pollfd entry = {.fd = fd, .events = POLLOUT};

	return poll(&entry, 1, milliseconds) == 1;
}

/* Sends a line of `len` bytes and the NUL behind it, by which the daemon knows a line's end in a stream. */
static bool send_line(const char *line, size_t len)
{
	size_t left = own.type == SOCK_STREAM ? len + 1 : len;
	int patience = own.stuck ? 0 : PATIENCE;

	own.stuck = false;
	while (left > 0) {
		ssize_t sent = send(own.socket, line, left, MSG_NOSIGNAL);
		if (sent > 0) {
			line += sent;
			left -= (size_t) sent;
		} else if (errno == EAGAIN && patience > 0 && wait_for(own.socket, patience)) {
			patience /= 2;
		} else {
			own.stuck = errno == EAGAIN || errno == EINTR;
			if (own.type == SOCK_STREAM) {
				disconnect(); /* or the next line would go on in the middle of this one */
			}
			return false;
		}
	}
	return true;
}

static bool send_to_daemon(const char *line, size_t len)
{
	const bool before = own.connected;

	if (connected() && send_line(line, len)) {
		return true;
	}
	if (!before || own.stuck) {
		return false;
	}
	/* It was restarted since. */
	disconnect();
	return connected() && send_line(line, len);
}

/* Writes `len` bytes and `end`, for which there is room behind them. */
static void write_to(int fd, char *text, size_t len, const char *end)
{
	const size_t whole = len + strlen(end);

	memcpy(text + len, end, whole - len);
	for (size_t at = 0; at < whole && wait_for(fd, PATIENCE);) {
		/* As much as a pipe takes without waiting. */
		ssize_t written = write(fd, text + at, MIN(whole - at, PIPE_BUF));
		if (written <= 0) {
			break;
		}
		at += (size_t) written;
	}
	text[len] = '\0';
}

/* Sends a message. `start` is where the text for others than the daemon begins. */
static void send_message(char *line, size_t start, size_t len)
{
	if (own.options & LOG_PERROR) {
		write_to(STDERR_FILENO, line + start, len - start, line[len - 1] == '\n' ? "" : "\n");
	}
	if (!send_to_daemon(line, len) && (own.options & LOG_CONS)) {
		int fd = open(_PATH_CONSOLE, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0) {
			write_to(fd, line + start, len - start, "\r\n");
			close(fd);
		}
	}
}

static size_t append_all(char *line, size_t len, const char *format, va_list args)
{
	int more = vsnprintf(line + len, MESSAGE_MAX - len, format, args);

	return more < 0 ? strlen(line) : MIN(len + (size_t) more, MESSAGE_MAX - 1);
}

static size_t append(char *line, size_t len, const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 3, 4);

static size_t append(char *line, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	len = append_all(line, len, format, args);
	va_end(args);
	return len;
}

/* The line is as RFC 3164 has it, and as the C library writes it. */
static void log_own(int priority, const char *format, va_list args)
{
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const int error = errno; /* for %m */
	const time_t now = time(NULL);
	struct tm at;

	if (priority & ~(LOG_PRIMASK | LOG_FACMASK)) {
		syslog(LOG_ERR | LOG_CONS | LOG_PERROR | LOG_PID, "syslog: unknown facility/priority: %x", (unsigned) priority);
		priority &= LOG_PRIMASK | LOG_FACMASK;
	}
	if (own.without & LOG_MASK(LOG_PRI(priority))) {
		return;
	}
	if (!(priority & LOG_FACMASK)) {
		priority |= own.facility ? own.facility : DEFAULT_FACILITY;
	}
	char *line = malloc(MESSAGE_MAX + sizeof("\r\n"));
	if (line) {
		localtime_r(&now, &at);
		const size_t start = append(line, 0, "<%d>%s %2d %02d:%02d:%02d ", priority, months[at.tm_mon], at.tm_mday, at.tm_hour,
			at.tm_min, at.tm_sec);
		size_t len = append(line, start, "%s", own.ident ? own.ident : program_invocation_short_name);
		if (own.options & LOG_PID) {
			len = append(line, len, "[%d]", (int) gettid());
		}
		len = append(line, len, ": ");
		errno = error;
		len = append_all(line, len, format, args);
		send_message(line, start, len);
		free(line);
	}
	errno = error;
}

void openlog(const char *ident, int options, int facility)
{
	if (ftm_php_thread) {
		char *copy = ident ? strdup(ident) : NULL;
		if (copy) {
			free(own.ident);
			own.ident = copy;
		}
		own.options = options;
		if (facility && (facility & ~LOG_FACMASK) == 0) {
			own.facility = facility;
		}
		if (options & LOG_NDELAY) {
			(void) connected(); /* tried again with the first message */
		}
		return;
	}
	OF_PROCESS(void, "openlog", (const char *, int, int));
	of_process(ident, options, facility);
}

void closelog(void)
{
	if (ftm_php_thread) {
		disconnect();
		free(own.ident);
		own.ident = NULL;
		return;
	}
	OF_PROCESS(void, "closelog", (void));
	of_process();
}

int setlogmask(int mask)
{
	if (ftm_php_thread) {
		int before = DEFAULT_MASK & ~own.without;
		if (mask) {
			own.without = DEFAULT_MASK & ~mask;
		}
		return before;
	}
	OF_PROCESS(int, "setlogmask", (int));
	return of_process(mask);
}

void vsyslog(int priority, const char *format, va_list args)
{
	if (ftm_php_thread) {
		log_own(priority, format, args);
		return;
	}
	OF_PROCESS(void, "vsyslog", (int, const char *, va_list));
	of_process(priority, format, args);
}

void syslog(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsyslog(priority, format, args);
	va_end(args);
}

/* What code calls that was compiled with _FORTIFY_SOURCE. */
void __vsyslog_chk(int priority, int flag, const char *format, va_list args);
void __syslog_chk(int priority, int flag, const char *format, ...);

void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
{
	if (ftm_php_thread) {
		log_own(priority, format, args);
		return;
	}
	OF_PROCESS(void, "__vsyslog_chk", (int, int, const char *, va_list));
	of_process(priority, flag, format, args);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	__vsyslog_chk(priority, flag, format, args);
	va_end(args);
}

void ftm_syslog_reset(void)
{
	if (own.connected || own.ident || own.options || own.facility || own.without) {
		disconnect();
		free(own.ident);
		memset(&own, 0, sizeof(own));
	}
	own.stuck = false;
}

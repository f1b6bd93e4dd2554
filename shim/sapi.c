/* The SAPI callbacks: output, headers, body, cookies, environment, log. */
#include "internal.h"

#include "php_globals.h"
#include <fcntl.h>

static void abort_if_gone(ftm_io io)
{
	if (io == FTM_IO_GONE) {
		php_handle_aborted_connection(); /* bails out unless ignore_user_abort is set */
	}
}

/* May bail out. */
static size_t sapi_ub_write(const char *data, size_t len)
{
	const ftm_request *request = FTM_REQUEST();

	if (!request) {
		/* -i, -v, -m, and what modules print while they start */
		return fwrite(data, 1, len, stdout);
	}
	abort_if_gone(ftm_rs_write(request, data, len));
	return len;
}

/* May bail out. */
static void sapi_flush_output(void *server_context)
{
	const ftm_request *request = server_context;

	if (!request) {
		fflush(stdout);
		return;
	}
#if PHP_VERSION_ID >= 80400
	/* From 8.4 on PHP-FPM sends the headers at a flush() before any output. */
	if (!SG(headers_sent)) {
		sapi_send_headers();
		SG(headers_sent) = 1;
	}
#endif
	abort_if_gone(ftm_rs_flush(request));
}

static char *sapi_getenv_param(const char *name, size_t name_len)
{
	const ftm_request *request = FTM_REQUEST();

	return request ? (char *) ftm_rs_param(request, name, name_len) : getenv(name);
}

static char *sapi_cookies(void)
{
	return (char *) ftm_rs_param(FTM_REQUEST(), ZEND_STRL("HTTP_COOKIE"));
}

/* ---- headers ---- */

static bool is_header(const sapi_header_struct *h, const char *name, size_t name_len)
{
	return h->header_len > name_len && strncasecmp(h->header, name, name_len) == 0;
}
#define IS_HEADER(h, name) is_header(h, ZEND_STRL(name))

static bool has_status_header(sapi_headers_struct *headers)
{
	zend_llist_position pos;
	for (sapi_header_struct *h = zend_llist_get_first_ex(&headers->headers, &pos); h;
	     h = zend_llist_get_next_ex(&headers->headers, &pos)) {
		if (IS_HEADER(h, "Status:")) {
			return true;
		}
	}
	return false;
}

/* The reason phrases that PHP-FPM knows (main/http_status_codes.h). */
#include "http_status_codes.h"

static const char *reason_phrase(int code)
{
	for (const http_response_status_code_pair *p = http_status_map; p->code; p++) {
		if (p->code == code) {
			return p->str;
		}
	}
	return NULL;
}

/* PHP-FPM cuts its status line here, NUL included. */
#define STATUS_LINE_MAX 1024

/* The "Status:" line that goes out before the script's own headers, or 0 for none. */
static size_t status_line(sapi_headers_struct *headers, char *line, int *status)
{
	const char *given = headers->http_status_line;
	const char *space = given ? strchr(given, ' ') : NULL;
	int code = headers->http_response_code;

	*status = code;
	if (!FTM_G(nph) && code == 200) {
		return 0;
	}
	if (FTM_G(rfc2616_headers) && given) {
		if (space) {
			*status = atoi(space + 1);
		}
		return slprintf(line, STATUS_LINE_MAX, "%s", given);
	}
	if (space && space - given >= 5 && strncasecmp(given, "HTTP/", 5) == 0) {
		*status = atoi(space + 1);
		return slprintf(line, STATUS_LINE_MAX, "Status:%s", space);
	}
	if (has_status_header(headers)) {
		return 0;
	}
	const char *reason = reason_phrase(code);
	return reason ? slprintf(line, STATUS_LINE_MAX, "Status: %d %s", code, reason)
	              : slprintf(line, STATUS_LINE_MAX, "Status: %d", code);
}

void ftm_answer_timeout(const ftm_request *request)
{
	/* What woke the script may have become an error of its own, such as an exception for a lost connection. */
	bool failed = PG(last_error_message) && (PG(last_error_type) & (E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR));

	if (FTM_G(time_up) || (failed && ftm_rs_timed_out(request))) {
		if (SG(sapi_headers).http_status_line) {
			efree(SG(sapi_headers).http_status_line);
		}
		SG(sapi_headers).http_response_code = 504;
		SG(sapi_headers).http_status_line = estrdup("HTTP/1.0 504 Gateway Timeout");
	}
}

/* May bail out. */
static int sapi_send_cgi_headers(sapi_headers_struct *headers)
{
	const ftm_request *request = FTM_REQUEST();
	char line[STATUS_LINE_MAX];
	int status;
	zend_llist_position pos;

	if (SG(request_info).no_headers || !request) {
		return SAPI_HEADER_SENT_SUCCESSFULLY;
	}
	ftm_answer_timeout(request);
	size_t len = status_line(headers, line, &status);
	bool status_sent = len > 0;
	ftm_io io = FTM_IO_OK;
	if (len > 0) {
		len = MIN(len, STATUS_LINE_MAX - 1);
		io |= ftm_rs_write(request, line, len);
		io |= ftm_rs_write(request, "\r\n", 2);
	}
	for (sapi_header_struct *h = zend_llist_get_first_ex(&headers->headers, &pos); h;
	     h = zend_llist_get_next_ex(&headers->headers, &pos)) {
		if (!h->header_len) {
			continue; /* an empty line would end the headers */
		}
		if (IS_HEADER(h, "Status:")) {
			if (status_sent) {
				continue;
			}
			status_sent = true;
		} else if (status == 304 && IS_HEADER(h, "Content-Type:")) {
			continue;
		}
		io |= ftm_rs_write(request, h->header, h->header_len);
		io |= ftm_rs_write(request, "\r\n", 2);
	}
	io |= ftm_rs_write(request, "\r\n", 2);
	abort_if_gone(io);
	return SAPI_HEADER_SENT_SUCCESSFULLY;
}

/* ---- body ---- */

/* REQUEST_BODY_FILE: nginx's client_body_in_file_only hands the body over as a file. */
static bool body_is_a_file(const ftm_request *request)
{
	if (FTM_G(body_fd) >= 0) {
		return true;
	}
	const char *path = ftm_rs_param(request, ZEND_STRL("REQUEST_BODY_FILE"));
	if (!path || !*path) {
		return false;
	}
	FTM_G(body_fd) = open(path, O_RDONLY | O_CLOEXEC);
	if (FTM_G(body_fd) < 0) {
		php_error(E_WARNING, "REQUEST_BODY_FILE: open('%s') failed: %s (%d)", path, strerror(errno), errno);
		FTM_G(body_end) = FTM_BODY_SHORT;
		return false;
	}
	return true;
}

/* A body without an announced length is held to post_max_size here, because PHP's multipart reader only checks the
 * announced one. */
static bool over_post_max_size(const ftm_request *request, size_t len)
{
	if (request->content_length >= 0 || FTM_G(executing) || SG(post_max_size) <= 0) {
		return false;
	}
	return SG(read_post_bytes) + (int64_t) len > SG(post_max_size);
}

/* May bail out (through php_error() and a user's error handler). */
static size_t sapi_read_body(char *buffer, size_t len)
{
	const ftm_request *request = FTM_REQUEST();
	size_t total = 0;
	ftm_body_end end = FTM_BODY_MORE;

	if (request->content_length >= 0) {
		int64_t remaining = request->content_length - SG(read_post_bytes);
		len = remaining <= 0 ? 0 : MIN(len, (size_t) remaining);
	}
	if (len == 0 || FTM_G(body_end) > FTM_BODY_COMPLETE) {
		return 0;
	}
	if (body_is_a_file(request)) {
		while (total < len) {
			ssize_t n = read(FTM_G(body_fd), buffer + total, len - total);
			if (n <= 0) {
				break;
			}
			total += (size_t) n;
		}
		return total;
	}
	if (FTM_G(body_end) > FTM_BODY_COMPLETE) {
		return 0; /* REQUEST_BODY_FILE could not be opened */
	}
	total = ftm_rs_read_body(request, buffer, len, &end);
	if (end != FTM_BODY_MORE) {
		FTM_G(body_end) = end;
	}
	if (over_post_max_size(request, total)) {
		FTM_G(body_end) = FTM_BODY_COMPLETE;
		php_error_docref(NULL, E_WARNING, "POST body of unannounced length exceeds the limit of " ZEND_LONG_FMT " bytes",
			SG(post_max_size));
		SG(post_read) = 1;
		return 0;
	}
	if (end == FTM_BODY_SHORT && FTM_G(executing)) {
		php_error_docref(NULL, E_WARNING, "The request body broke off after " ZEND_LONG_FMT " bytes",
			(zend_long) (SG(read_post_bytes) + total));
	} else if (end == FTM_BODY_TIMEOUT && FTM_G(executing)) {
		php_error_docref(NULL, E_WARNING, "The request body did not arrive within max_input_time");
	}
	return total;
}

/* ---- log ---- */

/* May bail out. */
void ftm_message_stderr(const char *message, size_t len)
{
	const ftm_request *request = FTM_REQUEST();
	ftm_io io = FTM_IO_OK;

	if (!FTM_G(fcgi_logging) || !request || !len || ftm_rs_finished(request)) {
		return;
	}
	if (FTM_G(stderr_started)) {
		io |= ftm_rs_stderr(request, "; ", 2);
	}
	FTM_G(stderr_started) = true;
	io |= ftm_rs_stderr(request, message, len);
	abort_if_gone(io);
}

/* May bail out. */
void ftm_message(ftm_level level, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	size_t len = vspprintf(&text, 0, format, args);
	va_end(args);
	if (FTM_REQUEST()) {
		ftm_rs_message(FTM_REQUEST(), level, text, len, false);
	} else {
		ftm_rs_log(level, text, len);
	}
	ftm_message_stderr(text, len);
	efree(text);
}

/* What PHP logs when error_log is not set. Outside a request (module startup) it goes to our error log. May bail out. */
static void sapi_log(const char *message, int syslog_type)
{
	(void) syslog_type;
	if (!FTM_REQUEST()) {
		ftm_rs_log(FTM_NOTICE, message, strlen(message));
		return;
	}
	char *line;
	size_t len = spprintf(&line, 0, "PHP message: %s", message);
	ftm_rs_message(FTM_REQUEST(), FTM_NOTICE, line, len, true);
	ftm_message_stderr(line, len);
	efree(line);
}

/* ---- activation ---- */

/* May bail out. */
static int sapi_activate_request(void)
{
	if (FTM_REQUEST() && SG(request_info).path_translated) {
		ftm_ini_activate();
	}
	return SUCCESS;
}

/* The response ends here, before PHP frees the request's memory: the client need not wait for that. */
static int sapi_deactivate_request(void)
{
	const ftm_request *request = FTM_REQUEST();

	ftm_upload_forget();
	if (request) {
		/* A callback of header_register_callback() whose time was up: PHP does not come back to the headers after it. */
		if (FTM_G(time_up) && !SG(headers_sent)) {
			static const char answer[] = "Status: 504 Gateway Timeout\r\nContent-type: text/html; charset=UTF-8\r\n\r\n";
			ftm_rs_write(request, answer, sizeof(answer) - 1);
		}
		ftm_rs_finish(request);
	}
	return SUCCESS;
}

static int sapi_start(sapi_module_struct *module)
{
#if PHP_VERSION_ID >= 80200
	return php_module_startup(module, &ftm_module_entry);
#else
	return php_module_startup(module, &ftm_module_entry, 1);
#endif
}

sapi_module_struct ftm_sapi_module = {
	.name = "fpm-fcgi", /* opcache serves only names that it knows, and applications test for it */
	.pretty_name = "FPM/FastCGI",
	.startup = sapi_start,
	.shutdown = php_module_shutdown_wrapper,
	.activate = sapi_activate_request,
	.deactivate = sapi_deactivate_request,
	.ub_write = sapi_ub_write,
	.flush = sapi_flush_output,
	.getenv = sapi_getenv_param,
	.sapi_error = php_error,
	.send_headers = sapi_send_cgi_headers,
	.read_post = sapi_read_body,
	.read_cookies = sapi_cookies,
	.register_server_variables = ftm_register_variables,
	.log_message = sapi_log,
};

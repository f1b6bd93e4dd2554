/* One request from startup to shutdown. Each phase has its own zend_try: a bailout in one does not skip the next. */
#include "internal.h"

#include <fcntl.h>

static bool extension_allowed(const char *path)
{
	const char *const *ext = ftm_config.limit_extensions;
	size_t path_len = strlen(path);

	if (!ext) {
		return true;
	}
	for (; *ext; ext++) {
		size_t ext_len = strlen(*ext);
		if (path_len > ext_len && strcmp(path + path_len - ext_len, *ext) == 0) {
			return true;
		}
	}
	return false;
}

/* May bail out. */
static void refuse(int status, const char *body)
{
	SG(sapi_headers).http_response_code = status;
	PUTS(body);
}

/* The body as far as request startup read it must be whole, or the script does not run. May bail out. */
static bool body_usable(void)
{
	switch (FTM_G(body_end)) {
		case FTM_BODY_SHORT:
			ftm_message(FTM_WARNING, "the request body ended before its announced length");
			refuse(400, "Bad Request.\n");
			return false;
		case FTM_BODY_TIMEOUT:
			ftm_message(FTM_WARNING, "the request body did not arrive within max_input_time");
			refuse(408, "Request Timeout.\n");
			return false;
		case FTM_BODY_GONE:
			return false; /* nobody is left to be answered, and a part of a body is no request */
		default:
			return true;
	}
}

/* Why the script could not be opened. PHP leaves it in errno, unless it sets none, as for a folder, or the message that it
 * logged first went to a file of its own (error_log) and changed it. What decides the answer is looked up again. */
static int open_error(const char *path, int left)
{
	int fd = VCWD_OPEN(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int found = fd < 0 ? errno : 0;

	if (fd >= 0) {
		close(fd);
	}
	return found == EACCES || left == EACCES ? found : left;
}

/* May bail out. */
static void run_script(void)
{
	zend_file_handle file;
	char *path = estrdup(SG(request_info).path_translated); /* for the message: opening may free the original */

	errno = 0;
	if (php_fopen_primary_script(&file) == FAILURE) {
		int error = open_error(path, errno);
		ftm_message(FTM_ERROR, "Unable to open primary script: %s (%s)", path, strerror(error));
		if (error == EACCES) {
			refuse(403, "Access denied.\n");
		} else {
			refuse(404, "No input file specified.\n");
		}
	} else {
		EG(exit_status) = 0;
		FTM_G(executing) = true;
		const cwd_state former = ftm_directory_of_script(ZSTR_VAL(file.filename));
		php_execute_script(&file);
		ftm_directory_leave(former);
	}
	if (!file.in_list) {
		zend_destroy_file_handle(&file);
	}
	efree(path);
	ftm_end_script_if_wanted(FTM_REQUEST()); /* it may have come to its end without an opcode that asks */
}

/* May bail out. */
static void serve(const ftm_request *request)
{
	if (ftm_rs_aborted(request)) {
		return; /* the client left before the script began */
	}
	if (!SG(request_info).request_method) {
		return; /* not HTTP over FastCGI: an empty answer, as PHP-FPM gives */
	}
	if (ftm_config.directory) {
		/* PHP took the directory at its start for the one that requests begin in. */
		(void) VCWD_CHDIR(ftm_config.directory);
	}
	if (!SG(request_info).path_translated) {
		ftm_message(FTM_DEBUG, "Primary script unknown");
		refuse(404, "File not found.\n");
	} else if (!extension_allowed(SG(request_info).path_translated)) {
		ftm_message(FTM_NOTICE, "Access to the script '%s' has been denied (see security.limit_extensions)",
			SG(request_info).path_translated);
		refuse(403, "Access denied.\n");
	} else if (body_usable()) {
		run_script();
	}
}

/* fastcgi.error_header: for scripts that ended with a fatal error. May bail out. */
static void add_error_header(void)
{
	if (EG(exit_status) == 255 && FTM_G(error_header) && *FTM_G(error_header) && !SG(headers_sent)) {
		sapi_header_line line = {0};
		line.line = FTM_G(error_header);
		line.line_len = strlen(FTM_G(error_header));
		sapi_header_op(SAPI_HEADER_REPLACE, &line);
	}
}

static void fill_request_info(const ftm_request *request)
{
	SG(server_context) = (void *) request;
	SG(request_info).request_method = request->method;
	SG(request_info).proto_num = 1000;
	SG(request_info).query_string = (char *) request->query_string;
	SG(request_info).request_uri = (char *) request->script_name;
	SG(request_info).content_type = request->content_type;
	SG(request_info).content_length = request->content_length > 0 ? (zend_long) request->content_length : 0;
	SG(request_info).path_translated = request->script ? estrdup(request->script) : NULL;
	SG(sapi_headers).http_response_code = request->script_missing ? 404 : 200;
	SG(options) |= SAPI_OPTION_NO_CHDIR; /* see ftm_directory_of_script() */
	FTM_G(served) = true;
	FTM_G(stderr_started) = false;
	FTM_G(executing) = false;
	FTM_G(retire) = false;
	FTM_G(time_up) = false;
	FTM_G(in_c_since) = 0;
	FTM_G(body_end) = FTM_BODY_MORE;
	FTM_G(body_fd) = -1;
}

void ftm_request_state_reset(void)
{
	ftm_environment_reset();
	/* PHP keeps in mind what it is, and may have been kept from looking again. Not where the thread has no PHP any more. */
	if (ftm_locale_reset() && tsrm_get_ls_cache()) {
		zend_update_current_locale();
	}
	ftm_syslog_reset();
}

bool ftm_run_request(void *slot, const ftm_request *request)
{
	/* volatile: they are read after a longjmp */
	volatile bool prepared = false, started = false, sound = true, shut_down = false;

	/* Request startup is what clears it after the former request. Until then, settings would be refused whose modules can
	 * only tell later whether they are right, such as session.save_handler. */
	PG(modules_activated) = 0;
	FTM_G(modules_ended) = false;
	CWDG(realpath_cache_size_limit) = FTM_G(realpath_cache_limit);
	zend_try {
		fill_request_info(request);
		php_handle_auth_data(ftm_rs_param(request, ZEND_STRL("HTTP_AUTHORIZATION")));
		if (SG(request_info).auth_user) {
			ftm_rs_request_user(slot, SG(request_info).auth_user);
		}
		ftm_ini_from_params(request);
		prepared = true;
	} zend_end_try();

	ftm_timer_prepare(request);
	zend_try {
		started = php_request_startup() == SUCCESS;
	} zend_end_try();
	ftm_timer_keep();
	const bool look = ftm_rs_started(slot);
	const bool looked = !look || !started || ftm_opcache_look(request);

	EG(exit_status) = 0;
	if (started && prepared && !looked) {
		SG(sapi_headers).http_response_code = 500;
	} else if (started && prepared) {
		zend_try {
			serve(request);
		} zend_end_try();
	} else {
		/* A fatal error while the request was parsed, or in a module's RINIT. Modules that were activated are not
		 * deactivated after that, so the thread's state is not to be trusted. */
		if (!SG(headers_sent)) {
			SG(sapi_headers).http_response_code = 500;
		}
		sound = false;
	}
	zend_try {
		/* Shutdown functions are not to be hit by what was meant for the script. */
		ftm_kill kill;
		(void) ftm_rs_take_kill(request, &kill);
		if (!SG(headers_sent)) {
			ftm_answer_timeout(request);
		}
		add_error_header();
	} zend_end_try();

	if (ftm_rs_script_ended(slot, zend_memory_peak_usage(true), SG(sapi_headers).http_response_code)) {
		zend_llist_position pos;
		for (sapi_header_struct *h = zend_llist_get_first_ex(&SG(sapi_headers).headers, &pos); h;
		     h = zend_llist_get_next_ex(&SG(sapi_headers).headers, &pos)) {
			ftm_rs_response_header(slot, h->header, h->header_len);
		}
	}
	ftm_rs_log_access(slot);
	if (FTM_G(body_fd) >= 0) {
		close(FTM_G(body_fd));
		FTM_G(body_fd) = -1;
	}
	if (SG(request_info).path_translated) {
		efree(SG(request_info).path_translated);
		SG(request_info).path_translated = NULL;
	}

	zend_try {
		php_request_shutdown(NULL);
		/* A bailout of a module after RSHUTDOWN stays in there, and the modules behind it are passed over. */
		shut_down = FTM_G(modules_ended);
	} zend_end_try();
	if (!shut_down) {
		/* Nothing else ends the response where shutdown broke off before the SAPI's turn. */
		if (!SG(headers_sent)) {
			static const char answer[] = "Status: 500 Internal Server Error\r\nContent-type: text/html; charset=UTF-8\r\n\r\n";
			ftm_rs_write(request, answer, sizeof(answer) - 1);
		}
		ftm_rs_finish(request);
	}
	ftm_request_state_reset();
	SG(server_context) = NULL;
	return sound && shut_down && !FTM_G(retire);
}

/* What the C files of the shim share. Not for Rust: PHP's headers are in here. */
#ifndef FTM_INTERNAL_H
#define FTM_INTERNAL_H

#ifdef HAVE_CONFIG_H
# undef HAVE_CONFIG_H
#endif

#include "php.h"
#include "SAPI.h"
#include "php_ini.h"
#include "php_main.h"
#include "php_output.h"
#include "php_variables.h"
#include "ext/standard/info.h"
#include "zend_atomic.h"
#include "zend_extensions.h"
#include "zend_interfaces.h"

#include "ftm.h"

#ifndef ZTS
# error "php-ftm needs a thread-safe PHP (--enable-zts)"
#endif
#ifdef ZEND_SIGNALS
# error "php-ftm needs a PHP without Zend signals (--disable-zend-signals): they are broken under threads"
#endif
#ifndef ZEND_MAX_EXECUTION_TIMERS
# error "php-ftm needs a PHP with --enable-zend-max-execution-timers"
#endif

ZEND_TSRMLS_CACHE_EXTERN()

/* Per-thread globals of the module "cgi-fcgi", under the ini names that PHP-FPM registers. */
ZEND_BEGIN_MODULE_GLOBALS(ftm)
	bool rfc2616_headers;
	bool nph;
	bool fix_pathinfo;
	bool force_redirect;
	bool discard_path;
	bool fcgi_logging;
	char *redirect_status_env;
	char *error_header;
	char *fpm_config;
	bool served;                    /* a request has begun on this thread */
	/* state of the request under way */
	bool stderr_started;            /* a message went to FCGI_STDERR: the next one follows "; " */
	bool executing;                 /* the script was started: a body error now is the script's to handle */
	bool retire;                    /* a setting of this request cannot be taken back: the thread is replaced after it */
	bool modules_ended;             /* all modules have ended the request: none broke that off for the others */
	bool time_up;                   /* request_terminate_timeout has ended the script */
	int64_t in_c_since;             /* when its error was put off for the sake of C code, in milliseconds; 0: it was not */
	ftm_body_end body_end;          /* how the body ended, as far as it was read */
	zend_long realpath_cache_limit; /* the thread's, which PHP sets to 0 for good where a request has an open_basedir */
	int body_fd;                    /* REQUEST_BODY_FILE, -1 when not open */
	HashTable user_ini;             /* directory → parsed .user.ini files, kept for user_ini.cache_ttl seconds */
ZEND_END_MODULE_GLOBALS(ftm)

ZEND_EXTERN_MODULE_GLOBALS(ftm)
#define FTM_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(ftm, v)

#define FTM_REQUEST() ((const ftm_request *) SG(server_context))

extern sapi_module_struct ftm_sapi_module;
extern zend_module_entry ftm_module_entry;
extern ftm_engine_config ftm_config;
extern mode_t ftm_process_umask; /* as it was when the engine started: each request begins with it */

/* Makes the pool's php_admin_value[] hold on the calling thread. */
void ftm_lock_admin_entries(void);

/* One FastCGI parameter. Name and value are each followed by a NUL that their lengths do not count. */
typedef struct ftm_param {
	const char *name;
	size_t name_len;
	char *value;
	size_t value_len;
} ftm_param;

/* How many parameters there are. PHP-FPM walks them from the last that arrived to the first, and FCGI_ROLE, which it adds before
 * them, last. */
static inline size_t ftm_params(const ftm_request *request)
{
	return request->pairs_len + 1;
}

static inline ftm_param ftm_param_at(const ftm_request *request, size_t at)
{
	if (at == 0) {
		return (ftm_param) {ZEND_STRL("FCGI_ROLE"), (char *) request->role, request->role_len};
	}
	const ftm_pair pair = request->pairs[at - 1];
	return (ftm_param) {request->bytes + pair.name.offset, pair.name.len, (char *) request->bytes + pair.value.offset, pair.value.len};
}

/* The C library's function of a name that is defined here, as `of_process`. */
#define OF_PROCESS(type, name, parameters) \
	static type (*of_process) parameters; \
	if (!of_process) { \
		of_process = (type (*) parameters) dlsym(RTLD_NEXT, name); \
	}

/* Keeps what PHP reads of the environment when a thread starts; and what is read meanwhile is that. */
void ftm_environment_keep(void);
void ftm_environment_starting(bool now);

/* The environment of the calling thread's request, or that of the process. */
char **ftm_environment(void);

/* The calling thread runs PHP: some of the C library's functions are about the thread then, not about the process. */
extern TSRM_TLS bool ftm_php_thread;

/* putenv() on a PHP thread is about its request's environment, which goes with the request. */
void ftm_environment_startup(void);
void ftm_environment_reset(void);

/* fcntl()'s F_SETLK, F_SETLKW and F_GETLK on a PHP thread. */
struct flock;
int ftm_record_lock(int fd, int command, struct flock *lock);
void ftm_record_locks_startup(void);

/* Before the descriptor is closed, on any thread. */
void ftm_record_locks_close(int fd);

/* Programs that a PHP thread starts inherit what they are meant to. */
void ftm_inherited_startup(void);

/* Has PCRE find out what it does only once. */
void ftm_pcre_startup(void);

/* Programs that the calling thread has started: reaped after a request, where nobody waits for them any more. */
void ftm_programs_startup(void);
void ftm_program_started(void);
void ftm_programs_reap(void);

/* Around what copies the process's descriptors to a program that is being started; what the first returns is for the second. */
bool ftm_copies_begin(void);
void ftm_copies_end(bool begun);

/* Waits, for some seconds at most, until all that had begun has ended. */
void ftm_copies_wait(void);

/* A copy of this descriptor would be noticed by others: it has been locked. */
void ftm_copies_matter(int fd);

/* In the child of a fork(): closes copies that matter. Async-signal-safe. */
void ftm_copies_drop(void);
void ftm_copies_startup(void);

/* textdomain() of a PHP thread is its own, and goes with the thread. */
void ftm_gettext_end(void);

/* The calling thread is a PHP thread, whose faults are contained; see crash.c. */
void ftm_fault_name(uint64_t id);

/* Remembers the tables that PHP threads begin with. In the main thread, when all modules have started. */
void ftm_tables_startup(void);
/* ts_resource() and ts_free_thread() of a PHP thread. */
void ftm_tables_boot(void);
void ftm_tables_leave(void);
/* Gives back what requests have written to. Between requests. */
void ftm_tables_trim(void);

/* Has files that are uploaded written in large pieces. In the main thread, when all modules have started. */
void ftm_upload_startup(void);
/* No file is being uploaded any more. At the end of a request. */
void ftm_upload_forget(void);

/* The current directory of a PHP thread that shares it with no other: remembered, and gone back to after each script. */
void ftm_directory_own(void);
void ftm_directory_back(void);
/* The system has the thread where PHP has it. */
bool ftm_directory_is_real(void);
void ftm_directory_end(void);
/* Around a script, which runs in its own directory. PHP itself would ask the system twice whether that is one. */
cwd_state ftm_directory_of_script(const char *script);
void ftm_directory_leave(cwd_state former);
extern zif_handler ftm_php_chdir;
void ftm_chdir(INTERNAL_FUNCTION_PARAMETERS);

/* setlocale() on a PHP thread is about its own locale, which goes with the request. False: it had none. */
bool ftm_locale_reset(void);

/* openlog() and syslog() on a PHP thread are about the log of its request. */
void ftm_syslog_reset(void);

/* Lets `handler` take the place of a PHP function's own, which `original` gets unless it is NULL. Where the function is
 * disabled or its extension is not loaded, there is nothing to do. */
void ftm_replace_function(const char *name, zif_handler handler, zif_handler *original);

/* Has ftm_replace_function() called for all of them, when the modules have started. In MINIT. */
void ftm_replace_startup(void);

/* Replace functions by which a script would act on the process of all, or be told of it. */
void ftm_own_process(void);
void ftm_kill_startup(void);

/* Makes opcache_reset() tell the pool. */
void ftm_opcache_hook(void);

/* Once the engine has started. */
void ftm_opcache_startup(void);

/* Closes what a session handler has left open. After all modules have ended the request. */
void ftm_session_close(void);

/* Looks whether opcache wants to restart. False: a fatal error broke it off, and the request with it. */
bool ftm_opcache_look(const ftm_request *request);

/* Raises the fatal error for a request that is to be ended. May bail out. */
void ftm_end_script_if_wanted(const ftm_request *request);

/* Answers 504 if the request's time was up and its script has failed. Before the headers are sent. May bail out. */
void ftm_answer_timeout(const ftm_request *request);

/* A message of this request: to the error log's level filter and, with fastcgi.logging, to FCGI_STDERR. Like zlog() in a
 * PHP-FPM child. Bails out when the client has left and the script does not ignore that. */
void ftm_message(ftm_level level, const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 2, 3);

/* Sends a ready message of `len` bytes to FCGI_STDERR. May bail out, as ftm_message(). */
void ftm_message_stderr(const char *message, size_t len);

/* .user.ini and the [PATH=]/[HOST=] sections of php.ini, for the script of this request. */
void ftm_ini_activate(void);
void ftm_user_ini_free(HashTable *cache);

/* PHP_VALUE and PHP_ADMIN_VALUE parameters; before request startup, so that they act on reading the body too. */
void ftm_ini_from_params(const ftm_request *request);
/* Takes them back, after PHP has taken back what the script changed. */
void ftm_ini_restore_params(void);

/* $_SERVER, $_ENV: installs the hooks that import parameters. Once per process. */
void ftm_variables_startup(void);
void ftm_register_variables(zval *track_vars_array);

/* Takes back what the request has changed of what a process has once, and a PHP thread here. */
void ftm_request_state_reset(void);

/* Runs one request from startup to shutdown. False: the thread must serve no other, because its state is not to be trusted
 * any more, or was changed for good (FTM_G(retire)). */
bool ftm_run_request(void *slot, const ftm_request *request);

/* The thread's max_execution_time timer: made once per thread, armed by PHP. prepare() and keep() go around the start of a
 * request. */
void ftm_timer_prepare(const ftm_request *request);
void ftm_timer_keep(void);
void ftm_timer_free(void);

/* The thread's umask as it was at its start. */
void ftm_umask_back(void);

/* Chains zend_interrupt_function. Once per process, before opcache starts its compiler: the machine code calls whatever function is
 * there by then, and none at all if there is none. */
void ftm_interrupt_startup(void);

/* Whether this is a PHP thread whose request is about to be ended by request_terminate_timeout: it is to wait for nothing more. */
bool ftm_time_is_up(void);

#endif

/*
 * The whole border between Rust and PHP: what Rust calls in C, what C calls in Rust, and the plain structs between.
 * bindgen reads this header and no other, so nothing of PHP's own may appear in it.
 *
 * The rules: PHP reports fatal errors by longjmp, which must never cross a Rust frame. So an ftm_rs_* function never
 * calls back into PHP; it returns a plain result and the C side raises the PHP error after Rust has returned. A panic
 * never leaves an ftm_rs_* function. Functions of the shim that Rust calls never let a bailout escape.
 */
#ifndef FTM_H
#define FTM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a name or value stands in a request's bytes. It is followed by a NUL that the length does not count. */
typedef struct ftm_span {
	uint32_t offset;
	uint32_t len;
} ftm_span;

/* Where one FastCGI parameter stands. */
typedef struct ftm_pair {
	ftm_span name;
	ftm_span value;
} ftm_pair;

/*
 * One request as the C side sees it. Everything it points to lives until ftm_rs_request_done() of the same request has
 * returned. Strings are NUL-terminated; those that may be missing are NULL.
 */
typedef struct ftm_request {
	void *rust;                     /* Rust's own; C only hands it back */
	const char *bytes;              /* the parameters; see ftm_param_at() for how to walk them */
	const ftm_pair *pairs;          /* in order of arrival, without FCGI_ROLE */
	size_t pairs_len;
	const char *role;               /* FCGI_ROLE */
	size_t role_len;
	const char *method;             /* REQUEST_METHOD */
	const char *script;             /* the file to run; NULL: there is none (404) */
	const char *script_name;        /* SCRIPT_NAME after the path fix-ups: PHP's request_uri */
	const char *query_string;
	const char *content_type;       /* NULL only where script is NULL */
	int64_t content_length;         /* bytes announced; -1: not announced, the body ends with its stream */
	int64_t cpu_time;               /* what the thread had used of the processor when it began, in nanoseconds; 0 where PHP may
	                                 * still have to read a body, which takes time that is not the script's */
	bool script_missing;            /* the path fix-ups found no file: answer 404 before the script is opened */
} ftm_request;

/* What an ftm_rs_* call on the response reports. */
typedef enum ftm_io {
	FTM_IO_OK = 0,
	FTM_IO_GONE = 1                 /* nobody reads any more: C calls php_handle_aborted_connection() */
} ftm_io;

/* How a read from the body ended when it returned less than was asked for. */
typedef enum ftm_body_end {
	FTM_BODY_MORE = 0,              /* as much as asked for */
	FTM_BODY_COMPLETE = 1,
	FTM_BODY_SHORT = 2,             /* the stream ended before CONTENT_LENGTH bytes, or broke off */
	FTM_BODY_TIMEOUT = 3,           /* max_input_time passed while it trickled in */
	FTM_BODY_GONE = 4               /* the client left */
} ftm_body_end;

/* Levels of the error log, as PHP-FPM's zlog has them. */
typedef enum ftm_level {
	FTM_DEBUG = 1,
	FTM_NOTICE = 2,
	FTM_WARNING = 3,
	FTM_ERROR = 4,
	FTM_ALERT = 5
} ftm_level;

/* Why a thread left its loop. */
typedef enum ftm_thread_end {
	FTM_THREAD_RETIRED = 0,         /* Rust had no further request for it, or a request changed it for good */
	FTM_THREAD_BROKEN = 1           /* a bailout in request startup or shutdown: its state is not to be trusted */
} ftm_thread_end;

/* The settings of the engine, as given by the command line and the pool. Strings live as long as the process. */
typedef struct ftm_engine_config {
	const char *executable;         /* argv[0] */
	const char *ini_path;           /* -c; NULL: PHP's default search */
	bool ini_ignore;                /* -n */
	const char *ini_entries;        /* lines of name=value that override php.ini: -d and the pool's php_value[] … */
	const char *const *admin_names; /* NULL-terminated: entries that scripts may not change (php_admin_value[]) */
	const char *disable_functions;  /* comma-separated, added to those of php.ini; NULL: none */
	const char *disable_classes;
	const char *const *limit_extensions; /* NULL-terminated (security.limit_extensions); NULL: every extension runs */
	bool wall_clock;                /* max_execution_clock = wall */
	const char *directory;          /* where requests begin, if the process goes there after this start; NULL: where it is */
} ftm_engine_config;

/* ---- Rust calls C ------------------------------------------------------------------------------------------- */

/* Starts TSRM and PHP's modules (MINIT) on the calling thread, which becomes PHP's main thread. Once per process.
 * On failure returns a message that says what is wrong and what to do; NULL: all is well. */
const char *ftm_engine_start(const ftm_engine_config *config);

/* The environment of the process is as requests will find it: libraries that look into it once do so now. After
 * ftm_engine_start(), and before the first PHP thread. */
void ftm_environment_set(void);

/* MSHUTDOWN. Every PHP thread must have ended. */
void ftm_engine_stop(void);

/* The value of an ini entry as an integer, after ftm_engine_start(); fallback where it does not exist. */
int64_t ftm_ini_long(const char *name, int64_t fallback);

/* A string setting of the engine; NULL where unset. Lives as long as the process. */
const char *ftm_ini_string(const char *name);

/* Whether a module or Zend extension of this name, as it calls itself in lower case, is loaded. */
bool ftm_has_extension(const char *name);

/* The modules and Zend extensions that are loaded: a line for each with its name, a tab and its version, which may be empty.
 * Lives as long as the process. */
const char *ftm_extensions(void);

/* Whether there is a PHP function of this name, in lower case, that is not disabled. */
bool ftm_has_function(const char *name);

/* The PHP functions that are refused, as far as there are any, with commas between. Lives as long as the process. */
const char *ftm_refused_functions(void);

/* The php.ini that was read; NULL: none. */
const char *ftm_ini_file(void);

/* The further ini files that were read, with commas and white space between; NULL: none. */
const char *ftm_ini_scanned(void);

/* -v, -m and -i: print to stdout. The engine must have been started. */
void ftm_print_version(void);
void ftm_print_modules(void);
void ftm_print_info(void);

/* PHP_VERSION of the PHP that this binary was compiled against, such as "8.2.32". */
const char *ftm_php_version(void);

/* PHP_VERSION_ID of the PHP that this binary was compiled against, such as 80232. */
uint32_t ftm_php_version_id(void);

/* This is opcache's lock file. Once in a process, before its threads. */
void ftm_opcache_locks(int fd);

/* The life of a PHP thread: boots its state, runs requests until ftm_rs_next_request() has no more, frees all state.
 * `slot` is handed to the callbacks; `id`, not 0, is what ftm_fault calls it. Must be called on a thread of its own that ends
 * afterwards. */
ftm_thread_end ftm_thread_main(void *slot, uint64_t id);

/* Gives back the memory that the calling PHP thread's requests have used and that holds nothing any more: its heap, its stack
 * below the caller, its tables. For a thread that has been idle for a while; takes some ten microseconds, and the next request
 * as long to have it again. Between requests only. */
void ftm_thread_trim(void);

/* A fault of a PHP thread, up to the very end of the thread. */
typedef struct ftm_fault {
	uint64_t thread;                /* its id */
	int32_t signal;
} ftm_fault;

/* From now on, a PHP thread with a fault is parked instead of ending the process, after it has sent `crashed` to the socket
 * `control`, and an ftm_fault to `pipe`. Neither may block. After `seconds` it ends the process all the same. Once per process. */
void ftm_faults_contain(int pipe, int control, char crashed, uint32_t seconds);

/* Lets the faults of the threads that are parked end the process. */
void ftm_faults_release(void);

/* Whether a thread has had a fault: known at once, where the main thread may be told later. */
bool ftm_faults_any(void);

/* Makes the thread that owns `interrupt` ask ftm_rs_aborted() at its next opcode. Any thread may call this while
 * the owner lives (see ftm_rs_thread_booted and ftm_rs_thread_leaving). */
void ftm_interrupt(void *interrupt);

/* The signal whose handler does nothing: it breaks off the system call that a thread is blocked in. */
int ftm_wake_signal(void);

/* Writes the backtrace of the thread whose `anchor` this is (see ftm_rs_thread_booted) into `out`: at most `depth` frames, a
 * line each, NUL-terminated. False: it broke off, because the thread went on meanwhile. Any thread may call this while the
 * owner of the anchor lives, also the owner itself. Never bails out. */
bool ftm_backtrace(const void *anchor, uint32_t depth, char *out, size_t size);

/* ---- C calls Rust ------------------------------------------------------------------------------------------- */

/* The thread's engine state exists; `interrupt` is what ftm_interrupt() takes for it, `anchor` what ftm_backtrace() does. */
void ftm_rs_thread_booted(void *slot, void *interrupt, const void *anchor);

/* The thread's engine state is about to be freed: `interrupt` and `anchor` must not be used after this returns. */
void ftm_rs_thread_leaving(void *slot);

/* Waits for the next request of this slot. NULL: leave. */
const ftm_request *ftm_rs_next_request(void *slot);

/* HTTP's Basic authentication named this user; called before the script runs, if at all. */
void ftm_rs_request_user(void *slot, const char *user);

/* The script has ended and its response with it but for what shutdown functions do. `memory_peak`: the most bytes that
 * PHP's allocator had from the system during the request; `status`: that of the response. True: the access log asks for
 * ftm_rs_response_header() of each header. */
bool ftm_rs_script_ended(void *slot, size_t memory_peak, int status);

/* A header of the response: `Name: value`. */
void ftm_rs_response_header(void *slot, const char *header, size_t len);

/* Writes the request's line to the access log: before its response ends, so that who has that finds the line. */
void ftm_rs_log_access(void *slot);

/* The request is over in every respect; its memory may go. */
void ftm_rs_request_done(void *slot, const ftm_request *request);

/* Response bytes (CGI headers and body alike). Blocks only with a deadline. */
ftm_io ftm_rs_write(const ftm_request *request, const char *data, size_t len);

/* Sends what ftm_rs_write() gathered. */
ftm_io ftm_rs_flush(const ftm_request *request);

/* A message for FCGI_STDERR, which the web server puts into its error log. */
ftm_io ftm_rs_stderr(const ftm_request *request, const char *message, size_t len);

/* Ends the response: rest of the output, end of STDOUT, END_REQUEST. False: it had ended before. */
bool ftm_rs_finish(const ftm_request *request);

/* True after the response has ended. */
bool ftm_rs_finished(const ftm_request *request);

/* True when the client left before the response had ended. */
bool ftm_rs_aborted(const ftm_request *request);

/* The request has been started in PHP, opcache included. True: look at opcache's state now. */
bool ftm_rs_started(void *slot);

/* opcache wants to restart. */
void ftm_rs_opcache_wanted(const ftm_request *request);

/* So often opcache has restarted. */
void ftm_rs_opcache_restarts(const ftm_request *request, uint64_t restarts);

/* True once, when the slowlog wants the request's backtrace: ftm_rs_trace() brings it. */
bool ftm_rs_trace_wanted(const ftm_request *request);
uint32_t ftm_rs_trace_depth(const ftm_request *request);
void ftm_rs_trace(const ftm_request *request, const char *text, size_t len, bool whole);

/* Why a request is to be ended. */
typedef struct ftm_kill {
	int32_t signal;                 /* that another script has sent it; 0: its time is up */
	uint32_t seconds;               /* request_terminate_timeout */
} ftm_kill;

/* True once, when the request is to be ended: `why` says why. */
bool ftm_rs_take_kill(const ftm_request *request, ftm_kill *why);

/* True while the request is to be ended and its script has not been yet. */
bool ftm_rs_kill_pending(const ftm_request *request);

/* Ends what the PHP thread of this id runs, as if it were a process and got `signal`. False: it is no PHP thread. */
bool ftm_rs_kill_thread(const ftm_request *request, int32_t thread, int32_t signal);

/* True if the request was to be ended, whether or not its script has been by that. */
bool ftm_rs_killed(const ftm_request *request);

/* True if its time was up. */
bool ftm_rs_timed_out(const ftm_request *request);

/* The value of a parameter, NUL-terminated, or NULL. */
const char *ftm_rs_param(const ftm_request *request, const char *name, size_t name_len);

/* Reads up to `len` body bytes into `buffer`; returns their number and says in `end` why there are no more. */
size_t ftm_rs_read_body(const ftm_request *request, char *buffer, size_t len, ftm_body_end *end);

/* A line for the error log. */
void ftm_rs_log(ftm_level level, const char *message, size_t len);

/* A message for the error log about what this request's script does; `php`: of PHP itself. Goes where the output of workers
 * goes (catch_workers_output). */
void ftm_rs_message(const ftm_request *request, ftm_level level, const char *message, size_t len, bool php);

/* One row of the pool's scoreboard, for fpm_get_status(). */
typedef struct ftm_status_slot {
	int64_t thread_id;              /* the id of the thread, where PHP-FPM shows that of a process */
	const char *state;              /* "Idle", "Running" … */
	int64_t start_time;             /* Unix time at which the thread was booted */
	int64_t requests;               /* of this thread since it was booted */
	int64_t duration_us;            /* of the current or the last request */
	char method[16];
	char uri[128];
	char query[512];
	char user[32];
	char script[256];
	int64_t content_length;
	double cpu_percent;             /* of the last request; 0 while one runs */
	int64_t memory;                 /* peak of the last request in bytes; 0 while one runs */
} ftm_status_slot;

typedef struct ftm_status {
	const char *pool;
	const char *process_manager;
	int64_t start_time;
	int64_t accepted;
	int64_t queue;                  /* connections in the kernel's backlog and requests that wait for a slot */
	int64_t queue_max;
	int64_t queue_limit;            /* of both together */
	int64_t idle;
	int64_t active;
	int64_t active_max;
	int64_t max_children_reached;
	int64_t slow_requests;
	int64_t memory_peak;            /* the most that a request took, in bytes */
	size_t slots;
} ftm_status;

/* Fills the summary; false outside a pool. */
bool ftm_rs_status(ftm_status *out);

/* Fills in what is php-ftm's own; false where there are no more. The name stays. */
bool ftm_rs_own_figure(size_t index, const char **name, int64_t *value);

/* Fills row `index` < ftm_status.slots; false where the slot has no thread at the moment. */
bool ftm_rs_status_slot(size_t index, ftm_status_slot *out);

/* No number has more significant digits. */
#define FTM_DIGITS 767

/* Writes the decimal digits of `value`, which is finite and above zero, without zeros at their ends and without a NUL, and
 * where the point is among them; returns their number. Mode 0: the shortest that tell it from all others; 2: at most `ndigits`;
 * 3: those up to `ndigits` after the point. */
size_t ftm_rs_digits(double value, int mode, int ndigits, char *digits, int *point);

/* zend_gcvt(). */
void ftm_rs_gcvt(double value, int ndigit, char point, char exponent, char *out);

/* zend_strtod(); `read` is how many bytes the number takes. */
double ftm_rs_strtod(const char *text, size_t *read);

#endif

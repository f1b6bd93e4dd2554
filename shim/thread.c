/*
 * The life of a PHP thread:
 *
 *   ts_resource ── booted ──> [ next request ── run ── done ]* ── leaving ──> ts_free_thread
 *
 * The loop ends when Rust has no further request for the slot (pm.max_requests, graceful stop) or after a bailout that
 * leaves the state in doubt. The OS thread ends right after, so that thread_local storage of extensions goes too.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <sched.h>

TSRM_TLS bool ftm_php_thread;

static int remove_entry(zval *entry)
{
	(void) entry;
	return ZEND_HASH_APPLY_REMOVE;
}

/* Closes persistent connections, the last one first. At the thread's end, ts_free_thread() frees the globals of all modules
 * before it comes to them, and their destructors write there: a closed stream into FG(pclose_ret). */
static void close_persistent(void)
{
	zend_try {
		zend_hash_reverse_apply(&EG(persistent_list), remove_entry);
	} zend_end_try();
}

ftm_thread_end ftm_thread_main(void *slot, uint64_t id)
{
	/* volatile: it is read after a longjmp */
	volatile ftm_thread_end end = FTM_THREAD_RETIRED;
	volatile bool sound = true;

	ftm_fault_name(id);
	/* umask and the current directory become the thread's own. It needs no privilege, but a sandbox may forbid it. */
	const bool own_umask = unshare(CLONE_FS) == 0;
	if (own_umask) {
		ftm_directory_own();
	} else {
		static const char warning[] = "unshare(CLONE_FS) is forbidden here: scripts that call umask() act on the whole pool";
		ftm_rs_log(FTM_WARNING, warning, sizeof(warning) - 1);
	}

	ftm_php_thread = true;
	ftm_environment_starting(true);
	ftm_tables_boot();
	ftm_environment_starting(false);
	SG(server_context) = NULL;
	FTM_G(realpath_cache_limit) = CWDG(realpath_cache_size_limit);
	ftm_lock_admin_entries();
	ftm_rs_thread_booted(slot, &EG(vm_interrupt), &EG(current_execute_data));

	zend_first_try {
		const ftm_request *request;
		while ((request = ftm_rs_next_request(slot))) {
			sound = ftm_run_request(slot, request);
			if (ftm_rs_killed(request)) {
				close_persistent(); /* their sockets may have been shut down */
			}
			ftm_rs_request_done(slot, request);
			ftm_programs_reap();
			if (own_umask) {
				ftm_umask_back();
				ftm_directory_back();
			}
			if (!sound) {
				end = FTM_G(retire) ? FTM_THREAD_RETIRED : FTM_THREAD_BROKEN;
				break;
			}
		}
	} zend_catch {
		sound = false;
		end = FTM_THREAD_BROKEN;
	} zend_end_try();

	ftm_rs_thread_leaving(slot);
	close_persistent();
	ftm_timer_free();
	if (!sound) {
		/* Texts in the request's memory, which goes as a whole: PHP has not come to let go of them. */
		PG(last_error_message) = NULL;
		PG(last_error_file) = NULL;
	}
	ftm_tables_leave();
	ftm_request_state_reset();
	ftm_gettext_end();
	ftm_directory_end();
	ftm_php_thread = false;
	return end;
}

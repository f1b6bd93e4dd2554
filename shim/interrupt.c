/* What reaches a running script from outside: for now, that its client has left. */
#include "internal.h"

static void (*next_interrupt_function)(zend_execute_data *execute_data);

/* Runs on the PHP thread between two opcodes. May bail out. */
static void on_interrupt(zend_execute_data *execute_data)
{
	const ftm_request *request = FTM_REQUEST();

	if (request && !(PG(connection_status) & PHP_CONNECTION_ABORTED) && ftm_rs_aborted(request)) {
		php_handle_aborted_connection();
	}
	if (next_interrupt_function) {
		next_interrupt_function(execute_data);
	}
}

void ftm_interrupt_startup(void)
{
	next_interrupt_function = zend_interrupt_function;
	zend_interrupt_function = on_interrupt;
}

void ftm_interrupt(void *interrupt)
{
	zend_atomic_bool_store_ex(interrupt, true);
}

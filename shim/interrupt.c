/* What reaches a running script from outside: that its client has left. connection_aborted() tells from then on. The
 * script ends where PHP-FPM would end it, at its next output, so that work without output is not torn in the middle. */
#include "internal.h"

static void (*next_interrupt_function)(zend_execute_data *execute_data);

/* Runs on the PHP thread between two opcodes. */
static void on_interrupt(zend_execute_data *execute_data)
{
	const ftm_request *request = FTM_REQUEST();

	if (request && ftm_rs_aborted(request)) {
		PG(connection_status) |= PHP_CONNECTION_ABORTED;
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

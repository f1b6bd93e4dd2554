/*
 * Session locks after an error in a session handler that extends SessionHandler: PHP does not call its close() then, not even
 * at the end of the request. The session's file would stay open and locked for as long as the process lives.
 */
#include "internal.h"

#include "ext/session/php_session.h"

/* A PHP without sessions does not have it. */
#pragma weak ps_globals_id

void ftm_session_close(void)
{
	/* What SessionHandler::open() has opened, and SessionHandler::close() has not closed. session.save_handler is again what
	 * it was before the script set its own. */
	if (&ps_globals_id && PS(mod_user_is_open) && PS(mod_data) && PS(mod) && strcmp(PS(mod)->s_name, "user") != 0) {
		PS(mod_user_is_open) = 0;
		zend_try {
			PS(mod)->s_close(&PS(mod_data));
		} zend_end_try();
	}
}

/*
 * The current directory. That of thread-safe PHP is a name that the thread keeps; C libraries take the real one for relative
 * file names, and find the script's there in a process of its own. So the real one follows, which is the thread's own as well.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"
#include "ext/standard/php_filestat.h"

#include <errno.h>
#include <unistd.h>

static TSRM_TLS char *home; /* where the thread is between requests; NULL: the directory is that of all threads */
static TSRM_TLS bool away;  /* it is elsewhere */
static TSRM_TLS bool lost;  /* it could not go where PHP believes it to be */

zif_handler ftm_php_chdir;

void ftm_directory_own(void)
{
	home = getcwd(NULL, 0);
}

void ftm_directory_end(void)
{
	free(home);
	home = NULL;
}

static void go(const char *path)
{
	if (home && path) {
		lost = chdir(path) != 0;
		away = path != home;
	}
}

bool ftm_directory_is_real(void)
{
	return home && !lost;
}

/* PHP is in this directory from now on, by the name that the system has for it where that is there already. PHP itself may have
 * known for minutes where links lead to. */
static void arrive(const char *path)
{
	char name[MAXPATHLEN];

	if (!ftm_directory_is_real() || !getcwd(name, sizeof name)) {
		/* That there is such a directory is known: a script was opened there, or the system has just gone there. */
		(void) virtual_file_ex(&CWDG(cwd), path, NULL, CWD_REALPATH);
		return;
	}
	efree(CWDG(cwd).cwd);
	CWDG(cwd).cwd_length = strlen(name);
	CWDG(cwd).cwd = estrndup(name, CWDG(cwd).cwd_length);
}

void ftm_directory_back(void)
{
	if (away) {
		go(home);
	}
}

static void follow(void)
{
	if (home && CWDG(cwd).cwd && strcmp(CWDG(cwd).cwd, home) == 0) {
		ftm_directory_back();
	} else {
		go(CWDG(cwd).cwd);
	}
}

cwd_state ftm_directory_of_script(const char *script)
{
	cwd_state former = {0};
	const char *slash = strrchr(script, '/');

	if (slash) {
		char *path = estrndup(script, slash == script ? 1 : (size_t) (slash - script));
		former.cwd = estrndup(CWDG(cwd).cwd, CWDG(cwd).cwd_length);
		former.cwd_length = CWDG(cwd).cwd_length;
		go(path);
		arrive(path);
		efree(path);
	}
	return former;
}

void ftm_directory_leave(cwd_state former)
{
	if (former.cwd) {
		efree(CWDG(cwd).cwd);
		CWDG(cwd) = former;
	}
	follow();
}

/* chdir() of scripts. */
void ftm_chdir(INTERNAL_FUNCTION_PARAMETERS)
{
	char *path;
	size_t len;

	if (!ftm_directory_is_real()) {
		ftm_php_chdir(INTERNAL_FUNCTION_PARAM_PASSTHRU);
		if (Z_TYPE_P(return_value) == IS_TRUE) {
			follow();
		}
		return;
	}
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_PATH(path, len)
	ZEND_PARSE_PARAMETERS_END();
	if (php_check_open_basedir(path)) {
		RETURN_FALSE;
	}
	if (chdir(path) != 0) {
		php_error_docref(NULL, E_WARNING, "%s (errno %d)", strerror(errno), errno);
		RETURN_FALSE;
	}
	away = true;
	arrive(path);
	php_clear_stat_cache(0, NULL, 0);
	RETURN_TRUE;
}

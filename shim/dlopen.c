/*
 * Extensions find what takes the C library's place here (getenv(), setlocale(), popen() and others) like any other program
 * does. Before 8.4, PHP loads them so that they find the library's own first (RTLD_DEEPBIND).
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include "internal.h"

#include <dlfcn.h>

#ifndef FTM_SHARED_LIBPHP
/* For PHP only: the C library looks at who calls it. */
__attribute__((visibility("hidden")))
#endif
void *dlopen(const char *file, int mode)
{
	OF_PROCESS(void *, "dlopen", (const char *, int));
	return of_process(file, mode & ~RTLD_DEEPBIND);
}

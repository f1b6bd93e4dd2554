/*
 * What PCRE finds out once for all threads. Up to 10.42, which PHP has up to 8.3, pcre2_jit_compile() says that there is no memory
 * to a thread that comes while another one is trying whether there is, and PHP then uses no JIT in that thread any more.
 */
#include "internal.h"

#ifdef HAVE_BUNDLED_PCRE
#include "ext/pcre/php_pcre.h"
#endif

/* Before there are threads. */
void ftm_pcre_startup(void)
{
#if defined(HAVE_BUNDLED_PCRE) && defined(HAVE_PCRE_JIT_SUPPORT)
	int error;
	PCRE2_SIZE offset;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR) "x", 1, 0, &error, &offset, NULL);

	if (code) {
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* whatever it finds is found again by those who want it */
		pcre2_code_free(code);
	}
#endif
}

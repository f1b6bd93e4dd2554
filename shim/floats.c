/*
 * Floating point numbers to text and back. PHP's own functions in Zend/zend_strtod.c share scratch memory: up to PHP 8.3 under
 * a lock of all threads, from 8.4 on for each thread, which leaves it behind at its end. So the linker lets PHP call these instead
 * (--wrap, see build.rs), which share nothing, and say the same. Extensions that are loaded, and what Zend/zend_strtod.c itself
 * calls, still get PHP's. Where PHP is a shared library, all do.
 */
#ifndef FTM_SHARED_LIBPHP
#include "internal.h"
#include "zend_strtod.h"

char *__real_zend_dtoa(double value, int mode, int ndigits, int *point, bool *negative, char **end);
void __real_zend_freedtoa(char *digits);

/* What was given out goes back to __wrap_zend_freedtoa(). May bail out where there is no memory, as PHP's own. */
static char *copy(const char *digits, size_t len, char **end)
{
	char *out = malloc(len + 1);

	if (!out) {
		zend_error_noreturn(E_ERROR, "Out of memory writing a floating point number");
	}
	memcpy(out, digits, len);
	out[len] = '\0';
	if (end) {
		*end = out + len;
	}
	return out;
}

/* What PHP never asks for, and what is no number, is left to it. May bail out. */
static char *original(double value, int mode, int ndigits, int *point, bool *negative, char **end)
{
	char *digits = __real_zend_dtoa(value, mode, ndigits, point, negative, NULL);
	char *out = copy(digits, strlen(digits), end);

	__real_zend_freedtoa(digits);
	return out;
}

/* May bail out where there is no memory. */
char *__wrap_zend_dtoa(double value, int mode, int ndigits, int *point, bool *negative, char **end)
{
	char digits[FTM_DIGITS];
	size_t len;

	if (!zend_finite(value) || !(mode == 0 || mode == 2 || (mode == 3 && ndigits >= 0))) {
		return original(value, mode, ndigits, point, negative, end);
	}
	*negative = signbit(value) != 0;
	if (value == 0) {
		*point = 1;
		return copy("0", 1, end);
	}
	len = ftm_rs_digits(fabs(value), mode, ndigits, digits, point);
	return copy(digits, len, end);
}

void __wrap_zend_freedtoa(char *digits)
{
	free(digits);
}

char *__wrap_zend_gcvt(double value, int ndigit, char point, char exponent, char *out)
{
	ftm_rs_gcvt(value, ndigit, point, exponent, out);
	return out;
}

double __wrap_zend_strtod(const char *text, const char **end)
{
	size_t read = 0;
	double value = ftm_rs_strtod(text, &read);

	if (end) {
		*end = text + read;
	}
	return value;
}
#endif

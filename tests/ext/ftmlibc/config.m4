PHP_ARG_ENABLE([ftmlibc], [for the test extension that calls the C library], [AS_HELP_STRING([--enable-ftmlibc], [Enable ftmlibc])], [yes])
if test "$PHP_FTMLIBC" != "no"; then
  PHP_NEW_EXTENSION(ftmlibc, ftmlibc.c, $ext_shared)
fi

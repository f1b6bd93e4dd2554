PHP_ARG_ENABLE([ftmstuck], [for a test extension], [AS_HELP_STRING([--enable-ftmstuck], [Enable ftmstuck])], [yes])
if test "$PHP_FTMSTUCK" != "no"; then
  PHP_NEW_EXTENSION(ftmstuck, ftmstuck.c, $ext_shared)
fi

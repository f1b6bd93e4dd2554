PHP_ARG_ENABLE([ftmstart], [for a test extension], [AS_HELP_STRING([--enable-ftmstart], [Enable ftmstart])], [yes])
if test "$PHP_FTMSTART" != "no"; then
  PHP_NEW_EXTENSION(ftmstart, ftmstart.c, $ext_shared)
fi

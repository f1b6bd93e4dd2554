PHP_ARG_ENABLE([ftmhooks], [for the test extension that notes hooks], [AS_HELP_STRING([--enable-ftmhooks], [Enable ftmhooks])], [yes])
if test "$PHP_FTMHOOKS" != "no"; then
  PHP_NEW_EXTENSION(ftmhooks, ftmhooks.c, $ext_shared)
fi

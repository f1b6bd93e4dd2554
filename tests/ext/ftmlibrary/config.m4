PHP_ARG_ENABLE([ftmlibrary], [for a test extension], [AS_HELP_STRING([--enable-ftmlibrary], [Enable ftmlibrary])], [yes])
if test "$PHP_FTMLIBRARY" != "no"; then
  PHP_NEW_EXTENSION(ftmlibrary, ftmlibrary.c, $ext_shared)
fi

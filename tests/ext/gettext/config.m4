PHP_ARG_ENABLE([gettext], [for a test extension], [AS_HELP_STRING([--enable-gettext], [Enable gettext])], [yes])
if test "$PHP_IMAP" != "no"; then
  PHP_NEW_EXTENSION(gettext, gettext.c, $ext_shared)
fi

PHP_ARG_ENABLE([imap], [for a test extension], [AS_HELP_STRING([--enable-imap], [Enable imap])], [yes])
if test "$PHP_IMAP" != "no"; then
  PHP_NEW_EXTENSION(imap, imap.c, $ext_shared)
fi

PHP_ARG_ENABLE([ftmcrash], [for the crashing test extension], [AS_HELP_STRING([--enable-ftmcrash], [Enable ftmcrash])], [yes])
if test "$PHP_FTMCRASH" != "no"; then
  PHP_REQUIRE_CXX()
  PHP_NEW_EXTENSION(ftmcrash, ftmcrash.cpp, $ext_shared,, -std=c++17 -O0, cxx)
fi

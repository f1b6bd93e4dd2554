PHP_ARG_ENABLE([ftmleak], [for the leaking test extension], [AS_HELP_STRING([--enable-ftmleak], [Enable ftmleak])], [yes])
if test "$PHP_FTMLEAK" != "no"; then
  PHP_REQUIRE_CXX()
  PHP_NEW_EXTENSION(ftmleak, ftmleak.cpp, $ext_shared,, -std=c++17, cxx)
fi

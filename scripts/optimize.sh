# shellcheck shell=bash
# shellcheck disable=SC2154 # root, suite, upstream, build and prefix come from those who source this
# What scripts/build-php --optimized does beyond a plain build: source it after lib.sh, and call it in the build's directory.

# As GCC has it, LTO and global register variables do not go together (its bug 68384): the engine's loop, and opcache's JIT, are
# compiled without. So is what has or calls the functions that the linker puts php-ftm's in the place of (WRAPPED in build.rs):
# LTO would inline PHP's own. Of zend_hash_copy() those who copy tables for threads, so that other calls can be inlined.
apart=(zend_execute zend zend_constants zend_max_execution_timer zend_strtod zend_virtual_cwd)

# compile_once: libtool compiles each file twice, with and without -fPIC. What is linked to php-ftm wants those without, and
# opcache, which is loaded, those with it.
compile_once() {
    sed 's/^build_libtool_libs=yes/build_libtool_libs=no/' libtool >libtool-static
    sed 's/^build_old_libs=yes/build_old_libs=no/' libtool >libtool-shared
    cat >>Makefile <<'END'

Zend/% TSRM/% main/% sapi/% ext/%: LIBTOOL = $(SHELL) $(top_builddir)/libtool-static --preserve-dup-deps
ext/opcache/%: LIBTOOL = $(SHELL) $(top_builddir)/libtool-shared --preserve-dup-deps
END
    printf '%s: CFLAGS_CLEAN += -fno-lto\n' 'ext/opcache/%' "${apart[@]/#/Zend/}" | sed '/^Zend/s/:/.lo:/' >>Makefile
}

# train PROFILE FLAGS...: compile PHP so that it counts what it executes, let it serve real pages on a php-ftm of its own, and
# leave the counts in the directory PROFILE.
train() {
    local profile=$1 php_ftm; shift
    need_build_packages
    need_packages nginx python3
    rm -rf "$profile"
    # The server that counts may have changed its user.
    mkdir -m 1777 "$profile"
    # Threads count together. opcache is linked by libtool, which does not pass these flags on.
    with_progress "compiling PHP $upstream that counts" "$build.counting.log" make -j"$(nproc)" \
        PROF_FLAGS="$* -fprofile-generate=$profile -fprofile-update=prefer-atomic" EXTRA_LDFLAGS=-lgcov
    with_progress "installing PHP $upstream that counts" "$build.install.log" make install EXTRA_LDFLAGS=-lgcov
    # What counts is linked to php-ftm with the rest.
    printf '%s\n' "open $prefix/lib/libphp.a" "addlib $(gcc -print-file-name=libgcov.a)" save end | ar -M
    # Where scripts/build --optimized will build, which has the libraries of php-ftm then.
    with_progress "building php-ftm with it" "$build.counting-ftm.log" \
        env PHP_CONFIG="$prefix/bin/php-config" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/optimized" "$root/scripts/build"
    php_ftm=$(tail -n 1 "$build.counting-ftm.log")
    with_progress "training" "$build.training.log" env PHP_FTM_SUITE="$suite" PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1 \
        python3 -m benchlib.train --php-ftm "$php_ftm" --scripts "$build/Zend"
    for counted in zend_execute ZendAccelerator; do
        compgen -G "$profile/*$counted.gcda" >/dev/null || die "the training has left no counts of $counted in $profile"
    done
    with_progress "removing what counts" "$build.clean.log" make prof-clean
}

# link_whole FLAGS...: link-time optimisation, once for all that link to the library: its files become one.
link_whole() {
    local work=$build/whole
    mkdir "$work"
    cp libs/libphp.a "$work/rest.a"
    (cd "$work" && ar x rest.a "${apart[@]/%/.o}" && ar d rest.a "${apart[@]/%/.o}")
    with_progress "link-time optimisation of PHP $upstream" "$build.link.log" \
        gcc -r -nostdlib "$@" -flto="$(nproc)" -flinker-output=nolto-rel -o "$work/php.o" -Wl,--whole-archive "$work/rest.a"
    rm libs/libphp.a
    (cd "$work" && ar crs "$build/libs/libphp.a" php.o "${apart[@]/%/.o}")
    rm -r "$work"
}

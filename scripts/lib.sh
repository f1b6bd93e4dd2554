# shellcheck shell=bash
# Shared by the scripts beside it: source it, do not run it.
# Everything that can be made anew lies under $PHP_FTM_CACHE, outside the tree.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by those who source this
cache=${PHP_FTM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/php-ftm}
# Servers live in sbin directories, which an ordinary user's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Progress goes to stderr: the stdout of a script is its result.
say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# usage: print the comment block at the top of the script, which is its help.
usage() { sed -nE '2,/^([^#]|$)/s/^# ?//p' "$0"; }

# The release of the machine that this runs on, as apt's suites call it.
machine_suite() { ( . /etc/os-release; echo "${VERSION_CODENAME:-}" ); }

# use_suite S: the release that PHP and applications come from, here and in the scripts that this one calls.
use_suite() {
    [ -n "$1" ] || die "--suite wants a Debian release, such as trixie"
    [ -z "${PHP_CONFIG:-}" ] || die "--suite $1 and PHP_CONFIG=$PHP_CONFIG contradict each other: give one of them"
    export PHP_FTM_SUITE=$1
}

# as_root CMD...: run CMD as root, by sudo where we are not.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install PKG...: install packages without letting any of them start a service. That is decided by
# /usr/sbin/policy-rc.d, which is put there for the time of the installation; a machine that has one keeps its own.
apt_install() {
    # shellcheck disable=SC2016 # the inner shell expands it
    as_root env DEBIAN_FRONTEND=noninteractive bash -euc '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod 755 $policy
        fi
        apt-get update -q
        apt-get -o DPkg::Lock::Timeout=600 install -q -y --no-install-recommends "$@"
    ' apt_install "$@"
}

# need_packages PKG...: install those Debian packages that are missing. Where every one is there, neither apt nor root is needed.
need_packages() {
    local missing=() p log
    command -v dpkg-query >/dev/null || { say "no dpkg here: assuming that these are installed: $*"; return 0; }
    for p; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
    done
    [ ${#missing[@]} = 0 ] && return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "these packages are missing, and there is neither root nor sudo here; let root run:
    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing ${#missing[@]} Debian packages: ${missing[*]}"
    log=$(mktemp)
    if ! apt_install "${missing[@]}" >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        die "apt-get could not install the packages above (whole log: $log)"
    fi
    rm -f "$log"
}

# need_php_packages: what it takes to build PHP, and to link what embeds it.
need_php_packages() {
    need_packages build-essential dpkg-dev autoconf bison re2c pkg-config xz-utils ca-certificates \
        libxml2-dev libcurl4-openssl-dev libssl-dev libonig-dev libsqlite3-dev zlib1g-dev libzip-dev libicu-dev \
        libpng-dev libjpeg-dev libwebp-dev libfreetype-dev libsodium-dev
}

# need_build_packages: what it takes to build php-ftm. bindgen reads the shim's header with libclang.
need_build_packages() {
    need_packages gcc g++ libc6-dev libclang-dev
    [ -n "${PHP_CONFIG:-}" ] || need_php_packages
    need_cargo
}

# choose_php: export PHP_CONFIG, the php-config of the PHP to build with; the one in the environment goes first.
choose_php() {
    [ -n "${PHP_CONFIG:-}" ] || PHP_CONFIG=$("$root/scripts/build-php")/bin/php-config
    export PHP_CONFIG
}

# with_progress WHAT LOG CMD...: run CMD with its output in LOG and a line of progress every 15 s; on failure the log's end.
with_progress() {
    local what=$1 log=$2 began=$SECONDS pid callers
    shift 2
    say "$what (log: $log)"
    # A shell starts background commands deaf to Ctrl-C: give CMD its ears back, and pass TERM on.
    env --default-signal=INT,QUIT "$@" >"$log" 2>&1 </dev/null & pid=$!
    callers=$(trap -p TERM)
    trap 'kill "$pid" 2>/dev/null; exit 143' TERM
    while kill -0 "$pid" 2>/dev/null; do
        if (( (SECONDS - began) % 15 == 14 )); then
            say "  $what: $((SECONDS - began)) s, $(wc -l <"$log") lines, last: $(tail -n 1 "$log" | cut -c1-60)"
        fi
        sleep 1
    done
    eval "${callers:-trap - TERM}"
    if ! wait "$pid"; then
        tail -n 40 "$log" >&2
        die "$what failed; the whole log is $log"
    fi
    say "$what: done in $((SECONDS - began)) s"
}

# newer A B: is version A at least B?
newer() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# need_cargo: a cargo that is new enough, from the distribution where none is here and it has one.
need_cargo() {
    local want have candidate package
    want=$(sed -nE 's/^rust-version = "(.*)"/\1/p' "$root/Cargo.toml")
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    if have=$(cargo --version 2>/dev/null | cut -d' ' -f2); then
        newer "$have" "$want" && return 0
        die "cargo $have is too old, php-ftm needs $want or newer: 'rustup update stable' where rustup gave it; on Debian,
    'apt-get install cargo-web rustfmt-web' has a newer one (it replaces the packages cargo and rustc)"
    fi
    # Debian has a recent one under the name by which it builds browsers; the plain one may be older.
    say "no cargo here: looking whether the distribution has version $want or newer"
    if command -v apt-get >/dev/null; then
        as_root apt-get update -q >/dev/null 2>&1 </dev/null || true
        for package in cargo cargo-web; do
            candidate=$(apt-cache policy "$package" | sed -nE 's/^ *Candidate: ([0-9.]+).*/\1/p')
            if [ -n "$candidate" ] && newer "$candidate" "$want"; then
                need_packages "$package" "${package/cargo/rustfmt}"
                return 0
            fi
        done
    fi
    die "there is no cargo here, and php-ftm needs $want or newer: install Rust with rustup (https://rustup.rs)"
}

# run_tool NAME ARG...: run a program of tests/src/bin on a php-ftm that is built first; it takes this shell's place.
run_tool() {
    local name=$1
    shift
    cd "$root"
    need_build_packages
    choose_php
    [ -n "${PHP_FTM:-}" ] || PHP_FTM=$("$root/scripts/build")
    export PHP_FTM
    cargo build --release --locked -q -p ftm-tests --bin "$name" >&2
    exec "${CARGO_TARGET_DIR:-$root/target}/release/$name" "$@"
}

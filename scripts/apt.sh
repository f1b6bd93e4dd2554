# shellcheck shell=bash
# shellcheck disable=SC2154 # cache comes from lib.sh
# A private apt, for scripts that fetch packages without installing them: source it after lib.sh.
# Its state lies under $cache/apt; nothing system-wide is read but apt's source entries and keys, nothing is changed,
# and no root is needed.

# apt_open SUITE TYPE: aim apt_private at the TYPE (deb, deb-src) entries of SUITE, and fetch their lists. The entries
# are derived from the machine's own, so the same mirrors, proxies and keys serve, wherever apt works.
apt_open() {
    local suite=$1 type=$2 machine f release
    command -v apt-get >/dev/null || die "this machine has no apt: $type packages of $suite cannot be fetched"
    machine=$(machine_suite)
    apt_dir=$cache/apt/$suite-$type
    rm -rf "$apt_dir/sources.d"
    mkdir -p "$apt_dir"/{lists/partial,archives/partial,sources.d}
    for f in /etc/apt/sources.list.d/*.sources; do
        grep -qsE "^Suites:(.*\s)?$machine(\s|-|$)" "$f" || continue
        sed -E -e "s/^Types:.*/Types: $type/" -e "/^Suites:/s/(\s)$machine\b/\1$suite/g" "$f" >"$apt_dir/sources.d/${f##*/}"
    done
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$f" ] || continue
        sed -nE "s/^deb(\s+(\[[^]]*\]\s*)?\S+\s+)$machine(\s|-)/$type\1$suite\3/p" "$f" >"$apt_dir/sources.d/$(basename "$f" .list).list"
    done
    # Third parties that lack the suite make the update fail as a whole, so what counts is what was fetched.
    apt_private apt-get update >"$apt_dir/update.log" 2>&1 </dev/null || true
    for release in "$apt_dir"/lists/*Release; do
        [ -e "$release" ] || { tail -n 5 "$apt_dir/update.log" >&2; die "apt-get update for $suite failed (log: $apt_dir/update.log)"; }
        # The distribution's own packages only, whatever else the machine's apt knows.
        grep -qE '^Origin: (Debian|Ubuntu|Raspbian)$' "$release" && continue
        release=${release%_*Release}
        rm -f "$release"_*_Sources* "$release"_*_Packages*
    done
}

# apt_private TOOL ARGS...: run one of apt's tools on what apt_open fetched.
apt_private() {
    local tool=$1; shift
    "$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt_dir/sources.d" \
        -o Dir::State::Lists="$apt_dir/lists" -o Dir::Cache="$apt_dir" -o APT::Sandbox::User="$(id -un)" "$@"
}

#!/bin/sh
# Looks at everything in deploy/ without starting any of it and without a network. What is not installed is named and left out.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

checked() { echo "ok       $*"; }
skipped() { echo "SKIPPED  $*"; }
broken() { echo "BROKEN   $*"; failed=1; }
# check NAME COMMAND...: its output is shown if it fails.
check() {
    name=$1
    shift
    if "$@" >"$work/out" 2>&1; then checked "$name"; else broken "$name"; sed 's/^/         /' "$work/out"; fi
}
has() { command -v "$1" >/dev/null 2>&1; }

deploy/secrets.sh "$work/secrets" >/dev/null

for script in deploy/*.sh deploy/offline/*.sh deploy/offline/entry/*.sh; do
    if has shellcheck; then check "$script" shellcheck "$script"; else check "$script (syntax only)" sh -n "$script"; fi
done
has shellcheck || skipped "shellcheck is not installed"

any=
for compose in "docker compose" docker-compose; do
    # shellcheck disable=SC2086 # a command and its subcommand
    if $compose version >/dev/null 2>&1; then
        any=yes
        check "docker-compose.yml ($compose)" $compose -f docker-compose.yml config -q
        check "docker-compose.compact.yml ($compose)" $compose -f docker-compose.yml -f docker-compose.compact.yml config -q
    fi
done
[ -n "$any" ] || skipped "docker-compose.yml: no compose is installed"

if has haproxy; then
    check deploy/haproxy/haproxy.cfg env POOL_CA="$work/secrets/ca.pem" haproxy -c -f deploy/haproxy/haproxy.cfg
else
    skipped "deploy/haproxy/haproxy.cfg: haproxy is not installed"
fi

# Under a program that is there: the units name one that may not be installed. A newer version's warnings are not errors.
if has systemd-analyze; then
    mkdir "$work/units"
    for unit in deploy/systemd/*.service; do
        sed 's#/usr/bin/portico#/bin/true#' "$unit" >"$work/units/${unit##*/}"
    done
    check deploy/systemd systemd-analyze verify "$work/units/portico.service" "$work/units/portico@fe1.service"
else
    skipped "deploy/systemd: systemd-analyze is not installed"
fi

# The newest that was built.
# shellcheck disable=SC2012 # two names of ours
portico=$(ls -t target/release/portico target/debug/portico 2>/dev/null | head -n 1)
if [ -n "$portico" ]; then
    for file in deploy/config/*.toml deploy/examples/*.toml; do
        check "$file" "$portico" config check --config "$file"
    done
    # With the files it names where they would be mounted.
    sed "s#/run/secrets#$work/secrets#" deploy/examples/pool.env | grep -v '^ *\(#\|$\)' >"$work/pool.env"
    # shellcheck disable=SC2046 # one assignment a word
    check deploy/examples/pool.env env $(cat "$work/pool.env") "$portico" config check
    check "deploy/examples/pool.toml with its secrets" env PORTICO_SECRETS__KEY_FILE="$work/secrets/node_key" \
        PORTICO_STORE__STATE_FILE="$work/secrets/state_url" PORTICO_STORE__DATABASE_FILE="$work/secrets/database_url" \
        "$portico" config check --config deploy/examples/pool.toml
else
    skipped "example configurations: no portico is built"
fi
exit $failed

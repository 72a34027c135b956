#!/bin/sh
# Debian 12: installs a collector that is not ours, for otlp.rs, into target/interop/otlp: rotel, one program in a Python
# wheel. Its version is pinned; it needs the shared library of Python. Safe to run again: what is there is left alone.
set -eu
cd "$(dirname "$0")"

version=0.0.1a15
target="$(cd ../.. && pwd)/target/interop/otlp"
[ -x "$target/rotel-agent-$version" ] && exit 0

missing=""
for package in python3 python3-venv libpython3.11; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "missing: run  sudo apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of package names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

mkdir -p "$target"
/usr/bin/python3 -m venv "$target/venv"
"$target/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "rotel==$version"
cp "$target"/venv/lib/python3*/site-packages/rotel/rotel-agent "$target/rotel-agent-$version"
rm -r "$target/venv"

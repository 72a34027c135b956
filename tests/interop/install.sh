#!/bin/sh
# Debian 12: installs the client programs that `make interop` runs against the server, and builds
# lyncdrive and linphonelist into target/interop. Safe to run again: what is there is left alone.
set -eu
cd "$(dirname "$0")"

packages="baresip-core linphone-cli liblinphone-dev sip-tester pidgin-sipe libpurple0 libpurple-dev libpurple-bin gcc libc6-dev make pkg-config ca-certificates"
missing=""
for package in $packages; do
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

make -s -C lyncdrive BUILD="$(cd ../.. && pwd)/target/interop"
make -s -C linphonelist BUILD="$(cd ../.. && pwd)/target/interop"

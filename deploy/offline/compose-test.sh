#!/bin/sh
# The pool in containers for real, without an image registry: makes the images (images.sh), starts docker-compose.yml under a
# name, a port and secrets of its own, lets real client programs talk through the balancer while a front end is added, drained
# and killed (tests/containers), and removes everything again.
#   PORTICO_BINARIES=target/release   the server from there; by default target/debug, which is built first
#   KEEP=yes                          leaves the pool running and says how to look at it
set -eu
cd "$(dirname "$0")/../.."
if ! docker info >/dev/null 2>&1; then
    echo "SKIPPED: no container engine answers (docker info)"
    exit 0
fi
for program in baresip linphone-daemon; do
    if ! command -v "$program" >/dev/null; then
        echo "$0: no $program: tests/interop/install.sh installs it" >&2
        exit 1
    fi
done
compose="docker compose"
$compose version >/dev/null 2>&1 || compose=docker-compose

project=porticotest$$
work=$(mktemp -d)
POOL_SECRETS=$work/secrets
POOL_LISTEN=127.0.0.1:$(shuf -i 20000-30000 -n 1)
POOL_ADVERTISE=localhost:${POOL_LISTEN#*:}
POOL_COMPOSE="$compose -p $project${COMPOSE_FILES:+ $COMPOSE_FILES}"
# An image of its own: a developer's stays what it is.
PORTICO_IMAGE=portico/server:test
export POOL_SECRETS POOL_LISTEN POOL_ADVERTISE POOL_COMPOSE PORTICO_IMAGE

clean_up() {
    code=$?
    if [ "$code" != 0 ]; then
        $POOL_COMPOSE ps || true
        $POOL_COMPOSE logs --no-color --tail=100 || true
    fi
    if [ "${KEEP:-}" = yes ]; then
        echo "left running: POOL_SECRETS=$POOL_SECRETS POOL_LISTEN=$POOL_LISTEN $POOL_COMPOSE ps"
        return
    fi
    $POOL_COMPOSE down -v --remove-orphans --timeout 5 >"$work/down" 2>&1 || cat "$work/down"
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ -z "${PORTICO_BINARIES:-}" ]; then
    cargo build -q --locked -p cli --bins
fi
deploy/offline/images.sh "${PORTICO_BINARIES:-target/debug}"
deploy/secrets.sh "$POOL_SECRETS" >/dev/null
$POOL_COMPOSE up -d --no-build
cargo nextest run --locked --profile containers -p tests --no-capture

#!/bin/sh
# Makes, from Debian's packages, the images docker-compose.yml names, for a machine without an image registry. What is
# there already is left alone, the real one above all. The server's image comes last, from binaries built here.
#   images.sh                 everything; the server from target/release
#   images.sh target/debug    the server from there, without its debugging symbols
#   images.sh none            not the server
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
binaries=${1:-$top/target/release}
if ! docker info >/dev/null 2>&1; then
    echo "$0: no container engine answers (docker info)" >&2
    exit 1
fi

# A bare engine has no buildx.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
build() { docker build -q "$@" >"$stage/log" 2>&1 || { cat "$stage/log" >&2; exit 1; }; }

# The label tells an image of ours from a real one, and an outdated one from a good one.
label=org.portico.offline
made_from() { docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null || echo missing; }

# make_image NAME TAG ROOTFS
make_image() {
    recipe=$here/images/$1.Dockerfile
    inputs="$here/rootfs.sh $here/images/base.pkgs $here/images/$1.pkgs $recipe"
    [ ! -e "$here/entry/$1.sh" ] || inputs="$inputs $here/entry/$1.sh"
    # shellcheck disable=SC2086 # a list of files
    sum=$(cat $inputs | sha256sum | cut -c 1-12)
    case $(made_from "$2") in
        "$sum") return ;;
        '') echo "$2: is there and not of this script: left alone"; return ;;
    esac
    rootfs=$("$here/rootfs.sh" "$1")
    docker import "$rootfs" "local/$1-rootfs:$sum" >/dev/null
    build --label "$label=$sum" --build-arg "ROOTFS=local/$1-rootfs:$sum" -t "$2" -f "$recipe" "$here"
    echo "$2: made"
}

make_image base debian:bookworm-slim
make_image redis "redis:${REDIS_TAG:-7}"
make_image postgres "postgres:${POSTGRES_TAG:-15}"
make_image haproxy "haproxy:${HAPROXY_TAG:-2.6}"

if [ "$binaries" != none ]; then
    for program in portico porticoctl; do
        if [ ! -x "$binaries/$program" ]; then
            echo "$0: no $binaries/$program: build it first (cargo build --release --locked -p cli)" >&2
            exit 1
        fi
        strip --strip-debug -o "$stage/$program" "$binaries/$program" 2>/dev/null || cp "$binaries/$program" "$stage/"
    done
    build --build-arg BINARIES=. -t "${PORTICO_IMAGE:-portico/server:dev}" \
        -f "$top/deploy/docker/Dockerfile.prebuilt" "$stage"
    echo "${PORTICO_IMAGE:-portico/server:dev}: made from $binaries"
fi
docker images --format '{{.Repository}}:{{.Tag}} {{.Size}}' |
    grep -E '^(debian|redis|postgres|haproxy|portico/server):' | column -t

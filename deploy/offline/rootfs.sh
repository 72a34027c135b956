#!/bin/sh
# Makes the file system of an image from Debian's packages, without any image registry, and prints the path of the
# tarball. A tarball is kept under a name that has the hash of its package lists, so that a second call is quick.
#   rootfs.sh base            the plain system
#   rootfs.sh redis           that and the packages of images/redis.pkgs
# Needs root, debootstrap and the package mirror of this machine: MIRROR=URL for another one than debootstrap's own.
# Packages are installed here and not by a RUN line: containers need no way to a mirror.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${PORTICO_OFFLINE_CACHE:-$here/../../target/offline}
name=$1

tarball() {
    sum=$(for list in base "$1"; do cat "$here/images/$list.pkgs"; done | cat - "$here/rootfs.sh" | sha256sum)
    printf '%s/%s-%.12s.tar\n' "$cache" "$1" "$sum"
}

target=$(tarball "$name")
if [ -e "$target" ]; then
    echo "$target"
    exit
fi
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    echo "$0: making $name needs root and debootstrap (apt-get install debootstrap)" >&2
    exit 1
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/$name.XXXXXX")
trap 'rm -rf "$work" "$target.new"' EXIT
root=$work/root
if [ "$name" = base ]; then
    echo "base: installing Debian, a minute or two" >&2
    # shellcheck disable=SC2086 # no mirror: no argument
    debootstrap --variant=minbase --include="$(paste -sd, "$here/images/base.pkgs")" \
        bookworm "$root" ${MIRROR:-} >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
else
    base=$("$0" base)
    mkdir "$root"
    tar -C "$root" -xf "$base"
    echo "$name: installing $(paste -sd' ' "$here/images/$name.pkgs")" >&2
    # No service is started while it is installed, and no database is made: its image does that at its first start.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 0755 "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" >>"$work/log" 2>&1; }
    # shellcheck disable=SC2046 # a list of package names
    { in_root apt-get update && in_root apt-get install -y --no-install-recommends $(cat "$here/images/$name.pkgs"); } ||
        { cat "$work/log" >&2; exit 1; }
    rm -f "$root/usr/sbin/policy-rc.d"
fi
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/var/log/*.log
tar -C "$root" -cf "$target.new" .
mv "$target.new" "$target"
echo "$target"

#!/bin/sh
# Unpacks or installs a Debian tree. Runs in a mount namespace of its own.
# bootstrap.sh VARIANT SUITE PACKAGES WORK CACHE MIRROR
#
# The tree is built through an overlay mounted `volatile`, because dpkg's fsync calls cost most of
# the time and the result is only kept when all of it succeeded; the caller syncs at the end.
set -eu
variant=$1 suite=$2 packages=$3 work=$4 cache=$5 mirror=$6
security=${mirror%/debian}/debian-security
mkdir -p "$work/lower" "$work/upper" "$work/work" "$work/tree" "$cache/archives/partial"
mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/work,volatile" \
    overlay "$work/tree" || mount --bind "$work/upper" "$work/tree"
export SKYHOLD_ARCHIVES="$cache/archives"
mmdebstrap --mode=root "--variant=$variant" --format=directory \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Retries "3"' \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --skip=essential/unlink --skip=download/empty --skip=cleanup/apt/cache --skip=cleanup/apt/lists \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives" &&
        mount --bind "$SKYHOLD_ARCHIVES" "$1/var/cache/apt/archives"' \
    ${packages:+--include="$packages"} \
    "$suite" "$work/tree" \
    "deb $mirror $suite main" \
    "deb $mirror $suite-updates main" \
    "deb $security $suite-security main"
# Extracted trees lack what base-files' and usrmerge's scripts would have made.
for name in bin sbin lib lib64; do
    [ -e "$work/tree/$name" ] || [ ! -d "$work/tree/usr/$name" ] ||
        ln -s "usr/$name" "$work/tree/$name"
done
umount "$work/tree/var/cache/apt/archives"
rm -rf "$work/tree/var/cache/apt" "$work/tree/var/lib/apt/lists"
mkdir -p "$work/tree/var/cache/apt/archives/partial" "$work/tree/var/lib/apt/lists/partial"
umount "$work/tree"

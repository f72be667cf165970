#!/bin/sh
# Installs packages on top of a tree, as a new layer. Runs in a mount namespace of its own.
# layer.sh BASE WORK CACHE BACKPORTS PACKAGE...
#
# BACKPORTS names, separated by commas, what comes from the release's backports.
set -eu
base=$1 work=$2 cache=$3 backports=$4
shift 4
tree=$work/tree
mkdir -p "$work/upper" "$work/work" "$tree" "$cache/archives/partial"
mount -t overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work,volatile" \
    overlay "$tree"
mount --bind "$cache/archives" "$tree/var/cache/apt/archives"
mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs tmpfs "$tree/run"
printf '#!/bin/sh\nexit 101\n' > "$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)*\([^ ]*\) bookworm main.*/\2/p' "$tree/etc/apt/sources.list" | head -n 1)
extra=$tree/etc/apt/sources.list.d/skyhold-build.list
[ -n "$mirror" ] || { echo "the tree's /etc/apt/sources.list names no mirror of Debian" >&2; exit 1; }
printf 'deb %s bookworm-backports main\n' "$mirror" > "$extra"
quick="-o Dpkg::Options::=--force-unsafe-io -o APT::Install-Recommends=false
    -o Acquire::Languages=none -o Acquire::Retries=3 -o Binary::apt::APT::Keep-Downloaded-Packages=true
    -o APT::Keep-Downloaded-Packages=true"
# The options are words.
# shellcheck disable=SC2086
chroot "$tree" apt-get $quick -q update
# shellcheck disable=SC2086
chroot "$tree" apt-get $quick -q -y install "$@"
if [ -n "$backports" ]; then
    # shellcheck disable=SC2046,SC2086
    chroot "$tree" apt-get $quick -q -y -t bookworm-backports install \
        $(printf %s "$backports" | tr , ' ')
fi
chroot "$tree" systemctl disable apache2 || :
rm -f "$extra" "$tree/usr/sbin/policy-rc.d"
chroot "$tree" dpkg-query -W
umount "$tree/var/cache/apt/archives" "$tree/etc/resolv.conf"
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin "$tree"/var/log/apt \
    "$tree"/var/log/*.log "$tree"/usr/share/doc/*/examples
mkdir -p "$tree/var/lib/apt/lists/partial"
# An image serves its own pages only when its user asks for it.
umount -R "$tree/dev" "$tree/proc" "$tree/sys" "$tree/run"
umount "$tree"

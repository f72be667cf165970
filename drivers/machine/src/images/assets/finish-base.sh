#!/bin/sh
# Turns a fresh Debian tree into the base image. Runs in a mount namespace of its own.
# finish-base.sh TREE
set -eu
tree=$1
in_tree() { chroot "$tree" "$@"; }

for user in admin ec2-user; do
    in_tree useradd --create-home --shell /bin/bash --user-group "$user"
    in_tree passwd --quiet --lock "$user"
    install -d -m 700 "$tree/home/$user/.ssh"
    in_tree chown "$user:$user" "/home/$user/.ssh"
done
in_tree passwd --quiet --lock root

# What only a machine with hardware, or one that lives for months, needs.
mask() {
    for unit in "$@"; do ln -sf /dev/null "$tree/etc/systemd/system/$unit"; done
}
mask console-getty.service getty@.service getty-static.service serial-getty@.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-logind.service \
    systemd-remount-fs.service systemd-sysctl.service systemd-sysusers.service \
    systemd-modules-load.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    proc-sys-fs-binfmt_misc.mount systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-pcrphase-initrd.service systemd-journal-flush.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-tmpfiles-setup-dev.service \
    systemd-network-generator.service systemd-networkd-wait-online.service \
    systemd-journal-catalog-update.service systemd-firstboot.service systemd-random-seed.service \
    systemd-hwdb-update.service systemd-machine-id-commit.service systemd-update-done.service \
    systemd-initctl.socket systemd-initctl.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount kmod-static-nodes.service \
    modprobe@.service e2scrub_reap.service e2scrub_all.timer apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer remote-fs.target \
    cryptsetup.target veritysetup.target integritysetup.target swap.target
ln -sf /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
# Started when somebody talks to it.
rm -f "$tree/etc/systemd/system/multi-user.target.wants/dbus.service" \
    "$tree/lib/systemd/system/multi-user.target.wants/dbus.service" \
    "$tree/lib/systemd/system/multi-user.target.wants/getty.target"
rm -f "$tree/etc/systemd/system/multi-user.target.wants/ssh.service" \
    "$tree/etc/systemd/system/sshd.service"
# Wanted by hand: the tree has no systemd to ask.
for unit in skyhold-identity.service skyhold-first-boot.service; do
    ln -sf "/lib/systemd/system/$unit" \
        "$tree/etc/systemd/system/multi-user.target.wants/$unit"
done
ln -sf /etc/systemd/system/ssh.service "$tree/etc/systemd/system/multi-user.target.wants/ssh.service"
ln -sf /etc/systemd/system/ssh.service "$tree/etc/systemd/system/sshd.service"

# Every machine makes its own.
rm -f "$tree"/etc/ssh/ssh_host_*
: > "$tree/etc/machine-id"
rm -f "$tree/var/lib/dbus/machine-id"
rm -f "$tree/etc/hostname"
printf 'nameserver 169.254.169.253\n' > "$tree/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$tree/etc/hosts"
: > "$tree/etc/fstab"
mkdir -p "$tree/opt/aws/bin"
ln -sf /usr/local/bin/cfn-signal "$tree/opt/aws/bin/cfn-signal"
ln -sf /usr/lib/skyhold/first-boot "$tree/usr/bin/cloud-init"
rm -rf "$tree"/var/log/*.log "$tree"/var/log/apt "$tree"/tmp/* "$tree"/var/cache/debconf/*-old
in_tree python3 -m compileall -q /usr/lib/python3.11/http /usr/lib/python3.11/email \
    /usr/lib/python3.11/urllib || :

#!/bin/sh
# Makes Arch out of Debian 13, as far as Ansible and pacman can tell.
#
# The files stay Debian's. apt and dpkg go, so that nothing can use them by mistake.
set -eu

recipe=/recipe/rig/facsimiles/archlinux
repositories=/usr/share/vestibule-facsimile
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

get() {
    apt-get -qq install --yes --no-install-recommends "$@" > /dev/null
}

# What a play installs; the libraries that it needs are in the system from the beginning
packages='lua5.4 lua-sec lua-socket lua-expat lua-filesystem lua-luaossl lua-basexx lua-cjson
    prosody nginx nginx-common coturn openjdk-21-jre-headless sudo'
apt-get -qq update
# The last two are for the stand-in of Jicofo, a program in Python that reads HOCON
get pacman-package-manager libarchive-tools fakeroot gnupg openssl p11-kit python3-slixmpp ruby-hocon
mkdir /tmp/debs
cd /tmp/debs
# pacman-key borrows from it; what it needs to compile would be a hundred megabytes more
apt-get -qq download makepkg
dpkg-deb --extract makepkg_*.deb /
# shellcheck disable=SC2086 # one word for each package
{
    apt-get -qq --simulate install --no-install-recommends $packages \
        | sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p' > /tmp/libraries
    # shellcheck disable=SC2046
    get $(cat /tmp/libraries)
    apt-get -qq download $packages
}

# One folder for programs
cp --archive --no-clobber /usr/sbin/. /usr/bin/
rm -r /usr/sbin
ln -s bin /usr/sbin
ln -sf python3 /usr/bin/python
ln -sf bash /usr/bin/sh

(cd /recipe && python3 -m rig.facsimiles.archlinux.repack /tmp/debs "$recipe/overlay" "$repositories")

# Debian's ways. What is left of its package manager are the libraries and the records of neither.
rm -r /etc/apt /etc/debian_version /usr/lib/apt /usr/lib/dpkg /usr/lib/python3/dist-packages/apt* \
    /var/cache/apt /var/cache/debconf /var/lib/apt /var/lib/dpkg /usr/share/debconf
for name in apt dpkg deb debconf update-ca-certificates update-rc.d update-alternatives invoke-rc.d \
    adduser addgroup deluser delgroup service; do
    rm -f "/usr/bin/$name" "/usr/bin/$name"-*
done
rm -rf /etc/ssl/certs
mkdir -p /etc/ssl/certs
userdel www-data
sed -i 's/www-data/http    /' /usr/lib/sysusers.d/basic.conf

cp --recursive --no-dereference "$recipe/root/." /
touch /etc/arch-release
ln -sf ../usr/lib/os-release /etc/os-release
systemd-sysusers
install -d /etc/ca-certificates/trust-source/anchors /usr/share/ca-certificates/trust-source/anchors
cp --dereference /usr/share/ca-certificates/mozilla/*.crt \
    /usr/share/ca-certificates/trust-source/anchors/

pacman-key --init > /dev/null 2>&1
pacman -Sy > /dev/null
# shellcheck disable=SC2046 # one word for each package
pacman -S --dbonly --noconfirm $(pacman -Slq core | grep -vx ca-certificates-utils) > /dev/null
pacman -S --noconfirm ca-certificates-utils > /dev/null
update-ca-trust
# A fresh server has not asked for the lists yet
rm -r /var/lib/pacman/sync /tmp/debs /tmp/libraries

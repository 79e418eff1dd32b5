#!/bin/sh
# Gives a Debian server Ubuntu's name: ubuntu.sh VERSION CODENAME
#
# Its packages stay Debian's, and apt goes on asking Debian's mirrors.
set -eu

version=$1
codename=$2

# A diversion outlives upgrades of the package that owns the file
dpkg-divert --quiet --local --rename --add /usr/lib/os-release
cat > /usr/lib/os-release << END
PRETTY_NAME="Ubuntu $version LTS"
NAME="Ubuntu"
VERSION_ID="$version"
VERSION="$version LTS ($codename)"
VERSION_CODENAME=$codename
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=$codename
END
cat > /etc/lsb-release << END
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=$version
DISTRIB_CODENAME=$codename
DISTRIB_DESCRIPTION="Ubuntu $version LTS"
END

[ "$version" = 22.04 ] || exit 0

# Ubuntu 22.04 offers a Prosody that is too old for Jitsi. The package is empty: nobody may get as
# far as to install it.
offer=/usr/share/vestibule-facsimile/apt
mkdir -p "$offer" /tmp/prosody/DEBIAN
cat > /tmp/prosody/DEBIAN/control << END
Package: prosody
Version: 0.11.13-1
Architecture: all
Maintainer: Vestibule tests <stand-ins@example.org>
Description: Stand-in for tests, not Ubuntu's package
 It has the version of Ubuntu 22.04's package of this name, and no files.
END
dpkg-deb --root-owner-group --build /tmp/prosody "$offer/prosody_0.11.13-1_all.deb" > /dev/null
rm -r /tmp/prosody
cd "$offer"
for package in *.deb; do
    dpkg-deb --field "$package"
    echo "Filename: ./$package"
    echo "Size: $(stat --format=%s "$package")"
    echo "SHA256: $(sha256sum "$package" | cut -d ' ' -f 1)"
done > Packages
echo "deb [trusted=yes] file:$offer ./" > /etc/apt/sources.list.d/facsimile.list
cat > /etc/apt/preferences.d/facsimile << END
Package: prosody
Pin: release o=Debian
Pin-Priority: -1
END

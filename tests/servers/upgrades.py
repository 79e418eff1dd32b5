"""Later versions of packages, with whatever faults, and what a server is like beside the clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.support import Server

CASES = ["valid_token_enters", "no_token_refused", "wrong_room_refused"]
SNAPSHOTS = "/var/lib/vestibule/snapshots"
# A plugin that loads, and lets everybody into every room; and a command that makes a package so
OPEN = "module:log('info', 'Everybody may come')\n"
OPEN_DOOR = f"""printf '%s' "{OPEN}" > $(find . -name mod_token_verification.lua)"""
# A package whose script fails half-way
HALF_WAY = "echo 'exit 1' > DEBIAN/postinst"
_REPOSITORY = "/srv/stand-ins/apt"
_SOURCE = "/etc/apt/sources.list.d/later.list"
# What programs keep for themselves, and where snapshots are
_NOT_LOOKED_AT = (
    "/var/cache/debconf",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/lib/ucf",
    "/var/lib/vestibule/snapshots",
    "/etc/ld.so.cache",
    "/etc/.pwd.lock",
    "/root/",
)
# Another version of a package: what it is made of, its name, its version, and what is done to it
_MAKE = r"""
tree=$(mktemp -d)
dpkg-deb -R "$1" $tree
cd $tree
sed -i "s/^Version: .*/Version: $2/" DEBIAN/control
eval "$3"
mkdir -p /srv/stand-ins/apt/later
deb=/srv/stand-ins/apt/later/$(basename "$1" | cut -d_ -f1)_later.deb
dpkg-deb --root-owner-group -Zgzip -b $tree $deb > /dev/null
rm -r $tree
cd /srv/stand-ins/apt/later
: > Packages
for each in *.deb; do
    dpkg-deb --field $each
    echo "Filename: later/$each"
    echo "Size: $(stat -c %s $each)"
    echo "SHA256: $(sha256sum $each | cut -d' ' -f1)"
    echo
done > Packages
"""


class Offers:
    """A repository with later versions, made on the server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @contextmanager
    def later(self, name: str, version: str, fault: str = "true") -> Iterator[None]:
        """The host's repositories have this version, made of the present one by a command.

        The command runs where the files of the package are.
        """
        of_jitsi = name.startswith("ji")
        present = self._server.run(
            f"ls {_REPOSITORY}/stable/{name}_*.deb" if of_jitsi else
            f"ls {SNAPSHOTS}/packages/{name}_*.deb"
        ).split()[0]  # fmt: skip
        try:
            self._server.run(f"set -- {present} '{version}' \"$(cat)\"\n{_MAKE}", stdin=fault)
            self._server.run(f"echo 'deb [trusted=yes] file:{_REPOSITORY} later/' > {_SOURCE}")
            yield
        finally:
            self._server.run(f"rm -rf {_SOURCE} {_REPOSITORY}/later; apt-get update")


def state(server: Server) -> dict[str, str]:
    """What a failed upgrade may not change: packages, holds, files, services and listeners."""
    kinds = ("package ", "service ", "listener ", "file ", "content ")
    return {
        name: known
        for name, known in server.snapshot().items()
        if name.startswith(kinds)
        and not name.partition(" ")[2].startswith(_NOT_LOOKED_AT)
        and not name.endswith(_SOURCE)
    }


def version(server: Server, name: str) -> str:
    """The version that is installed."""
    return server.run(f"dpkg-query --show --showformat '${{Version}}' {name}")

"""A plain shell script that installs what a deployment installed, read from its server.

Before the deployment ``MARK`` notes what a fresh server has. Afterwards ``survey`` reads what came
since, and ``script`` says that for another fresh server. The time of birth of a file tells whose it
is, and when it is needed: what was born while packages were installed comes from them and their
scripts, everything else is the deployment's, and is unpacked between the same transactions.
"""

from __future__ import annotations

import re
import shlex
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass

# Without folders, as they go only where nothing is left in them
NAMES = "find /etc /usr/local /var/lib/prosody ! -type d"

# apt's own log has the times of transactions in whole seconds only, so hooks of apt note them, and
# what is there after each: a deployment may remove what packages made
MARK = f"""
set -eu
mkdir -p /root/twin
cat > /etc/apt/apt.conf.d/99twin << 'END'
DPkg::Pre-Invoke {{ "date +%s.%N >> /root/twin/moments"; }};
DPkg::Post-Invoke {{ "date +%s.%N >> /root/twin/moments; {NAMES} >> /root/twin/names"; }};
END
cp /var/cache/debconf/config.dat /root/twin/answers
systemctl list-units --type=service --state=active --plain --no-legend > /root/twin/units
ss -Hltn > /root/twin/ports
cat /var/log/apt/history.log 2> /dev/null | wc -c > /root/twin/history
sleep 0.1
date +%s.%N > /root/twin/began
"""

FILES = """
find /etc /usr/local /var/lib/prosody -newerct "@$(cat /root/twin/began)" \\
    \\( -type f -o -type d -o -type l \\) -exec stat -c '%.9W %n' {} +
"""
HISTORY = 'tail -c "+$(($(cat /root/twin/history) + 1))" /var/log/apt/history.log'
ADDRESS = "hostname -I"
UNITS = "systemctl show --property=Id,UnitFileState,ActiveEnterTimestampMonotonic '*.service'"

TRUSTED = "/usr/local/share/ca-certificates/"
SOURCES = "/etc/apt/"
# update-ca-certificates makes what lies here
MADE = "/etc/ssl/certs/"

HEAD = """\
set -eu
trap 'echo "failed at: $BASH_COMMAND" >&2' ERR
export DEBIAN_FRONTEND=noninteractive
unpack() { tar x -P -p -C / -f "/root/twin/$1.tar"; }
"""


@dataclass(frozen=True)
class Installed:
    """What a deployment brought to a fresh server."""

    answers: str  # of debconf, as debconf-set-selections takes them
    commands: list[str]  # of apt, in their order
    sources: list[str]  # paths of what apt has to know first
    files: list[list[str]]  # paths, before the first command, …, after the last
    removed: list[str]  # paths of what packages made
    units: list[str]  # in the order in which they became active
    ports: list[str]  # that listen, as ss prints addresses
    address: str  # of the server itself, which stands in files and ports

    def archives(self) -> dict[str, list[str]]:
        """Paths by the names of the archives that the script unpacks."""
        stages = {str(number): paths for number, paths in enumerate(self.files)}
        return {name: paths for name, paths in {"apt": self.sources, **stages}.items() if paths}


def paragraphs(text: str) -> list[dict[str, str]]:
    """Fields by name, of each paragraph of a file of Debian or of systemctl."""
    return [
        dict(re.findall(r"^([\w-]+)(?:: ?|=)(.*)$", paragraph, re.MULTILINE))
        for paragraph in re.split(r"\n{2,}", text)
    ]


def commands(history: str) -> list[str]:
    """Command lines of the transactions in apt's history.log."""
    found = [entry["Commandline"] for entry in paragraphs(history) if "Commandline" in entry]
    return [shlex.join(command.split()) for command in found]


def answers(before: str, after: str, templates: str) -> str:
    """What debconf was told since. What scripts of packages set themselves nobody has "seen"."""
    known = {entry.get("Name") for entry in paragraphs(before) if "seen" in entry.get("Flags", "")}
    types = {entry.get("Name"): entry.get("Type") for entry in paragraphs(templates)}
    return "".join(
        f"{entry['Owners'].split(', ')[-1]} {entry['Name']} {types[entry['Template']]}"
        f" {entry['Value']}\n"
        for entry in paragraphs(after)
        if "seen" in entry.get("Flags", "") and entry["Name"] not in known
    )


def stages(listing: str, began: float, moments: list[float]) -> list[list[str]]:
    """Paths of files born outside of transactions: before the first one, …, after the last.

    A line of ``listing`` has the birth of a file and its path; ``moments`` are the beginning and
    the end of each transaction in turn.
    """
    found: list[list[str]] = [[] for _ in range(len(moments) // 2 + 1)]
    for line in listing.splitlines():
        birth, path = line.split(" ", 1)
        passed = bisect(moments, float(birth))
        if float(birth) >= began and passed % 2 == 0 and not path.startswith(MADE):
            found[passed // 2].append(path)
    return [sorted(paths) for paths in found]


def units(before: str, now: str) -> list[str]:
    """Services that are enabled and became active since, in that order."""
    known = {line.split()[0] for line in before.splitlines()}
    since = [
        (int(unit["ActiveEnterTimestampMonotonic"]), unit["Id"])
        for unit in paragraphs(now)
        # "generated": of an init script, which its links enable
        if unit.get("UnitFileState") in ("enabled", "generated") and unit["Id"] not in known
    ]
    return [name for moment, name in sorted(since) if moment > 0]


def ports(text: str) -> set[str]:
    """Addresses with ports that listen, as ss -Hltn prints them."""
    return {line.split()[3] for line in text.splitlines()}


def removed(before: str, now: str) -> list[str]:
    """Paths of files that were there after a transaction, and are no longer."""
    gone = set(before.splitlines()) - set(now.splitlines())
    return sorted(path for path in gone if not path.startswith(MADE))


def survey(ask: Callable[[str], str]) -> Installed:
    """What came since the mark. ``ask`` runs a script on the server, and returns what it prints."""

    def noted(name: str) -> str:
        return ask(f"cat /root/twin/{name}")

    moments = [float(word) for word in noted("moments").split()]
    transactions = commands(ask(HISTORY))
    if len(moments) != 2 * len(transactions):
        raise ValueError(f"{len(transactions)} transactions of apt, but {len(moments)} moments")
    files = stages(ask(FILES), float(noted("began")), moments)
    everything = [path for paths in files for path in paths]
    return Installed(
        answers(
            noted("answers"),
            ask("cat /var/cache/debconf/config.dat"),
            ask("cat /var/cache/debconf/templates.dat"),
        ),
        transactions,
        [path for path in everything if path.startswith(SOURCES)],
        [[path for path in paths if not path.startswith(SOURCES)] for paths in files],
        removed(noted("names"), ask(NAMES)),
        units(noted("units"), ask(UNITS)),
        sorted(ports(ask("ss -Hltn")) - ports(noted("ports"))),
        ask(ADDRESS).split()[0],
    )


def script(installed: Installed, address: str) -> str:
    """The shell script for a fresh server with this address, and the archives in /root/twin."""
    archives = installed.archives()

    def unpack(name: str) -> list[str]:
        return [f"unpack {name}"] if name in archives else []

    lines = [*unpack("apt"), "apt-get update -qq > /dev/null"]
    if installed.answers:
        lines.append(f"debconf-set-selections <<< {shlex.quote(installed.answers)}")
    # Nothing starts before everything is in its place
    lines += ["printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d"]
    lines += ["chmod +x /usr/sbin/policy-rc.d"]
    for number, command in enumerate(installed.commands):
        lines += [*unpack(str(number)), f"{command} > /dev/null"]
    lines += unpack(str(len(installed.commands)))
    lines += [f"rm -f {shlex.quote(path)}" for path in installed.removed]
    lines.append(
        f"grep -rlFw {installed.address} /etc | xargs --no-run-if-empty"
        f" sed -i {shlex.quote(f's/{re.escape(installed.address)}/{address}/g')}"
    )
    lines += ["rm /usr/sbin/policy-rc.d"]
    if any(path.startswith(TRUSTED) for paths in archives.values() for path in paths):
        lines.append("update-ca-certificates > /dev/null 2>&1")
    # Not "start": a script of a package may have started one when the trust changed, in vain
    lines += ["systemctl daemon-reload", "systemctl reset-failed"]
    lines += [f"systemctl restart {unit}" for unit in installed.units]
    for port in installed.ports:
        own = port.replace(f"{installed.address}:", f"{address}:")
        lines.append(f"until ss -Hltn | grep -qF ' {own} '; do sleep 0.1; done")
    return HEAD + "\n".join(lines) + "\n"

#!/usr/bin/python3
"""Stand-in (test double) for a helper that builds packages of the AUR, like paru or yay.

Not their code. It does as they do where somebody who calls it could notice: it builds for no root,
asks unless told not to, tells versions, works in the home of its user, and has pacman install
through sudo. What it "builds" it fetches ready-made from the stand-ins that the server serves.

Usage: aur-stand-in -Si PACKAGE…
       aur-stand-in -S [--needed] [--noconfirm] PACKAGE…
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.request import urlopen, urlretrieve

AUR = "http://127.0.0.1:8099/pacman/bin"


def offered() -> dict[str, str]:
    """Version by name of everything that there is."""
    with (
        urlopen(f"{AUR}/jitsi.db", timeout=10) as answer,  # noqa: S310 — our own address
        tarfile.open(fileobj=io.BytesIO(answer.read())) as database,
    ):
        folders = [name.partition("/")[0].rsplit("-", 2) for name in database.getnames()]
    return {name: f"{version}-{release}" for name, version, release in folders}


def is_installed(name: str, version: str) -> bool:
    """Whether a package is there in this version."""
    found = subprocess.run(["pacman", "-Q", name], capture_output=True, text=True, check=False)
    return found.stdout.split() == [name, version]


def install(names: list[str], versions: dict[str, str], options: list[str]) -> int:
    """Fetch packages and have pacman install them."""
    if os.geteuid() == 0:
        print("error: a package of the AUR is not built as root")
        return 1
    if "--needed" in options:
        names = [name for name in names if not is_installed(name, versions[name])]
    if "--noconfirm" not in options and input(f":: Build {' '.join(names)}? [Y/n] ") not in "yY":
        return 1
    folder = Path.home() / ".cache/aur-stand-in"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in names:
        print(f"==> Making package: {name} {versions[name]}", flush=True)
        file = f"{name}-{versions[name]}-any.pkg.tar.gz"
        urlretrieve(f"{AUR}/{file}", folder / file)  # noqa: S310 — our own address
        files.append(str(folder / file))
    if not files:
        return 0
    return subprocess.run(["sudo", "pacman", "-U", "--noconfirm", *files], check=False).returncode


def main() -> int:
    """Run the command line and return the exit code."""
    options = [each for each in sys.argv[1:] if each.startswith("-")]
    names = [each for each in sys.argv[1:] if not each.startswith("-")]
    versions = offered()
    unknown = [name for name in names if name not in versions]
    for name in unknown:
        print(f"error: package '{name}' was not found", file=sys.stderr)
    if options == ["-Si"]:
        for name in (each for each in names if each in versions):
            print(f"Repository : aur\nName       : {name}\nVersion    : {versions[name]}\n")
        return 1 if unknown else 0
    if unknown or not names or options[:1] != ["-S"]:
        return 1
    return install(names, versions, options)


if __name__ == "__main__":
    sys.exit(main())

"""Make a stand-in of Prosody's own APT repository of a distribution's package.

CI cannot reach the real one. What is offered is the package that was given, under a later version
that says what it is, in a repository that is laid out as Prosody's: the suite is the code name of
a release, the component is main.

    OUT_DIR/apt/                 URL of the repository
    OUT_DIR/stand-in.asc         the public key, armoured
    OUT_DIR/fingerprint          its fingerprint, 40 hexadecimal digits
    OUT_DIR/repository.tar       the repository
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rig.stand_ins.build import index_entry, new_signer, run

SUFFIX = "+standin"


def repack(package: Path, directory: Path) -> Path:
    """Build the package anew with another version and description, and return where it is."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        run("dpkg-deb", "--raw-extract", package, tree)
        control = tree / "DEBIAN/control"
        text = re.sub(r"^Version: .*$", rf"\g<0>{SUFFIX}", control.read_text("utf-8"), flags=re.M)
        what = r"\g<0>\n Stand-in for tests: the distribution's package, not Prosody's own.\n ."
        control.write_text(re.sub(r"^Description: .*$", what, text, flags=re.M), "utf-8")
        directory.mkdir(parents=True)
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, directory)
    return next(directory.iterdir())


def release(directory: Path, architecture: str) -> str:
    """Return the file Release of a suite (Debian's RepositoryFormat)."""
    index = directory / f"main/binary-{architecture}/Packages"
    content = index.read_bytes()
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    return (
        "Origin: Vestibule stand-ins\nLabel: Stand-in for tests\n"
        f"Suite: {directory.name}\nCodename: {directory.name}\nComponents: main\n"
        f"Architectures: {architecture}\nDate: {now}\nSHA256:\n"
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {index.relative_to(directory)}\n"
    )


def build(package: Path, suite: str, output: Path) -> None:
    """Build the repository into ``output``."""
    shutil.rmtree(output, ignore_errors=True)
    apt = output / "apt"
    repacked = repack(package, apt / "pool/main/p/prosody")
    architecture = run("dpkg-deb", "--field", repacked, "Architecture").strip()
    directory = apt / "dists" / suite
    index = directory / f"main/binary-{architecture}/Packages"
    index.parent.mkdir(parents=True)
    index.write_text(index_entry(repacked, apt), "utf-8")
    (directory / "Release").write_text(release(directory, architecture), "utf-8")
    with new_signer() as signer:
        signer.sign(directory)
        (output / "stand-in.asc").write_text(signer.public_key(), "utf-8")
        (output / "fingerprint").write_text(signer.fingerprint() + "\n", "utf-8")
    with tarfile.open(output / "repository.tar", "w") as archive:
        archive.add(apt, "prosody")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", metavar="DEB", type=Path, help="the distribution's package")
    parser.add_argument("suite", metavar="SUITE", help="code name of a release")
    parser.add_argument("output", metavar="OUT_DIR", type=Path, help="where to build")
    given = parser.parse_args()
    build(given.package, given.suite, given.output)


if __name__ == "__main__":
    main()

"""Build the stand-in packages and the signed repositories that offer them.

The real Jitsi packages come from a repository that CI cannot reach. What is built here has their
names, paths, questions and maintainer-script behaviour, and goes through the same repository, key
and pin tasks of the roles. It is for tests and says so in every version and description.

    OUT_DIR/apt/stable/          the repository to install from, version 1.0.1
    OUT_DIR/apt/next/            the same packages one version later, for upgrades
    OUT_DIR/apt/wrongly-signed/  like stable, signed with a key that is not offered
    OUT_DIR/apt/stand-ins.asc    the public key, armoured
    OUT_DIR/apt/fingerprint      its fingerprint, 40 hexadecimal digits
    OUT_DIR/pacman/source/       the same for pacman, laid out as the AUR's packages of these names
    OUT_DIR/pacman/bin/          laid out as the AUR's packages with -bin behind their names
    OUT_DIR/repositories.tar     all of it

Those for APT are flat like Jitsi's own: ``deb [signed-by=KEY] URL/apt stable/``. Those for pacman
are called ``jitsi`` and signed with the same key: ``Server = URL/pacman/source``. Needs dpkg-deb
and gpg (Debian packages dpkg, gpg, gpg-agent). While the sources stay the same, nothing is built
again; whoever comes meanwhile waits.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rig.podman import RigError, last_line
from rig.stand_ins import pacman_repository
from rig.stand_ins.pacman_repository import Package

HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "packages"
PLUGINS = HERE / "plugins"
PLUGINS_INSTALLED = Path("usr/share/jitsi-meet/prosody-plugins")
ARCH = HERE / "arch"
SHARED = HERE / "shared"
# Of programs in Python, which find beside them what they share
PROGRAMS = {
    "jicofo": Path("usr/share/jicofo"),
    "jitsi-videobridge2": Path("usr/share/jitsi-videobridge"),
}

# Archives with the real ones, each with one folder at the top, which take their place
REAL = {"jicofo": "VESTIBULE_JICOFO", "jitsi-videobridge2": "VESTIBULE_BRIDGE"}

STABLE = "1.0.1-1~standin"
NEXT = "1.0.2-1~standin"

# One time for everything inside a package, so that the same sources give the same bytes: 2026-01-01
BUILD_EPOCH = "1767225600"

# As pacman orders versions, these come before the real ones, too
ARCH_VERSION = "1.0.1.standin-1"
ARCH_DESCRIPTION = "Stand-in for tests, not Jitsi's package"


class AurLayout(NamedTuple):
    """Where packages of the AUR put things; seen in the PKGBUILDs of these names."""

    suffix: str
    plugins: str
    focus: str
    focus_config: str
    focus_log: str
    focus_configuration: tuple[str, ...]  # files beside config and logging.properties
    bridge: str
    bridge_config: str


AUR = {
    "source": AurLayout(
        "", "usr/lib/jitsi-meet-prosody", "usr/lib/jicofo", "etc/jicofo", "var/log/jicofo",
        ("jicofo.conf",), "usr/lib/jitsi-videobridge", "etc/jitsi-videobridge",
    ),
    "bin": AurLayout(
        "-bin", "usr/share/jitsi-meet-prosody-plugins", "usr/share/jicofo", "etc/jitsi/jicofo",
        "var/log/jitsi", ("sip-communicator.properties",), "usr/share/jitsi-videobridge",
        "etc/jitsi/videobridge",
    ),
}  # fmt: skip


def run(*argv: str | Path) -> str:
    """Run a program and return what it printed; RigError if it fails."""
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": BUILD_EPOCH}
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise RigError(f"{error.cmd[0]} failed: {last_line(error.stderr)}") from error
    except FileNotFoundError as error:
        raise RigError(f"{argv[0]} is missing: run scripts/bootstrap --rig first.") from error
    return done.stdout


def digest_of_sources() -> str:
    """Return one hash over names, permissions and content of everything that is built from."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(HERE)} {os.access(path, os.X_OK)}\0".encode())
            digest.update(path.read_bytes())
    for name in REAL.values():
        if archive := os.environ.get(name):
            digest.update(f"{name}\0".encode() + Path(archive).read_bytes())
    return digest.hexdigest()


def put_program(name: str, folder: Path) -> None:
    """Have the stand-in in ``folder``, or the real program where the environment names one."""
    shutil.rmtree(folder, ignore_errors=True)
    archive = os.environ.get(REAL[name])
    if not archive:
        shutil.copytree(PACKAGES / name / PROGRAMS[name], folder)
        shutil.copytree(SHARED, folder, dirs_exist_ok=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        run("tar", "--extract", "--file", archive, "--directory", temporary)
        found = list(Path(temporary).iterdir())
        if len(found) != 1:
            raise RigError(f"{archive} has to have one folder at its top, and has {len(found)}.")
        shutil.copytree(found[0], folder)


def drop_comments(path: Path) -> None:
    """Remove lines that begin with #, which dpkg and debconf do not take in their files."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("#")), "utf-8")


def build_package(source: Path, version: str, directory: Path) -> Path:
    """Build a .deb from a tree in the layout of dpkg-deb and return where it is."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(shutil.copytree(source, Path(temporary) / source.name))
        if source.name == "jitsi-meet-prosody":
            shutil.copytree(PLUGINS, tree / PLUGINS_INSTALLED)
        if source.name in PROGRAMS:
            put_program(source.name, tree / PROGRAMS[source.name])
        debian = tree / "DEBIAN"
        for name in ("control", "templates"):
            if (debian / name).exists():
                drop_comments(debian / name)
        with (debian / "control").open("a", encoding="utf-8") as control:
            control.write(f"Version: {version}\n")
        conffiles = sorted(path for path in (tree / "etc").rglob("*") if path.is_file())
        if conffiles:
            names = "".join(f"/{path.relative_to(tree)}\n" for path in conffiles)
            (debian / "conffiles").write_text(names, "utf-8")
        for path in (tree, *tree.rglob("*")):
            path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        package = directory / f"{source.name}_{version}_all.deb"
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, package)
        return package


def index_entry(package: Path, base: Path) -> str:
    """Return the stanza of a package for the file Packages of a repository at ``base``."""
    content = package.read_bytes()
    return (
        run("dpkg-deb", "--field", package)
        + f"Filename: {package.relative_to(base)}\n"
        + f"Size: {len(content)}\n"
        + f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def release(directory: Path) -> str:
    """Return the file Release over the indexes in ``directory`` (Debian's RepositoryFormat)."""
    sums = "".join(
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.name}\n"
        for path in sorted(directory.glob("Packages*"))
    )
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    return (
        "Origin: Vestibule stand-ins\nLabel: Stand-ins for tests\n"
        f"Suite: {directory.name}\nArchitectures: all\nDate: {now}\nSHA256:\n{sums}"
    )


class Signer:
    """A new signing key in a GnuPG home of its own."""

    def __init__(self, home: Path) -> None:
        """Create the key. ``home`` has to be short: the agent's socket lies in it."""
        self.home = home
        self._gpg("--quick-generate-key", "Vestibule stand-ins, tests only", "ed25519", "sign", "0")

    def _gpg(self, *arguments: str | Path) -> str:
        batch = ("--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
        return run("gpg", "--homedir", self.home, *batch, *arguments)

    def public_key(self) -> str:
        """Return the public key, armoured."""
        return self._gpg("--armor", "--export")

    def fingerprint(self) -> str:
        """Return the fingerprint of the key in 40 hexadecimal digits."""
        rows = self._gpg("--with-colons", "--list-keys").splitlines()
        return next(row.split(":")[9] for row in rows if row.startswith("fpr:"))

    def sign(self, directory: Path) -> None:
        """Sign Release in ``directory``, inline (InRelease) and detached (Release.gpg)."""
        file = directory / "Release"
        self._gpg("--output", directory / "InRelease", "--clearsign", file)
        self._gpg("--output", directory / "Release.gpg", "--armor", "--detach-sign", file)

    def sign_beside(self, file: Path) -> None:
        """Sign ``file`` into ``file.sig``, as pacman wants it."""
        self._gpg("--output", file.with_name(f"{file.name}.sig"), "--detach-sign", file)


@contextmanager
def new_signer() -> Iterator[Signer]:
    """Provide a signer and remove its secret key and its agent afterwards."""
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as home:
        try:
            yield Signer(Path(home))
        finally:
            run("gpgconf", "--homedir", home, "--kill", "all")


def write_repository(directory: Path, version: str, signer: Signer) -> None:
    """Build all packages of one version into ``directory`` and index and sign them."""
    directory.mkdir()
    packages = [build_package(path, version, directory) for path in sorted(PACKAGES.iterdir())]
    index = "\n".join(index_entry(package, directory.parent) for package in packages)
    (directory / "Packages").write_text(index, "utf-8")
    (directory / "Packages.gz").write_bytes(gzip.compress(index.encode(), mtime=0))
    (directory / "Release").write_text(release(directory), "utf-8")
    signer.sign(directory)


def plugins_for_arch(layout: AurLayout, tree: Path) -> Package:
    """Return the Prosody modules as a package of the AUR, its files in ``tree``."""
    shutil.copytree(PLUGINS, tree / layout.plugins)
    documents = tree / "usr/share/doc" / Path(layout.plugins).name
    documents.mkdir(parents=True)
    example = PACKAGES / "jitsi-meet-prosody/usr/share/jitsi-meet-prosody"
    shutil.copy(example / "prosody.cfg.lua-jvb.example", documents)
    return Package(
        f"jitsi-meet-prosody{layout.suffix}", ARCH_VERSION, ARCH_DESCRIPTION, tree,
        depends=("prosody",), conflicts=("jitsi-meet-prosody-plugins",),
    )  # fmt: skip


def _fill(name: str, home: str, config: str, log: str) -> str:
    """A file of ARCH with the places of a layout in it."""
    text = (ARCH / name).read_text("utf-8")
    for mark, path in (("home", home), ("config", config), ("log", log)):
        text = text.replace(f"@{mark}@", f"/{path}")
    return text


def _service_for_arch(name: str, home: str, config: str, log: str, tree: Path) -> str:
    """Put the unit of a program, its user and its folder for logs into ``tree``."""
    for file, path in (
        (f"{name}.service", f"usr/lib/systemd/system/{name}.service"),
        (f"{name}.sysusers", f"usr/lib/sysusers.d/{name}.conf"),
        (f"{name}.tmpfiles", f"usr/lib/tmpfiles.d/{name}.conf"),
    ):
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(_fill(file, home, config, log), "utf-8")
    return _fill(f"{name}.install", home, config, log)


def focus_for_arch(layout: AurLayout, tree: Path) -> Package:
    """Return the focus as a package of the AUR, its files in ``tree``."""
    source = PACKAGES / "jicofo"
    put_program("jicofo", tree / layout.focus)
    configuration = tree / layout.focus_config
    configuration.mkdir(parents=True)
    shutil.copy(source / "etc/jitsi/jicofo/logging.properties", configuration)
    places = (layout.focus, layout.focus_config, layout.focus_log)
    (configuration / "config").write_text(_fill("config", *places), "utf-8")
    for name in layout.focus_configuration:
        (configuration / name).write_text("# Stand-in (test double): nothing is set\n", "utf-8")
    install = _service_for_arch("jicofo", *places, tree)
    names = ("config", "logging.properties", *layout.focus_configuration)
    return Package(
        f"jicofo{layout.suffix}", ARCH_VERSION, ARCH_DESCRIPTION, tree,
        depends=("java-runtime-headless",),
        provides=("jicofo",) if layout.suffix else (),
        conflicts=("jicofo",) if layout.suffix else (),
        backup=tuple(f"{layout.focus_config}/{name}" for name in names),
        install=install,
    )  # fmt: skip


def bridge_for_arch(layout: AurLayout, tree: Path) -> Package:
    """Return the bridge as a package of the AUR, its files in ``tree``."""
    source = PACKAGES / "jitsi-videobridge2"
    put_program("jitsi-videobridge2", tree / layout.bridge)
    configuration = tree / layout.bridge_config
    configuration.mkdir(parents=True)
    shutil.copy(source / "etc/jitsi/videobridge/logging.properties", configuration)
    places = (layout.bridge, layout.bridge_config, "var/log/jitsi-videobridge")
    (configuration / "config").write_text(_fill("jitsi-videobridge.config", *places), "utf-8")
    (configuration / "jvb.conf").write_text("# Stand-in (test double): nothing is set\n", "utf-8")
    install = _service_for_arch("jitsi-videobridge", *places, tree)
    return Package(
        f"jitsi-videobridge{layout.suffix}", ARCH_VERSION, ARCH_DESCRIPTION, tree,
        depends=("java-runtime-headless",),
        provides=("jitsi-videobridge",) if layout.suffix else (),
        conflicts=("jitsi-videobridge",) if layout.suffix else (),
        backup=tuple(
            f"{layout.bridge_config}/{name}"
            for name in ("config", "logging.properties", "jvb.conf")
        ),
        install=install,
    )  # fmt: skip


def client_for_arch(layout: AurLayout, tree: Path) -> Package:
    """Return the web client as a package of the AUR, its files in ``tree``."""
    shutil.copytree(PACKAGES / "jitsi-meet-web/usr", tree / "usr")
    return Package(
        f"jitsi-meet{layout.suffix}", ARCH_VERSION, ARCH_DESCRIPTION, tree,
        provides=("jitsi-meet",) if layout.suffix else (),
        conflicts=("jitsi-meet",) if layout.suffix else (),
    )  # fmt: skip


def write_pacman_repository(directory: Path, layout: AurLayout, signer: Signer) -> None:
    """Build the packages of one layout into ``directory`` with a signed database of them."""
    directory.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        trees = Path(temporary)
        inspect = trees / "inspect/usr/share/lua/5.4"
        inspect.mkdir(parents=True)
        shutil.copy(ARCH / "inspect.lua", inspect)
        packages = [
            plugins_for_arch(layout, trees / "plugins"),
            focus_for_arch(layout, trees / "focus"),
            bridge_for_arch(layout, trees / "bridge"),
            client_for_arch(layout, trees / "client"),
            # The AUR has it, Arch's own repositories do not
            Package(
                "lua-inspect", ARCH_VERSION, ARCH_DESCRIPTION, trees / "inspect", depends=("lua",)
            ),
        ]
        for path in trees.rglob("*"):
            path.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        for file in pacman_repository.write_repository(
            directory, "jitsi", packages, int(BUILD_EPOCH)
        ):
            signer.sign_beside(file)


def pack(output: Path) -> None:
    """Put the repositories into one file, which is whole at any moment."""
    new = output / "repositories.tar.new"
    with tarfile.open(new, "w") as archive:
        for name in ("apt", "pacman"):
            archive.add(output / name, name)
    new.replace(output / "repositories.tar")


def build(output: Path) -> bool:
    """Build everything into ``output`` and return whether there was something to do."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = digest_of_sources()
        apt, stamp = output / "apt", output / "sources.sha256"
        if stamp.exists() and stamp.read_text("utf-8") == digest:
            return False
        stamp.unlink(missing_ok=True)
        for folder in (apt, output / "pacman"):
            shutil.rmtree(folder, ignore_errors=True)
        apt.mkdir()
        with new_signer() as signer, new_signer() as stranger:
            write_repository(apt / "stable", STABLE, signer)
            write_repository(apt / "next", NEXT, signer)
            write_repository(apt / "wrongly-signed", STABLE, stranger)
            for name, layout in AUR.items():
                write_pacman_repository(output / "pacman" / name, layout, signer)
            (apt / "stand-ins.asc").write_text(signer.public_key(), "utf-8")
            (apt / "fingerprint").write_text(signer.fingerprint() + "\n", "utf-8")
        pack(output)
        stamp.write_text(digest, "utf-8")
    return True

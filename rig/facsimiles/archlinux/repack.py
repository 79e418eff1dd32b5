"""Make the repositories of the Arch facsimile out of Debian's packages.

Runs on the Debian system that becomes the facsimile. What a play installs is made of .deb files in
Arch's layout; what every Arch server has is made of the files that are installed already.

What is as on Arch: names, versions' form, dependencies, paths, users, units and the hooks that act
on them. Seen there: the PKGBUILD of prosody 1:13.0.1-1 (configured for /usr with the interpreter
``lua``; daemonize and pidfile before everything else in prosody.cfg.lua) and of lua-luaossl.
Assumed: the unit of Prosody, which is not among that PKGBUILD's sources (13.0.1 refuses to fork
below systemd, so it has to be a simple one), lua-basexx, lua-cjson and coturn in the repository
extra, nginx.conf and its unit, coturn's user, unit and folder, which are those of a PKGBUILD of
2019.

Usage: python3 -m rig.facsimiles.archlinux.repack DEBS OVERLAY OUTPUT
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rig.stand_ins.pacman_repository import Package, write_repository

BUILD_TIME = 1767225600  # 2026-01-01
LUA = "5.4"
DEBIAN_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
JAVA = "usr/lib/jvm/java-21-openjdk"

# Nothing that a server needs: it would double the size
WITHOUT = ("doc", "info", "lintian", "locale", "man", "bash-completion", "zsh", "vim", "bug")


@dataclass(frozen=True)
class Repacked:
    """A package that a play may install, made of .deb files."""

    debs: tuple[str, ...]
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    backup: tuple[str, ...] = ()
    epoch: str = ""
    install: str = ""
    arrange: Callable[[Path], None] = lambda tree: None


def move(tree: Path, source: str, target: str) -> None:
    """Move a file or folder within a tree."""
    (tree / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tree / source, tree / target)


def link(tree: Path, path: str, target: str) -> None:
    """Make a symbolic link in a tree."""
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).symlink_to(target)


def keep(tree: Path, *paths: str) -> None:
    """Remove every file of a tree that lies under none of ``paths``."""
    for path in sorted(tree.rglob("*"), reverse=True):
        name = f"{path.relative_to(tree)}/"
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not name.startswith(tuple(f"{path}/" for path in paths)):
            path.unlink()


def arrange_lua(tree: Path) -> None:
    """The interpreter, which Arch calls lua."""
    move(tree, f"usr/bin/lua{LUA}", "usr/bin/lua")
    link(tree, f"usr/bin/lua{LUA}", "lua")
    keep(tree, "usr/bin/lua", f"usr/bin/lua{LUA}")


def arrange_library(tree: Path) -> None:
    """A Lua library for one version, where Debian has one for all: files instead of links."""
    for source, target in (
        (DEBIAN_LIBRARIES / "lua", Path("usr/lib/lua")),
        (Path("usr/share/lua"), Path("usr/share/lua")),
    ):
        versions = [tree / source / version for version in (LUA, "5.1")]
        found = next((version for version in versions if version.exists()), None)
        if found:
            with tempfile.TemporaryDirectory() as temporary:
                files = shutil.copytree(found, Path(temporary) / "files")
                shutil.rmtree(tree / source)
                shutil.copytree(files, tree / target / LUA)
    # LuaSec of Debian links to LuaSocket by the name that Debian gives it
    shared = list((tree / DEBIAN_LIBRARIES).glob(f"liblua{LUA}-*.so.[0-9]"))
    for path in shared:
        shutil.copy(path, tree / "usr/lib")
    names = [f"usr/lib/{path.name}" for path in shared]
    keep(tree, f"usr/lib/lua/{LUA}", f"usr/share/lua/{LUA}", *names)


def arrange_prosody(tree: Path) -> None:
    """Prosody as configured for /usr, with the interpreter ``lua``."""
    for name in ("prosody", "prosodyctl"):
        program = tree / "usr/bin" / name
        program.write_text(program.read_text("utf-8").replace(f"lua{LUA}", "lua"), "utf-8")
    keep(tree, "usr/bin/prosody", "usr/bin/prosodyctl", "usr/lib/prosody")
    (tree / "etc/prosody/certs").mkdir(parents=True)


def arrange_nginx(tree: Path) -> None:
    """The program beside the others, its configuration in one file."""
    move(tree, "usr/sbin/nginx", "usr/bin/nginx")
    keep(tree, "usr/bin/nginx", "usr/share/nginx/html", "etc/nginx/mime.types")


def arrange_coturn(tree: Path) -> None:
    """The program, with its configuration in a folder."""
    move(tree, "etc/turnserver.conf", "etc/turnserver/turnserver.conf")
    keep(tree, "usr/bin/turnserver", "etc/turnserver")


def arrange_sudo(tree: Path) -> None:
    """The program with what it reads; no group may use it by itself."""
    move(tree, "usr/sbin/visudo", "usr/bin/visudo")
    sudoers = tree / "etc/sudoers"
    lines = sudoers.read_text("utf-8").splitlines(keepends=True)
    sudoers.write_text("".join(line for line in lines if not line.startswith("%")), "utf-8")
    keep(tree, "usr/bin/sudo", "usr/bin/visudo", "usr/libexec/sudo", "etc/pam.d", "etc/sudoers")
    (tree / "etc/sudoers.d").mkdir(mode=0o750)


def arrange_java(tree: Path) -> None:
    """A runtime among others, of which one is the default."""
    move(tree, f"{JAVA}-amd64", JAVA)
    keep(tree, JAVA, "etc/java-21-openjdk")


EXTRA = {
    "lua": Repacked(("lua5.4",), arrange=arrange_lua),
    "lua-sec": Repacked(("lua-sec",), ("lua", "openssl", "lua-socket"), arrange=arrange_library),
    "lua-socket": Repacked(("lua-socket",), ("lua",), arrange=arrange_library),
    "lua-expat": Repacked(("lua-expat",), ("lua",), arrange=arrange_library),
    "lua-filesystem": Repacked(("lua-filesystem",), ("lua",), arrange=arrange_library),
    "lua-luaossl": Repacked(("lua-luaossl",), ("lua", "openssl"), arrange=arrange_library),
    "lua-basexx": Repacked(("lua-basexx",), ("lua",), arrange=arrange_library),
    "lua-cjson": Repacked(("lua-cjson",), ("lua",), arrange=arrange_library),
    "prosody": Repacked(
        ("prosody",),
        ("lua", "lua-sec", "lua-socket", "lua-expat", "lua-filesystem", "openssl"),
        backup=("etc/prosody/prosody.cfg.lua",),
        epoch="1:",
        arrange=arrange_prosody,
    ),
    "nginx": Repacked(
        ("nginx", "nginx-common"), ("openssl",), backup=("etc/nginx/nginx.conf",),
        arrange=arrange_nginx,
    ),
    "coturn": Repacked(
        ("coturn",), backup=("etc/turnserver/turnserver.conf",), arrange=arrange_coturn
    ),
    "jre21-openjdk-headless": Repacked(
        ("openjdk-21-jre-headless",),
        ("java-runtime-common", "ca-certificates-utils"),
        ("java-runtime-headless=21", "java-runtime-headless-openjdk=21"),
        arrange=arrange_java,
        # As archlinux-java would
        install=(
            "post_install() {\n"
            "  [ -e /usr/lib/jvm/default-runtime ] || ln -s java-21-openjdk"
            " /usr/lib/jvm/default-runtime\n"
            "}\n"
            "post_remove() {\n  rm -f /usr/lib/jvm/default-runtime\n}\n"
        ),
    ),
    "java-runtime-common": Repacked((), ()),
    # In core on Arch, and on no server unless somebody installs it
    "sudo": Repacked(("sudo",), backup=("etc/sudoers",), arrange=arrange_sudo),
}  # fmt: skip

# What every Arch server has, by the Debian packages whose files stand for it
CORE = {
    "bash": ("bash",),
    "ca-certificates": ("ca-certificates",),
    "coreutils": ("coreutils",),
    "glibc": ("libc6", "libc-bin"),
    "iproute2": ("iproute2",),
    "openssh": ("openssh-server", "openssh-client"),
    "openssl": ("openssl", "libssl3t64"),
    "p11-kit": ("p11-kit", "p11-kit-modules", "libp11-kit0"),
    "pacman": ("pacman-package-manager",),
    "procps-ng": ("procps",),
    "python": ("python3", "python3-minimal", "python3.13", "python3.13-minimal"),
    "systemd": ("systemd",),
    "util-linux": ("util-linux",),
}


def run(*argv: str | Path) -> str:
    """Standard output of a program."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def upstream(version: str) -> str:
    """A version as Arch writes it, of one as Debian writes it."""
    return re.sub(r"^\d+:|-[^-]*$|\+.*$", "", version) + "-1"


def repack(name: str, recipe: Repacked, debs: Path, overlay: Path, tree: Path) -> Package:
    """Return a package of ``extra``, its files in ``tree``."""
    tree.mkdir()
    version = "1-1"
    for deb in recipe.debs:
        file = next(debs.glob(f"{deb}_*.deb"))
        run("dpkg-deb", "--extract", file, tree)
        version = upstream(run("dpkg-deb", "--field", file, "Version").strip())
    recipe.arrange(tree)
    if (overlay / name).exists():
        shutil.copytree(overlay / name, tree, dirs_exist_ok=True, symlinks=True)
    return Package(
        name,
        recipe.epoch + version,
        "Facsimile for tests, made of Debian's package",
        tree,
        "x86_64",
        recipe.depends,
        recipe.provides,
        backup=recipe.backup,
        install=recipe.install,
    )


def installed(debs: Iterable[str]) -> Iterable[Path]:
    """Yield the files of installed Debian packages that a server needs."""
    unwanted = tuple(f"/usr/share/{name}/" for name in WITHOUT)
    for line in run("dpkg", "--listfiles", *debs).splitlines():
        path = Path(line)
        if line.startswith("/") and not line.startswith(unwanted) and not path.is_dir():
            # Both are one folder on Arch
            yield Path("/usr/bin") / path.name if line.startswith("/usr/sbin/") else path


def pack_installed(name: str, debs: tuple[str, ...], tree: Path) -> Package:
    """Return a package of ``core``: what is in the system already."""
    for path in installed(debs):
        if path.exists():
            target = tree / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
    version = upstream(run("dpkg-query", "--show", "--showformat=${Version}\n", debs[0]).strip())
    provides = ("sh",) if name == "bash" else ()
    text = "Facsimile for tests, made of Debian's files"
    return Package(name, version, text, tree, "x86_64", provides=provides)


def main() -> None:
    """Write the repositories core and extra."""
    debs, overlay, output = (Path(argument) for argument in sys.argv[1:4])
    for repository in ("core", "extra"):
        (output / repository).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        trees = Path(temporary)
        core = [pack_installed(name, debs, trees / name) for name, debs in CORE.items()]
        trust = trees / "ca-certificates-utils"
        shutil.copytree(overlay / trust.name, trust, symlinks=True)
        text = "Facsimile for tests"
        core.append(Package(trust.name, "20240618-1", text, trust, depends=("p11-kit",)))
        write_repository(output / "core", "core", core, BUILD_TIME)
        extra = [
            repack(name, recipe, debs, overlay, trees / name) for name, recipe in EXTRA.items()
        ]
        write_repository(output / "extra", "extra", extra, BUILD_TIME)


if __name__ == "__main__":
    main()

"""Files of installed packages, to install them again when no repository offers them any more.

Where neither apt nor its cache has one, it is made of what is installed. dpkg-repack does that as
well, and would have to be installed itself, of a repository that may be out of reach by then.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files
from ansible.module_utils.vestibule.managers import Apt, PackageError, Pacman, must
from ansible.module_utils.vestibule.programs import run

_APT_CACHE = "/var/cache/apt/archives"
_PACMAN_CACHE = "/var/cache/pacman/pkg"
_DPKG = "/var/lib/dpkg"
_LOCAL = "/var/lib/pacman/local"
# What describes a package that is installed, and not how it was installed
_NOT_CONTROL = ("list", "md5sums-new")
_KILOBYTE = 1024


def keep(
    module: AnsibleModule, manager: Apt | Pacman, wanted: Mapping[str, str], folder: str
) -> dict[str, str]:
    """Have a file of each package in a folder, by the names and versions that are installed.

    Returns names of the files. Those that are there already stay as they are.
    """
    if isinstance(manager, Apt):
        return _keep_debs(module, manager, wanted, folder)
    return {name: _keep_arch(name, version, folder) for name, version in wanted.items()}


def not_kept(wanted: Mapping[str, str], folder: str) -> list[str]:
    """Names of the packages of which no file is in a folder."""
    there = os.listdir(folder) if os.path.isdir(folder) else []
    return [
        name
        for name, version in wanted.items()
        if not any(
            each.startswith((f"{name}_{_spelled(version)}_", f"{name}-{version}-"))
            for each in there
        )
    ]


def sizes(module: AnsibleModule, names: Iterable[str], manager: Apt | Pacman) -> int:
    """About how many bytes files of these packages take that are made of what is installed."""
    if not isinstance(manager, Apt):
        out = run(module, "pacman", "-Qi", "--", *names)[1]
        units = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
        found = re.findall(r"^Installed Size *: ([0-9.]+) (\w+)$", out, re.MULTILINE)
        return int(sum(float(number) * units.get(unit, 1) for number, unit in found) / 2)
    form = "${Installed-Size}\n"
    out = run(module, "dpkg-query", "--show", f"--showformat={form}", *names)[1]
    # Compressed, they take less than half of it
    return sum(int(each) for each in out.split() if each.isdigit()) * _KILOBYTE // 2


def deb_name(name: str, version: str, architecture: str) -> str:
    """What apt calls the file of a package."""
    return f"{name}_{_spelled(version)}_{architecture}.deb"


def _spelled(version: str) -> str:
    return version.replace(":", "%3a")


def _keep_debs(
    module: AnsibleModule, manager: Apt, wanted: Mapping[str, str], folder: str
) -> dict[str, str]:
    form = r"${Package}\t${Version}\t${Architecture}\n"
    out = must(
        module,
        "dpkg-query cannot tell what is installed.",
        *("dpkg-query", "--show", f"--showformat={form}", *wanted),
    )
    rows = [line.split("\t") for line in out.splitlines()]
    kept = {name: deb_name(name, version, kind) for name, version, kind in rows}
    missing = [name for name in kept if not os.path.exists(os.path.join(folder, kept[name]))]
    missing = [name for name in missing if not _copied(f"{_APT_CACHE}/{kept[name]}", folder)]
    _fetch(module, manager, {name: wanted[name] for name in missing}, folder)
    for name in missing:
        path = os.path.join(folder, kept[name])
        if not os.path.exists(path):
            repack_deb(module, name, path)
    return kept


def _copied(path: str, folder: str) -> bool:
    if not os.path.isfile(path):
        return False
    target = os.path.join(folder, os.path.basename(path))
    shutil.copyfile(path, f"{target}.new")
    os.rename(f"{target}.new", target)
    return True


def _fetch(module: AnsibleModule, manager: Apt, wanted: Mapping[str, str], folder: str) -> None:
    """Fetch what a repository still has. What fails to come is made instead."""
    offered = manager.offered(list(wanted)) if wanted else {}
    there = [f"{name}={wanted[name]}" for name in wanted if wanted[name] in offered.get(name, [])]
    if not there:
        return
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as aside:
        module.run_command(
            [
                *("apt-get", "download", "-oAPT::Sandbox::User=root", "-oAcquire::Retries=0"),
                *("-oAcquire::http::Timeout=10", "-oAcquire::https::Timeout=10", *there),
            ],
            cwd=aside,
        )
        for name in os.listdir(aside):
            if name.endswith(".deb"):
                os.rename(os.path.join(aside, name), os.path.join(folder, name))


def _true_names(name: str) -> dict[str, str]:
    """Where files of a package are that another one has moved aside (dpkg-divert(1))."""
    lines = files.read(f"{_DPKG}/diversions").splitlines()
    rows = zip(lines[::3], lines[1::3], lines[2::3])
    return {path: moved for path, moved, by in rows if by != name}


def repack_deb(module: AnsibleModule, name: str, path: str) -> None:
    """Make a file of an installed package (deb(5)): its files as they are, and its own scripts."""
    stanza = must(module, f"dpkg knows no {name}.", "dpkg-query", "--status", name)
    dropped = r"^(?:Status|Config-Version|Conffiles):.*\n(?:[ \t].*\n)*"
    control = re.sub(dropped, "", stanza.rstrip("\n") + "\n", flags=re.MULTILINE)
    listed = must(module, f"dpkg knows no {name}.", "dpkg-query", "--listfiles", name)
    with open(f"{path}.new", "wb") as file:
        file.write(b"!<arch>\n")
        _member(file, "debian-binary", b"2.0\n")
        _member(file, "control.tar.gz", _packed(_control(module, name, control), {}))
        moved = _true_names(name)
        paths = [each for each in listed.splitlines() if each.startswith("/") and each != "/."]
        _member(file, "data.tar.gz", _packed({}, {each: moved.get(each, each) for each in paths}))
    os.rename(f"{path}.new", path)


def _control(module: AnsibleModule, name: str, control: str) -> dict[str, tuple[bytes, int]]:
    """The files of control of a package, by name, with their modes."""
    found = {"control": (control.encode(), 0o644)}
    # One of several architectures has that in its name
    shown = must(module, f"dpkg knows no {name}.", "dpkg-query", "--control-list", name)
    for each in shown.split():
        if each in _NOT_CONTROL:
            continue
        said = f"dpkg has no {each} of {name}."
        script = must(module, said, "dpkg-query", "--control-path", name, each).strip()
        with open(script, "rb") as file:
            found[each] = file.read(), 0o755 if os.access(script, os.X_OK) else 0o644
    return found


def _packed(texts: Mapping[str, tuple[bytes, int]], paths: Mapping[str, str]) -> bytes:
    """A compressed tarball of texts, and of paths with where they are in truth."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        archive.add("/", "./", recursive=False)
        for name, (body, mode) in texts.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode = len(body), mode
            archive.addfile(member, io.BytesIO(body))
        folders = {os.path.dirname(path) for path in paths}
        for path, there in paths.items():
            # A folder of the package may be a link on the host, as /bin
            source = os.path.realpath(there) if path in folders else there
            if os.path.lexists(source):
                archive.add(source, f".{path}", recursive=False)
    return buffer.getvalue()


def _member(file: io.BufferedWriter, name: str, body: bytes) -> None:
    """One member of an archive of ar(5)."""
    file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode())
    file.write(body + (b"\n" if len(body) % 2 else b""))


def _keep_arch(name: str, version: str, folder: str) -> str:
    """The file of a package of pacman, from its cache or made of what is installed."""
    beginning = f"{name}-{version}-"
    for place in (folder, _PACMAN_CACHE):
        for each in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            if re.fullmatch(re.escape(beginning) + r"[^-]+\.pkg\.tar(\.\w+)?", each):
                if place != folder:
                    _copied(os.path.join(place, each), folder)
                return each
    return repack_arch(name, version, folder)


def parse_desc(text: str) -> dict[str, list[str]]:
    """Fields of a package that pacman has installed, as its own file says them."""
    rows = (block.strip().splitlines() for block in text.split("\n\n"))
    return {row[0].strip("%"): row[1:] for row in rows if row and row[0].startswith("%")}


# By the names of its file to those of PKGINFO(5)
_PKGINFO = {
    "NAME": "pkgname",
    "BASE": "pkgbase",
    "VERSION": "pkgver",
    "DESC": "pkgdesc",
    "URL": "url",
    "BUILDDATE": "builddate",
    "PACKAGER": "packager",
    "SIZE": "size",
    "ARCH": "arch",
    "LICENSE": "license",
    "REPLACES": "replaces",
    "GROUPS": "group",
    "CONFLICTS": "conflict",
    "PROVIDES": "provides",
    "DEPENDS": "depend",
    "OPTDEPENDS": "optdepend",
}


def repack_arch(name: str, version: str, folder: str) -> str:
    """Make a file of an installed package for pacman. Returns its name."""
    local = f"{_LOCAL}/{name}-{version}"
    fields = parse_desc(files.read(f"{local}/desc"))
    if not fields:
        raise PackageError(f"{local}/desc tells nothing of {name}, so that it cannot be kept.")
    listed = parse_desc(files.read(f"{local}/files"))
    info = [f"{_PKGINFO[each]} = {value}\n" for each in _PKGINFO for value in fields.get(each, [])]
    info += [f"backup = {each.partition(chr(9))[0]}\n" for each in listed.get("BACKUP", [])]
    texts = {".PKGINFO": ("".join(info).encode(), 0o644)}
    if os.path.exists(f"{local}/install"):
        texts[".INSTALL"] = (files.read(f"{local}/install").encode(), 0o644)
    target = f"{name}-{version}-{fields.get('ARCH', ['any'])[0]}.pkg.tar.gz"
    with tarfile.open(f"{folder}/{target}.new", "w:gz", compresslevel=1) as archive:
        for text, (body, mode) in texts.items():
            member = tarfile.TarInfo(text)
            member.size, member.mode = len(body), mode
            archive.addfile(member, io.BytesIO(body))
        for each in listed.get("FILES", []):
            if os.path.lexists(f"/{each}"):
                archive.add(f"/{each}", each.rstrip("/"), recursive=False)
    os.rename(f"{folder}/{target}.new", f"{folder}/{target}")
    return target

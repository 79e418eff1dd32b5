#!/usr/bin/python
"""Ansible module ``packages``: install packages in one transaction, without starting them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: packages
short_description: Install packages in one transaction, without starting their services
description:
  - Works with apt and with pacman, so that one task serves every platform.
  - Installs what is missing, and another version only where one is asked for. Never upgrades by
    itself, never removes.
  - What the role jitsi_lock holds at another version than I(versions) says is let go for the
    transaction, and held again when it has ended, however it ends. Other holds are respected.
  - No service of the packages starts, as their default configuration may be open to everybody.
  - Waits while another program holds the lock of the package manager, and says which it was.
options:
  names:
    description: Packages that have to be there.
    type: list
    elements: str
    required: true
  versions:
    description: Exact version of some of them, by name.
    type: dict
    default: {}
  answers:
    description: Answers to the questions of packages, in the form of debconf-set-selections.
    type: str
    default: ""
  fresh_lists:
    description: Whether to fetch the lists of packages even if they are from the last hour.
    type: bool
    default: false
  state:
    description:
      - C(present) installs them.
      - C(tried) fails where a version in I(versions) cannot be installed, because other hands hold
        the package or the repositories of the host have it in other versions only. It fetches lists
        into a temporary folder and changes nothing. What no repository has by any name is let pass,
        as its repository may not be named yet.
    type: str
    choices: [present, tried]
    default: present
  lock_timeout:
    description: Seconds to wait for another program that holds the lock.
    type: int
    default: 120
attributes:
  check_mode:
    description: Tells what would be installed, as far as the host's lists know.
    support: full
  diff_mode:
    description: Shows what would be installed, and the versions that it would replace.
    support: full
"""

EXAMPLES = r"""
- name: Install Prosody without starting it
  packages:
    names: [prosody, openssl]
    versions: {prosody: 13.0.1-1+deb13u1}
"""

RETURN = r"""
missing:
  description: What was installed, or would be, as C(name) or C(name=version).
  type: list
  returned: always
waited:
  description: Seconds of waiting for the lock of the package manager.
  type: float
  returned: always
"""

_POLICY = "/usr/sbin/policy-rc.d"
_LISTS = "/var/lib/apt/lists"
_LISTS_LAST = 3600  # seconds
# Where the role jitsi_lock remembers its holds, and where it has pacman read them
HELD_BY_US = "/var/lib/vestibule/held"
IGNORED_BY_US = "/etc/pacman.d/vestibule-held.conf"
_ATTEMPTS = 60  # to hold and unhold, one a second, while another program has dpkg's lock
_PAUSE = 0.5  # seconds between two looks at a lock: the kernel announces no release


class PackageError(Exception):
    """The packages cannot be installed. The message is a sentence for the operator."""


def parse_madison(text: str) -> dict[str, list[str]]:
    """Versions by name of what ``apt-cache madison`` prints, each once, sources left out."""
    offers: dict[str, list[str]] = {}
    for row in text.splitlines():
        name, version, origin = (column.strip() for column in (row + "||").split("|")[:3])
        if version and not origin.endswith("Sources") and version not in offers.get(name, []):
            offers.setdefault(name, []).append(version)
    return offers


def parse_companions(text: str) -> dict[str, str]:
    """Version by name of what goes together with packages, as ``apt-cache show`` prints these.

    That is what a package depends on in one version alone (C(=)), and in none that is later (C(<<),
    C(<=)), which then is its own version. Of alternatives the first counts.
    """
    companions = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Version|Depends|Pre-Depends): (.*)$", stanza, re.MULTILINE))
        own = fields.pop("Version", "")
        for clause in ",".join(fields.values()).split(","):
            found = re.match(r"\s*([^\s:]+)(?::\w+)? \((=|<<|<=) ([^)]+)\)", clause)
            if found:
                name, relation, version = found.groups()
                companions[name] = version if relation == "=" else own
    return companions


class Apt:
    """Debian's package manager and its derivatives'."""

    lock = "/var/lib/dpkg/lock-frontend"

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._lists: list[str] = []  # options, where the lists are not the host's own
        self._environment = {
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "DEBIAN_PRIORITY": "critical",
        }

    def _run(self, *argv: str, data: str | None = None) -> tuple[int, str]:
        status, out, err = self._module.run_command(
            list(argv), data=data, environ_update=self._environment
        )
        return status, out + err

    def installed(self) -> dict[str, str]:
        """Version of every installed package, by name."""
        form = r"${Package}\t${Version}\t${db:Status-Status}\n"
        _, output = self._run("dpkg-query", "--show", f"--showformat={form}")
        rows = [line.split("\t") for line in output.splitlines() if line.count("\t") == 2]
        return {name: version for name, version, status in rows if status == "installed"}

    def are_lists_fresh(self) -> bool:
        """Whether the lists of packages are from the last hour."""
        return _age(_LISTS) < _LISTS_LAST

    def fetch_lists(self) -> None:
        """Fetch the lists of packages."""
        silence = ["-oAcquire::Retries=1", "-oAcquire::http::Timeout=20"]
        status, output = self._run(
            "apt-get",
            "update",
            *silence,
            "-oAcquire::https::Timeout=20",
            "-oDPkg::Lock::Timeout=60",
            *self._lists,
        )
        if status != 0:
            raise PackageError(f"apt-get cannot fetch the lists of packages. {_last_lines(output)}")

    def fetch_lists_aside(self, folder: str) -> None:
        """Fetch the lists of packages into a folder, and tell what these offer from now on."""
        os.makedirs(f"{folder}/lists/partial")
        self._lists = [
            f"-oDir::State::lists={folder}/lists",
            f"-oDir::Cache={folder}",
            "-oAPT::Sandbox::User=root",
        ]
        self.fetch_lists()

    def _held(self) -> set[str]:
        return set(self._run("apt-mark", "showhold")[1].split())

    def held_by_others(self, names: list[str]) -> set[str]:
        """Which of these packages other hands keep from changing."""
        return set(names) & self._held() - _ours()

    def how_to_release(self, names: list[str]) -> str:
        """What to do that packages may change."""
        return f"apt-mark unhold {' '.join(names)}"

    def ours(self) -> set[str]:
        """Names of the packages that we hold."""
        return self._held() & _ours()

    @contextmanager
    def released(self, names: set[str]) -> Iterator[None]:
        """Let go of packages that we hold, and hold them again however it ends."""
        try:
            self._mark("unhold", names)
            yield
        finally:
            self._mark("hold", names)

    def _mark(self, verb: str, names: set[str]) -> None:
        for attempt in range(_ATTEMPTS if names else 0):
            status, output = self._run("apt-mark", verb, *sorted(names))
            if status == 0:
                return
            if "lock" not in output or attempt == _ATTEMPTS - 1:
                raise PackageError(
                    f"apt-mark cannot {verb} {', '.join(sorted(names))}. {_last_lines(output)}"
                )
            time.sleep(1)

    def offered(self, names: list[str]) -> dict[str, list[str]]:
        """Versions of packages that the repositories have, newest first, by name."""
        return parse_madison(self._run("apt-cache", "madison", *self._lists, *names)[1])

    def warning(self) -> str:
        """Debian supports that a package is installed while others wait for their upgrade."""
        return ""

    def answer(self, answers: str) -> None:
        """Tell debconf what the packages would ask."""
        status, output = self._run("debconf-set-selections", data=answers)
        if status != 0:
            raise PackageError(f"debconf does not take the answers. {_last_lines(output)}")

    def companions(self, wanted: list[str]) -> list[str]:
        """What apt has to be told as well, for packages in other versions than the latest.

        They may need others in a version that it would not choose by itself.
        """
        chosen = dict(each.split("=", 1) for each in wanted if "=" in each)
        names = {each.partition("=")[0] for each in wanted}
        more: dict[str, str] = {}
        while chosen:
            pairs = [f"{name}={version}" for name, version in chosen.items()]
            found = parse_companions(self._run("apt-cache", "show", *pairs)[1])
            new = {name: found[name] for name in found if name not in names}
            offers = self.offered(list(new)) if new else {}
            chosen = {name: new[name] for name in new if new[name] in offers.get(name, [])}
            names.update(new)
            more.update(chosen)
        return [f"{name}={version}" for name, version in more.items()]

    def install(self, wanted: list[str]) -> None:
        """Install packages, each as C(name) or C(name=version), in one transaction."""
        companions = self.companions(wanted)
        with _nothing_starts():
            status, output = self._run(
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
                "--allow-downgrades",
                "-oAcquire::Retries=3",
                "-oDPkg::Lock::Timeout=60",
                "-oDpkg::Options::=--force-confdef",
                "-oDpkg::Options::=--force-confold",
                *wanted,
                *companions,
            )
        if status != 0:
            raise PackageError(
                f"apt-get cannot install {', '.join(wanted)}. {_last_lines(output)}"
                + hint_at_holds(output, self)
            )


class Pacman:
    """Arch's package manager. It starts no service."""

    lock = "/var/lib/pacman/db.lck"

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._lists: list[str] = []  # options, where the lists are not the host's own
        self._released: set[str] = set()

    def _run(self, *argv: str) -> tuple[int, str]:
        status, out, err = self._module.run_command(list(argv), environ_update={"LC_ALL": "C"})
        return status, out + err

    def installed(self) -> dict[str, str]:
        """Version of every installed package, by name."""
        return dict(re.findall(r"^(\S+) (\S+)$", self._run("pacman", "-Q")[1], re.MULTILINE))

    def are_lists_fresh(self) -> bool:
        """Whether the lists of packages are from the last hour."""
        return _age("/var/lib/pacman/sync") < _LISTS_LAST

    def fetch_lists(self) -> None:
        """Fetch the lists of packages."""
        status, output = self._run("pacman", "-Sy", "--noconfirm", *self._lists)
        if status != 0:
            raise PackageError(f"pacman cannot fetch the lists of packages. {_last_lines(output)}")

    def fetch_lists_aside(self, folder: str) -> None:
        """Fetch the lists of packages into a folder, and tell what these offer from now on."""
        os.chmod(folder, 0o755)  # noqa: S103 — whoever fetches for pacman may not be root
        self._lists = ["--dbpath", folder, "--logfile", "/dev/null"]
        self.fetch_lists()

    def _held(self) -> list[str]:
        return self._run("pacman-conf", "IgnorePkg")[1].split()

    def held_by_others(self, names: list[str]) -> set[str]:
        """Which of these packages other hands keep from changing. They may have given patterns."""
        patterns = list((Counter(self._held()) - Counter(self.ours())).elements())
        return {name for name in names if any(fnmatchcase(name, each) for each in patterns)}

    def how_to_release(self, names: list[str]) -> str:
        """What to do that packages may change."""
        return f"take {' '.join(names)} out of IgnorePkg in /etc/pacman.conf"

    def ours(self) -> set[str]:
        """Names of the packages that we hold."""
        return set(self._held()) & _ours()

    @contextmanager
    def released(self, names: set[str]) -> Iterator[None]:
        """Let go of packages that we hold, and hold them again however it ends."""
        if not names:
            yield
            return
        lines = _text(IGNORED_BY_US).splitlines(keepends=True)
        kept = [line for line in lines if line.partition("=")[2].strip() not in names]
        _write(IGNORED_BY_US, "".join(kept))
        self._released = names
        try:
            yield
        finally:
            _write(IGNORED_BY_US, "".join(lines))

    def offered(self, names: list[str]) -> dict[str, list[str]]:
        """The version of each package that the repositories have, by name."""
        output = self._run("pacman", "-Si", *self._lists, *names)[1]
        pairs = re.findall(r"^Name +: (\S+)\nVersion +: (\S+)$", output, re.MULTILINE)
        return {name: [version] for name, version in pairs}

    def answer(self, answers: str) -> None:
        """Packages of Arch ask nothing."""

    def warning(self) -> str:
        """A sentence where other packages wait for an upgrade that Arch wants to come first."""
        waiting = [
            line
            for line in self._run("pacman", "-Qu")[1].splitlines()
            if "->" in line and not line.endswith("[ignored]")
        ]
        if not waiting:
            return ""
        return (
            f"Upgrades wait on this host, {len(waiting)} in number. Arch supports no partial ones:"
            " what is installed now may need the later versions. Run pacman -Syu soon, then this"
            " again."
        )

    def _bystanders(self, names: list[str]) -> list[str]:
        """Installed packages that would be replaced together with some, though nobody asked."""
        form = ["--print", "--print-format", "%n %v", "--needed", "--noconfirm"]
        output = self._run("pacman", "-S", *form, *names)[1]
        installed = self.installed()
        asked = {*names, *self._released}
        return [
            name
            for name, version in re.findall(r"^(\S+) (\S+)$", output, re.MULTILINE)
            if name not in asked and installed.get(name, version) != version
        ]

    def install(self, wanted: list[str]) -> None:
        """Install packages in one transaction. The repositories have one version of each."""
        names = [each.partition("=")[0] for each in wanted]
        bystanders = self._bystanders(names)
        if bystanders:
            raise PackageError(
                f"{', '.join(names)} cannot be installed without upgrading {', '.join(bystanders)},"
                " of which other packages of this host may need the version that they have. Run"
                " pacman -Syu, then this again."
            )
        status, output = self._run("pacman", "-S", "--noconfirm", "--needed", *names)
        if status != 0:
            raise PackageError(
                f"pacman cannot install {', '.join(names)}. {_last_lines(output)}"
                + hint_at_holds(output, self)
            )


def hint_at_holds(output: str, manager: Apt | Pacman) -> str:
    """A sentence where a failure may come from packages that other hands hold."""
    if not re.search(r"\bheld\b|ignoring package|IgnorePkg", output):
        return ""
    words = set(re.findall(r"[a-z0-9][a-z0-9+._-]*", output))
    held = sorted(manager.held_by_others(list(words)))
    if not held:
        return ""
    return (
        f" Other hands hold {', '.join(held)}. Release what is in the way"
        f" ({manager.how_to_release(held)}), then run this again."
    )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str) -> None:
    """Replace a file at once, readable for everybody."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{path}.new", 0o644)
    os.replace(f"{path}.new", path)


def _ours() -> set[str]:
    """Packages that we have held, which others may have released meanwhile."""
    return set(_text(HELD_BY_US).split())


def _age(folder: str) -> float:
    try:
        return time.time() - os.stat(folder).st_mtime
    except FileNotFoundError:
        return float("inf")


def _last_lines(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "error:", "dpkg: error"))]
    return "It said: " + " ".join((errors or lines)[-4:])


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Have maintainer scripts start no service (Debian policy, invoke-rc.d(8))."""
    if os.path.exists(_POLICY):
        yield  # somebody's own policy; Debian has none
        return
    with open(_POLICY, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 101\n")
    os.chmod(_POLICY, 0o755)  # noqa: S103 — it is a program that everybody may run
    try:
        yield
    finally:
        os.unlink(_POLICY)


def holder_of(path: str) -> str:
    """Name and number of the process that holds a lock on a file (proc(5), /proc/locks)."""
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            columns = line.split()
            if "->" not in columns and columns[5].rpartition(":")[2] == str(inode):
                pid = columns[4]
                try:
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                        return f"{file.read().strip()} (process {pid})"
                except FileNotFoundError:
                    return f"process {pid}"
    return "another program"


def is_locked(path: str) -> bool:
    """Whether another program holds the lock. pacman's lock is a file that is there."""
    if not os.path.exists(path):
        return False
    if path == Pacman.lock:
        return True
    with open(path, "r+", encoding="ascii") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return True
            raise
    return False


def wait_for(path: str, timeout: int) -> tuple[float, str]:
    """Seconds waited for a lock, and who held it. Raises PackageError after ``timeout`` seconds."""
    began = time.monotonic()
    holder = ""
    while is_locked(path):
        holder = holder or holder_of(path)
        if time.monotonic() - began > timeout:
            raise PackageError(
                f"{holder} has held the package manager's lock {path} for {timeout} s. Wait until"
                " it has ended, or end it, then run this again."
            )
        time.sleep(_PAUSE)
    return time.monotonic() - began if holder else 0.0, holder


def find_missing(
    names: list[str], versions: dict[str, str], installed: dict[str, str]
) -> list[str]:
    """What to install, as C(name) or C(name=version)."""
    missing = []
    for name in dict.fromkeys(names):
        version = versions.get(name)
        if version is not None and installed.get(name) != version:
            missing.append(f"{name}={version}")
        elif name not in installed:
            missing.append(name)
    return missing


def check_holds(missing: list[str], installed: dict[str, str], manager: Apt | Pacman) -> None:
    """Refuse to change what other hands hold. Raises PackageError."""
    held = manager.held_by_others([each.partition("=")[0] for each in missing])
    for each in missing:
        name, _, version = each.partition("=")
        if name not in held:
            continue
        remedy = manager.how_to_release([name])
        if name in installed:
            raise PackageError(
                f"{name} is held at version {installed[name]}, but {version} is asked for. Release"
                f" it ({remedy}), or ask for that version in jitsi_versions."
            )
        raise PackageError(
            f"{name} has to be installed, but other hands hold it as it is: not installed. Release"
            f" it ({remedy}), then run this again."
        )


def check_offers(missing: list[str], manager: Apt | Pacman, *, all_known: bool = True) -> None:
    """Refuse what the repositories do not have. Raises PackageError.

    Without ``all_known`` there may be more repositories, for packages that these do not have.
    """
    offers = manager.offered([each.partition("=")[0] for each in missing])
    for each in missing:
        name, _, version = each.partition("=")
        offered = offers.get(name, [])
        if not offered:
            if not all_known:
                continue
            raise PackageError(
                f"No repository of this host offers {name}. Check the sources of packages, and"
                " that the release of the distribution is supported."
            )
        if version and version not in offered:
            raise PackageError(
                f"{name} {version} is no longer offered; the repositories have"
                f" {', '.join(offered[:5])}. Correct jitsi_versions, or remove {name} from it."
            )


def are_offered(missing: list[str], manager: Apt | Pacman) -> bool:
    """Whether the repositories have every package in its version."""
    offers = manager.offered([each.partition("=")[0] for each in missing])
    pairs = (each.partition("=") for each in missing)
    return all(version in offers.get(name, []) for name, _, version in pairs)


def look(missing: list[str], installed: dict[str, str], manager: Apt | Pacman) -> None:
    """Refuse versions that cannot be installed, and change nothing. Raises PackageError."""
    check_holds(missing, installed, manager)
    if manager.are_lists_fresh() and are_offered(missing, manager):
        return
    with tempfile.TemporaryDirectory(prefix="vestibule-") as folder:
        manager.fetch_lists_aside(folder)
        check_offers(missing, manager, all_known=False)


def run(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """Install what is missing, or look whether that could be."""
    parameters = module.params
    versions = parameters["versions"]
    installed = manager.installed()
    missing = find_missing(parameters["names"], versions, installed)
    if parameters["state"] == "tried":
        if missing:
            look(missing, installed, manager)
        return {"changed": False, "missing": missing, "waited": 0.0}
    result: dict[str, Any] = {"changed": bool(missing), "missing": missing, "waited": 0.0}
    if not missing:
        return result
    names = [each.partition("=")[0] for each in missing]
    before = [f"{name}={installed[name]}\n" for name in names if name in installed]
    result["diff"] = {"before": "".join(before), "after": "".join(f"{each}\n" for each in missing)}
    if module.check_mode:
        return {**result, "msg": f"Would install {', '.join(missing)}"}
    result["waited"], holder = wait_for(manager.lock, parameters["lock_timeout"])
    if holder:
        module.warn(f"Waited {result['waited']:.0f} s for {holder}, which was installing packages.")
    if parameters["fresh_lists"] or not manager.are_lists_fresh():
        manager.fetch_lists()
    check_holds(missing, installed, manager)
    check_offers(missing, manager)
    warning = manager.warning()
    if warning:
        module.warn(warning)
    if parameters["answers"]:
        manager.answer(parameters["answers"])
    # All that may change: one of them may need another of its kin in a later version
    ours = {name for name in manager.ours() if versions.get(name) != installed.get(name)}
    with manager.released(ours):
        manager.install(missing)
    return {**result, "msg": f"Installed {', '.join(missing)}"}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "versions": {"type": "dict", "default": {}},
            "answers": {"type": "str", "default": ""},
            "fresh_lists": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "tried"], "default": "present"},
            "lock_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    manager: Apt | Pacman
    if module.get_bin_path("apt-get"):
        manager = Apt(module)
    elif module.get_bin_path("pacman"):
        manager = Pacman(module)
    else:
        module.fail_json(msg="This host has neither apt-get nor pacman.")
    try:
        module.exit_json(**run(module, manager))
    except PackageError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()

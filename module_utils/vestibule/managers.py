"""Package managers: what is installed, held and offered, and how to install it."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, package_locks, sources
from ansible.module_utils.vestibule.programs import reason, run

# Where the role jitsi_lock remembers its holds, and where it has pacman read them
HELD_BY_US = "/var/lib/vestibule/held"
IGNORED_BY_US = "/etc/pacman.d/vestibule-held.conf"
PACMAN_CONF = "/etc/pacman.conf"
PACMAN_KEYRING = "/etc/pacman.d/gnupg"
_TRUSTED = ("f", "u")  # validity full or ultimate (GnuPG, doc/DETAILS, field 2)
POLICY = "/usr/sbin/policy-rc.d"
_KEPT = ".before-vestibule"
_MARK = "# Made by Vestibule: no service starts while it installs packages."
_JOURNAL = "/var/lib/dpkg/updates"
# What people changed stays, and so does what this project wrote before a package came
_KEEP_FILES = ("--force-confdef", "--force-confold")
_DEBCONF = "/var/cache/debconf/config.dat"
_ASKS_STATES = ("dpkg-query", "--show", r"--showformat=${Package}\t${db:Status-Status}\n")
_LISTS = "/var/lib/apt/lists"
_DATABASE = "/var/lib/pacman/local"
_LISTS_LAST = 3600  # seconds
_ATTEMPTS = 60  # to hold and unhold, one a second, while another program has dpkg's lock


class PackageError(Exception):
    """The packages cannot be installed. The message is a sentence for the operator."""


def parse_madison(text: str, without: str | None = None) -> dict[str, list[str]]:
    """Versions by name of what ``apt-cache madison`` prints, each once, sources left out.

    Rows of the repository ``without``, an address with no slash at its end, are left out as well.
    """
    offers: dict[str, list[str]] = {}
    for row in text.splitlines():
        name, version, origin = (column.strip() for column in (row + "||").split("|")[:3])
        of_another = without is None or origin.partition(" ")[0].rstrip("/") != without
        known = not version or version in offers.get(name, [])
        if of_another and not known and not origin.endswith("Sources"):
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


def parse_simulation(text: str) -> dict[str, tuple[str | None, str | None]]:
    """Versions before and after by name in what ``apt-get --simulate`` prints (C locale)."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for name, old, new in re.findall(r"^Inst (\S+)(?: \[(\S+)\])? \((\S+)", text, re.MULTILINE):
        found[name.partition(":")[0]] = (old or None, new)
    for name, old in re.findall(r"^(?:Remv|Purg) (\S+) \[(\S+)\]", text, re.MULTILINE):
        found[name.partition(":")[0]] = (old, None)
    return found


def parse_new(text: str) -> list[str]:
    """Names of what ``apt-get install`` says would be new, before it asks (C locale)."""
    rows = re.search(r"^The following NEW packages will be installed:\n((?:  .*\n)*)", text, re.M)
    return [name.partition(":")[0] for name in rows[1].split()] if rows else []


def _states(text: str) -> list[tuple[str, str]]:
    """Name and state of each package in what dpkg-query says to `_ASKS_STATES`."""
    return re.findall(r"^([^\t\n]*)\t([^\t\n]*)$", text, re.MULTILINE)


def parse_info(text: str) -> dict[str, str]:
    """Version by name in what ``pacman -Si`` prints, or a helper that talks like it (C locale)."""
    return dict(re.findall(r"^Name +: (\S+) *\nVersion +: (\S+) *$", text, re.MULTILINE))


def parse_policy(text: str) -> dict[str, str]:
    """Version by name that ``apt-cache policy`` calls the candidate (C locale)."""
    pairs = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)$", text, re.MULTILINE)
    return {name: version for name, version in pairs if version != "(none)"}


def must(module: AnsibleModule, failure: str, *argv: str, data: str | None = None) -> str:
    """What a program prints. Raises PackageError with ``failure`` and the reason otherwise."""
    status, output = run(module, *argv, data=data)
    if status != 0:
        raise PackageError(f"{failure} It said: {reason(output)}")
    return output


def lists_in(folder: str) -> list[str]:
    """Options that have apt keep its lists of packages in a folder, which it makes ready."""
    os.makedirs(f"{folder}/lists/partial")
    return [
        f"-oDir::State::lists={folder}/lists",
        f"-oDir::Cache={folder}",
        "-oAPT::Sandbox::User=root",
    ]


class _Manager:
    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._lists: list[str] = []  # options, where the lists are not the host's own

    def _run(self, *argv: str) -> tuple[int, str]:
        return run(self._module, *argv)

    def _must(self, failure: str, *argv: str, data: str | None = None) -> str:
        return must(self._module, failure, *argv, data=data)


class Apt(_Manager):
    """Debian's package manager and its derivatives'."""

    # dpkg's own as well: it goes on where apt was killed
    locks = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")

    def packages(self) -> dict[str, tuple[str, bool]]:
        """Version of every installed package, and whether anybody holds it, by name."""
        form = r"${Package}\t${Version}\t${db:Status-Status}\t${db:Status-Want}\n"
        failure = "dpkg-query cannot tell what is installed."
        output = self._must(failure, "dpkg-query", "--show", f"--showformat={form}")
        rows = [line.split("\t") for line in output.splitlines() if line.count("\t") == 3]
        return {
            name: (version, want == "hold")
            for name, version, status, want in rows
            if status == "installed"
        }

    def changed(self, names: list[str]) -> dict[str, float]:
        """When the files of installed packages came, in seconds since 1970, by name.

        The files themselves are as old as their package was when it was built.
        """
        form = r"${Package}\t${db-fsys:Last-Modified}\n"
        argv = ["dpkg-query", "--show", f"--showformat={form}", "--", *names]
        output = self._run(*argv)[1] if names else ""
        return {name: float(moment) for name, moment in re.findall(r"^(\S+)\t(\d+)$", output, re.M)}

    def files_of(self, names: list[str]) -> list[str]:
        """Paths of everything in some installed packages."""
        return self._run("dpkg-query", "--listfiles", *names)[1].splitlines() if names else []

    def candidates(self, names: list[str]) -> dict[str, str]:
        """Version that an installation would bring, by name, as far as the repositories have it."""
        if not names:
            return {}
        return parse_policy(self._run("apt-cache", "policy", *self._lists, "--", *names)[1])

    def are_lists_fresh(self) -> bool:
        """Whether the lists of packages are from the last hour."""
        return _age(_LISTS) < _LISTS_LAST

    def fetch_lists(self) -> None:
        """Fetch the lists of packages."""
        self._must(
            "apt-get cannot fetch the lists of packages.",
            "apt-get",
            "update",
            "-oAcquire::Retries=1",
            "-oAcquire::http::Timeout=20",
            "-oAcquire::https::Timeout=20",
            "-oDPkg::Lock::Timeout=60",
            *self._lists,
        )

    def fetch_lists_aside(self, folder: str) -> None:
        """Fetch the lists of packages into a folder, and tell what these offer from now on."""
        self._lists = lists_in(folder)
        self.fetch_lists()

    def held(self) -> set[str]:
        """Names of the packages that anybody holds, installed or not."""
        return set(self._must("apt-mark cannot tell what is held.", "apt-mark", "showhold").split())

    def held_by_others(self, names: list[str]) -> set[str]:
        """Which of these packages somebody else holds."""
        return set(names) & self.held() - recorded()

    def how_to_release(self, names: list[str]) -> str:
        """What to do that packages may change."""
        return f"apt-mark unhold {' '.join(names)}"

    def ours(self) -> set[str]:
        """Names of the packages that we hold."""
        return self.held() & recorded()

    def change_holds(self, hold: set[str], release: set[str]) -> None:
        """Hold some packages and release others."""
        self._mark("hold", hold)
        self._mark("unhold", release)

    @contextmanager
    def released(self, names: set[str]) -> Iterator[None]:
        """Release packages that we hold, and hold them again however it ends."""
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
                    f"apt-mark cannot {verb} {', '.join(sorted(names))}. It said: {reason(output)}"
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
        self._must("debconf does not take the answers.", "debconf-set-selections", data=answers)

    def unasked(self, answers: str) -> list[tuple[str, str]]:
        """Owner and name of the questions in ``answers`` that debconf does not know yet."""
        known = set(re.findall(r"^Name: (\S+)$", files.read(_DEBCONF), re.MULTILINE))
        rows = [line.split() for line in answers.splitlines() if line.strip()]
        return [(row[0], row[1]) for row in rows if row[1] not in known]

    def sources(self) -> dict[str, dict[str, Any]]:
        """Repositories that this project has named to apt, by name."""
        return sources.read_apt()

    def planned(self, wanted: list[str]) -> list[str]:
        """Names of all packages that would be new, for C(wanted) as `install` takes it.

        As apt says them before it asks whether to go on. A simulation takes four times as long.
        """
        argv = ["--assume-no", "--no-install-recommends", "--allow-downgrades"]
        plain = "-oAPT::Get::Show-Versions=false"
        return parse_new(
            self._run("apt-get", "install", *argv, plain, *wanted, *self.companions(wanted))[1]
        )

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

    def plan(self, wanted: list[str]) -> tuple[dict[str, tuple[str | None, str | None]], int]:
        """What an installation would change, by name, and how many bytes it would fetch.

        Raises PackageError where it cannot be.
        """
        if not wanted:
            return {}, 0
        argv = [
            *("apt-get", "install", "--no-install-recommends", "--allow-downgrades", "--yes"),
            *("--ignore-hold", *self._lists, *wanted, *self.companions(wanted)),
        ]
        failure = f"apt-get cannot install {', '.join(wanted)}."
        changes = parse_simulation(self._must(failure, *argv, "--simulate"))
        uris = self._must(failure, *argv, "--print-uris")
        return changes, sum(int(size) for size in re.findall(r"^'\S+' \S+ (\d+)", uris, re.M))

    def put_back(self, paths: list[str], gone: list[str]) -> None:
        """Install packages from files, also older ones, and purge others.

        With dpkg, which does that also where an installation ended half-way and apt refuses to go
        on. It puts the files in order itself, but for what has to be there before another one is
        unpacked: then it needs to be told twice. Raises PackageError.
        """
        status, output = 0, ""
        with _nothing_starts(self._module):
            for _ in range(2 if paths else 0):
                status, output = self._dpkg(
                    "--install", "--force-downgrade", "--force-hold", *_KEEP_FILES, *paths
                )
                if status == 0:
                    break
            if gone:
                self._dpkg("--purge", "--force-hold", "--force-remove-reinstreq", *gone)
            finished = self._dpkg("--configure", "--pending", *_KEEP_FILES)
        if status or finished[0]:
            raise PackageError(
                f"dpkg cannot put the former packages back. It said: {reason(output + finished[1])}"
                + hint(output + finished[1], self)
            )

    def _dpkg(self, *argv: str) -> tuple[int, str]:
        """What dpkg says, once no other program has its lock."""
        status, output = self._run("dpkg", *argv)
        for _ in range(_ATTEMPTS):
            if status == 0 or "lock" not in output:
                break
            time.sleep(1)
            status, output = self._run("dpkg", *argv)
        return status, output

    def unfinished(self) -> set[str]:
        """Names of packages that are there half: unpacked, or not configured."""
        failure = "dpkg-query cannot tell what is installed."
        output = self._must(failure, *_ASKS_STATES)
        whole = ("installed", "config-files", "not-installed")
        return {name for name, status in _states(output) if status not in whole}

    def automatic(self) -> list[str]:
        """Names of packages that came for others."""
        return self._run("apt-mark", "showauto")[1].split()

    def set_automatic(self, names: list[str]) -> None:
        """Have apt know that packages came for others, with which they may go."""
        if names:
            self._run("apt-mark", "auto", *names)

    def was_cut_off(self) -> bool:
        """Whether dpkg was ended in the middle, or a run before it took its policy-rc.d away."""
        if installation_was_cut_off():
            return True
        return _dpkg_is_half_way() and not any(map(package_locks.is_locked, self.locks))

    def finish(self) -> None:
        """Finish what dpkg was ended in, and take our policy-rc.d away. No service starts."""
        if not _dpkg_is_half_way():
            restore_policy()
            return
        with _nothing_starts(self._module):
            # What this cannot configure may lack others, which apt installs
            self._run("dpkg", *_KEEP_FILES, "--configure", "-a")
            status, output = self._apt_get("install", "--fix-broken", "--no-remove")
        if status != 0 or _dpkg_is_half_way():
            raise PackageError(
                "dpkg was ended in the middle of an installation, and that cannot be finished. It"
                f" said: {reason(output)} Run dpkg --configure -a and apt-get --fix-broken install"
                " on the host, then this again."
            )

    def _apt_get(self, *words: str) -> tuple[int, str]:
        return self._run(
            "apt-get",
            *words,
            "--yes",
            "--no-install-recommends",
            "-oAcquire::Retries=3",
            "-oDPkg::Lock::Timeout=60",
            *(f"-oDpkg::Options::={each}" for each in _KEEP_FILES),
        )

    def install(self, wanted: list[str]) -> None:
        """Install packages, each as C(name) or C(name=version), in one transaction."""
        companions = self.companions(wanted)
        with _nothing_starts(self._module):
            status, output = self._apt_get("install", "--allow-downgrades", *wanted, *companions)
        if status != 0:
            raise PackageError(
                f"apt-get cannot install {', '.join(wanted)}. It said: {reason(output)}"
                + hint(output, self)
            )

    def remains(self, names: list[str]) -> list[str]:
        """Which of these are no longer installed, or not wholly, and have left something."""
        output = self._run(*_ASKS_STATES, *names)[1] if names else ""
        without = ("installed", "not-installed")
        return [name for name, status in _states(output) if status not in without]

    def remove(self, names: list[str], needed: list[str]) -> None:
        """Remove packages with their configuration, and no others. Some of ours are ``needed``."""
        if needed:  # or the next autoremove takes what a program of others runs on
            self._must("apt-mark cannot keep packages.", "apt-mark", "manual", *needed)
        if not names:
            return
        argv = ["purge", "--yes", "-oDPkg::Lock::Timeout=60", "-oAPT::Get::AutomaticRemove=false"]
        would = self._must(
            "apt-get cannot remove packages.", "apt-get", "--simulate", *argv, *names
        )
        going = set(re.findall(r"^(?:Remv|Purg) ([^\s:]+)", would, re.MULTILINE))
        if going - set(names):
            raise PackageError(
                f"apt-get would also remove {', '.join(sorted(going - set(names)))}, so none was"
                " removed. Look why these need one of ours, then run this again."
            )
        with _nothing_starts(self._module):
            self._must("apt-get cannot remove packages.", "apt-get", *argv, *names)


def primary_keys(listing: str) -> dict[str, str]:
    """Validity by fingerprint of the primary keys in ``gpg --with-colons --fingerprint``."""
    found: dict[str, str] = {}
    validity = None
    for row in listing.splitlines():
        fields = row.split(":")
        if fields[0] == "pub":
            validity = fields[1]
        elif fields[0] == "fpr" and validity is not None:
            found[fields[9]] = validity
            validity = None
    return found


def with_include(configuration: str, path: str, present: bool) -> str:
    """``configuration`` with one line at its end that includes ``path``, or without any."""
    lines = configuration.splitlines()
    others = [line for line in lines if re.sub(r"\s", "", line) != f"Include={path}"]
    if len(lines) - len(others) == int(present):
        return configuration
    return "".join(f"{line}\n" for line in [*others, *([f"Include = {path}"] if present else [])])


class Pacman(_Manager):
    """Arch's package manager. It starts no service."""

    locks = (package_locks.PACMAN,)

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._released: set[str] = set()
        self._finishing = False

    def packages(self) -> dict[str, tuple[str, bool]]:
        """Version of every installed package, and whether anybody holds it, by name."""
        output = self._must("pacman cannot tell what is installed.", "pacman", "-Q")
        held = self.held()
        return {
            name: (version, name in held)
            for name, version in re.findall(r"^(\S+) (\S+)$", output, re.MULTILINE)
        }

    def changed(self, names: list[str]) -> dict[str, float]:
        """When the files of installed packages came, in seconds since 1970, by name."""
        there = os.listdir(_DATABASE) if os.path.isdir(_DATABASE) else []
        # A folder a package, NAME-VERSION-RELEASE
        folders = {each.rsplit("-", 2)[0]: each for each in there}
        return {
            name: os.stat(f"{_DATABASE}/{folders[name]}/desc").st_mtime
            for name in names
            if name in folders
        }

    def files_of(self, names: list[str]) -> list[str]:
        """Paths of everything in some installed packages."""
        return self._run("pacman", "-Qlq", *names)[1].splitlines() if names else []

    def candidates(self, names: list[str]) -> dict[str, str]:
        """Version that an installation would bring, by name, as far as the repositories have it."""
        # It prints the packages it knows, and exits with 1 when it does not know them all.
        found = self._run("pacman", "-Si", *self._lists, "--", *names)[1] if names else ""
        return parse_info(found)

    def are_lists_fresh(self) -> bool:
        """Whether the lists of packages are from the last hour."""
        return _age("/var/lib/pacman/sync") < _LISTS_LAST

    def fetch_lists(self) -> None:
        """Fetch the lists of packages."""
        failure = "pacman cannot fetch the lists of packages."
        self._must(failure, "pacman", "-Sy", "--noconfirm", *self._lists)

    def fetch_lists_aside(self, folder: str) -> None:
        """Fetch the lists of packages into a folder, and tell what these offer from now on."""
        os.chmod(folder, 0o755)  # noqa: S103 — whoever fetches for pacman may not be root
        self._lists = ["--dbpath", folder, "--logfile", "/dev/null"]
        os.symlink("/var/lib/pacman/local", f"{folder}/local")
        self.fetch_lists()

    def _ignored(self) -> list[str]:
        failure = f"pacman-conf cannot read {PACMAN_CONF}."
        return self._must(failure, "pacman-conf", "--config", PACMAN_CONF, "IgnorePkg").split()

    def held(self) -> set[str]:
        """Names of the packages, or patterns of names, that anybody holds."""
        return set(self._ignored())

    def held_by_others(self, names: list[str]) -> set[str]:
        """Which of these packages somebody else holds. They may have given patterns."""
        patterns = list((Counter(self._ignored()) - Counter(self.ours())).elements())
        return {name for name in names if any(fnmatchcase(name, each) for each in patterns)}

    def how_to_release(self, names: list[str]) -> str:
        """What to do that packages may change."""
        return f"take {' '.join(names)} out of IgnorePkg in {PACMAN_CONF}"

    def ours(self) -> set[str]:
        """Names of the packages that we hold."""
        return self.held() & recorded()

    @contextmanager
    def released(self, names: set[str]) -> Iterator[None]:
        """Release packages that we hold, and hold them again however it ends."""
        if not names:
            yield
            return
        before = files.read(IGNORED_BY_US)
        lines = before.splitlines(keepends=True)
        kept = [line for line in lines if line.partition("=")[2].strip() not in names]
        files.write(self._module, IGNORED_BY_US, "".join(kept), 0o644)
        self._released = names
        try:
            yield
        finally:
            files.write(self._module, IGNORED_BY_US, before, 0o644)

    def change_holds(self, hold: set[str], release: set[str]) -> None:
        """Hold some packages and release others, in a file of ours (pacman.conf(5))."""
        before = files.read(IGNORED_BY_US)
        names = set(re.findall(r"^IgnorePkg = (\S+)$", before, re.MULTILINE))
        names = (names | hold) - release
        if names:  # the file before the line that includes it
            lines = "".join(f"IgnorePkg = {name}\n" for name in sorted(names))
            head = "# Made by Vestibule, role jitsi_lock. Changes made here are overwritten.\n"
            files.write(self._module, IGNORED_BY_US, f"{head}[options]\n{lines}", 0o644)
        self.include(IGNORED_BY_US, present=bool(names))
        if not names:
            files.remove(IGNORED_BY_US)

    def include(self, path: str, *, present: bool, dry: bool = False) -> bool:
        """Have one line at the end of pacman.conf include a file, or none. Whether it changed.

        pacman reads no folder of files, so there is no other way in. At the end, the distribution's
        repositories come first, and sections may come again. ``dry`` only tells.
        """
        before = files.read(PACMAN_CONF)
        after = with_include(before, path, present)
        if after != before and not dry:
            files.write(self._module, PACMAN_CONF, after)
        return after != before

    def trusts(self, fingerprint: str) -> bool:
        """Whether pacman takes packages that this key has signed."""
        argv = ["gpg", "--homedir", PACMAN_KEYRING, "--batch", "--with-colons", "--fingerprint"]
        argv += ["--no-permission-warning", "--list-keys", fingerprint]
        return primary_keys(self._run(*argv)[1]).get(fingerprint) in _TRUSTED

    def sources(self) -> dict[str, dict[str, Any]]:
        """Repositories that this project has named to pacman, by name."""
        return sources.read_pacman(files.read(PACMAN_CONF), self.trusts)

    def offered(self, names: list[str]) -> dict[str, list[str]]:
        """The version of each package that the repositories have, by name."""
        found = parse_info(self._run("pacman", "-Si", *self._lists, *names)[1])
        return {name: [version] for name, version in found.items()}

    def answer(self, answers: str) -> None:
        """Packages of Arch ask nothing."""

    def unasked(self, answers: str) -> list[tuple[str, str]]:  # noqa: ARG002
        """Packages of Arch ask nothing."""
        return []

    def planned(self, wanted: list[str]) -> list[str]:
        """Names of all packages that would be new, for C(wanted) as `install` takes it."""
        names = [each.partition("=")[0] for each in wanted]
        argv = ["--print", "--print-format", "%n", "--needed", "--noconfirm"]
        output = self._run("pacman", "-S", *argv, *names)[1]
        installed = self.packages()
        return [
            name for name in re.findall(r"^(\S+)$", output, re.MULTILINE) if name not in installed
        ]

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

    def was_cut_off(self) -> bool:
        """Whether pacman was ended in the middle: its lock is there, and nobody holds it."""
        return installation_was_cut_off() or package_locks.is_abandoned(package_locks.PACMAN)

    def finish(self) -> None:
        """Take the lock away. What was being installed is installed again where it is missing."""
        restore_policy()
        self._finishing = package_locks.is_abandoned(package_locks.PACMAN)
        if self._finishing:
            files.remove(package_locks.PACMAN)

    def remains(self, names: list[str]) -> list[str]:  # noqa: ARG002
        """Pacman leaves nothing that it knows of."""
        return []

    def remove(self, names: list[str], needed: list[str]) -> None:
        """Remove packages with their configuration, and no others. Some of ours are ``needed``."""
        if needed:
            failure = "pacman cannot keep packages."
            self._must(failure, "pacman", "-D", "--asexplicit", *needed)
        if names:
            failure = "pacman cannot remove packages."
            self._must(failure, "pacman", "-Rn", "--noconfirm", *names)

    def _bystanders(self, names: list[str]) -> list[str]:
        """Installed packages that would be replaced together with some, though nobody asked."""
        form = ["--print", "--print-format", "%n %v", "--needed", "--noconfirm"]
        output = self._run("pacman", "-S", *form, *names)[1]
        installed = self.packages()
        asked = {*names, *self._released}
        return [
            name
            for name, version in re.findall(r"^(\S+) (\S+)$", output, re.MULTILINE)
            if name not in asked and installed.get(name, (version, False))[0] != version
        ]

    def plan(self, wanted: list[str]) -> tuple[dict[str, tuple[str | None, str | None]], int]:
        """What an installation would change, by name, and how many bytes it would fetch.

        Raises PackageError where it cannot be.
        """
        if not wanted:
            return {}, 0
        names = [each.partition("=")[0] for each in wanted]
        form = ("--print", "--print-format", "%n %v %s", "--needed", "--noconfirm")
        failure = f"pacman cannot install {', '.join(names)}."
        output = self._must(failure, "pacman", "-S", *form, *self._lists, *names)
        installed = self.packages()
        rows = re.findall(r"^(\S+) (\S+) (\d+)$", output, re.MULTILINE)
        self._refuse(
            names,
            [
                name
                for name, version, _ in rows
                if name not in names and installed.get(name, (version, False))[0] != version
            ],
        )
        changes: dict[str, tuple[str | None, str | None]] = {
            name: (installed[name][0] if name in installed else None, version)
            for name, version, _ in rows
        }
        return changes, sum(int(size) for _, _, size in rows)

    def put_back(self, paths: list[str], gone: list[str]) -> None:
        """Install packages from files, also older ones, and remove others. Raises PackageError."""
        if paths:
            failure = "pacman cannot put the former packages back."
            self._must(failure, "pacman", "-U", "--noconfirm", *paths)
        if gone:
            self._run("pacman", "-Rn", "--noconfirm", *gone)

    def unfinished(self) -> set[str]:
        """None: pacman writes down a package once it is there."""
        return set()

    def automatic(self) -> list[str]:
        """Names of packages that came for others."""
        return self._run("pacman", "-Qdq")[1].split()

    def set_automatic(self, names: list[str]) -> None:
        """Have pacman know that packages came for others, with which they may go."""
        if names:
            self._run("pacman", "-D", "--asdeps", *names)

    def _refuse(self, names: list[str], bystanders: list[str]) -> None:
        """Refuse to upgrade what nobody asked for. Raises PackageError."""
        if bystanders:
            raise PackageError(
                f"{', '.join(names)} cannot be installed without upgrading {', '.join(bystanders)},"
                " of which other packages of this host may need the version that they have. Run"
                " pacman -Syu, then this again."
            )

    def install(self, wanted: list[str]) -> None:
        """Install packages in one transaction. The repositories have one version of each."""
        names = [each.partition("=")[0] for each in wanted]
        self._refuse(names, self._bystanders(names))
        # Files that one which was ended had unpacked belong to no package yet
        again = ["--overwrite", "*"] if self._finishing else []
        status, output = self._run("pacman", "-S", "--noconfirm", "--needed", *again, *names)
        if status != 0:
            raise PackageError(
                f"pacman cannot install {', '.join(names)}. It said: {reason(output)}"
                + hint(output, self)
            )


def hint(output: str, manager: Apt | Pacman) -> str:
    """A sentence where a failure comes from a full disk, or from what somebody else holds."""
    if "No space left on device" in output:
        return " No space is left on a disk of this host: make room there."
    if not re.search(r"\bheld\b|ignoring package|IgnorePkg", output):
        return ""
    words = set(re.findall(r"[a-z0-9][a-z0-9+._-]*", output))
    held = sorted(manager.held_by_others(list(words)))
    if not held:
        return ""
    return (
        f" Somebody else holds {', '.join(held)}. Release what is in the way"
        f" ({manager.how_to_release(held)}), then run this again."
    )


def recorded() -> set[str]:
    """Packages that we have held, which others may have released meanwhile."""
    return set(files.read(HELD_BY_US).split())


def _age(folder: str) -> float:
    """Seconds since the lists in a folder changed. Who makes an image may have removed them."""
    try:
        files = any(os.path.isfile(os.path.join(folder, each)) for each in os.listdir(folder))
        return time.time() - os.stat(folder).st_mtime if files else float("inf")
    except FileNotFoundError:
        return float("inf")


def find(module: AnsibleModule) -> Apt | Pacman | None:
    """The package manager of this host, None where it has none that we know."""
    if module.get_bin_path("apt-get"):  # dpkg alone is a package of Arch, too
        return Apt(module)
    return Pacman(module) if module.get_bin_path("pacman") else None


def of(module: AnsibleModule) -> Apt | Pacman:
    """The package manager of this host. Raises PackageError where it has none that we know."""
    manager = find(module)
    if manager is None:
        raise PackageError("This host has neither apt nor pacman.")
    return manager


def installation_was_cut_off() -> bool:
    """Whether a run ended before it took its own policy-rc.d away again."""
    return os.path.lexists(f"{POLICY}{_KEPT}") or _MARK in files.read(POLICY)


def _dpkg_is_half_way() -> bool:
    """Whether dpkg wrote down steps that it did not bring to an end, where apt looks for them."""
    return os.path.isdir(_JOURNAL) and any(name.isdigit() for name in os.listdir(_JOURNAL))


def restore_policy() -> None:
    """Take our policy-rc.d away, and bring back the previous one."""
    if os.path.lexists(f"{POLICY}{_KEPT}"):
        os.replace(f"{POLICY}{_KEPT}", POLICY)
    elif _MARK in files.read(POLICY):
        os.unlink(POLICY)


@contextmanager
def _nothing_starts(module: AnsibleModule) -> Iterator[None]:
    """Have maintainer scripts start no service (Debian policy, invoke-rc.d(8)).

    Whoever has a policy-rc.d of his own may let some start, so it steps aside.
    """
    restore_policy()
    if os.path.lexists(POLICY):
        os.rename(POLICY, f"{POLICY}{_KEPT}")
    files.write(module, POLICY, f"#!/bin/sh\n{_MARK}\nexit 101\n", 0o755)
    try:
        yield
    finally:
        restore_policy()

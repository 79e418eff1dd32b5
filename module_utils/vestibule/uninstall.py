"""What the module ``uninstalled`` does: leave a host as it was before this project came."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import (
    acme_certificate,
    before,
    config_files,
    files,
    former,
    leftovers,
    managers,
    needs,
    services,
)
from ansible.module_utils.vestibule.programs import run as run_program

_ABSENT = {"kind": "absent", "digest": former.digest_of("absent", b"")}
_WALKED = ("/etc", "/usr/local")
# From before there were notes; afterwards these tell
_OURS_BY_NAME = (before.OURS_BY_NAME, "/usr/local/*/vestibule*")
_LARGEST = 2**20  # bytes of a file that may be ours by what it says
_STORE_OF_JAVA = "/etc/ssl/certs/java/cacerts"
_SITES = ("/etc/nginx/sites-enabled/*", "/etc/nginx/conf.d/*.conf")
_HOSTS = ("/etc/prosody/conf.d/*.cfg.lua",)
_HOST = re.compile(r"^\s*(?:VirtualHost|Component)\s*\(?\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_SERVES = re.compile(r"^\s*server\b", re.MULTILINE)
_OWNED = ("/etc", "/var", "/usr/local", "/opt", "/srv", "/home")
# Packages whose scripts make folders of data and logs, which no list of files names
_KEEPERS = {
    "/var/lib/prosody": "prosody",
    "/var/log/prosody": "prosody",
    acme_certificate.HOME: "certbot",
    "/var/log/letsencrypt": "certbot",
}
_STATES = ("/var/lib", "/var/log", "/var/cache")  # of programs, which change what is in there
_PATIENCE = 60  # seconds for a service to listen again
_POLL = 0.2  # seconds between two looks

SPEC: dict[str, Any] = {
    "data": {"choices": ["keep", "purge"], "default": "keep"},
    "folders": {"type": "list", "elements": "path", "default": []},
    "logs": {"type": "list", "elements": "str", "default": []},
    "made": {"type": "list", "elements": "str", "default": []},
    "deploy_hook": {"type": "str", "default": ""},
    "trust_command": {"type": "list", "elements": "str", "default": []},
    "backup": {"type": "path", "default": leftovers.BACKUP},
}


class UninstallError(Exception):
    """A sentence for the operator."""


@dataclass
class Plan:
    """What goes, what stays, and why."""

    paths: dict[str, dict[str, Any]] = field(default_factory=dict)  # that were noted, and differ
    made: list[str] = field(default_factory=list)  # by programs of ours and of packages
    data: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # that we made
    empty: list[str] = field(default_factory=list)  # that a package could not take with it
    packages: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    answers: list[list[str]] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, list[str]] = field(default_factory=dict)  # by the service that serves them

    def lines(self, keeps_data: bool) -> list[str]:
        """All that goes or comes back, for people, in the order in which it does."""
        back = [path for path, entry in self.paths.items() if entry["kind"] != "absent"]
        return [
            *(f"{path} (as it was before)" for path in back),
            *(path for path in self.paths if path not in back),
            *(f"{path} ({'moved' if keeps_data else 'purged'})" for path in self.data),
            *(f"hold of {name}" for name in self.holds),
            *(f"package {name}" for name in self.packages),
            *self.made,
            *(f"{path}/" for path in self.folders),
            *(f"user {name}" for name in self.users),
            *(f"group {name}" for name in self.groups),
            *(f"answer of debconf to {question}" for _, question in self.answers),
        ]


class Host:
    """The host, and what is known of what we did there."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self.known = before.read()
        self._manager = managers.of(module)
        # What is there half counts as there once that is done
        if not module.check_mode and self._manager.was_cut_off():
            self._manager.finish()
        self._packages = needs.installed(module)
        self.is_complete = bool(self.known.get("complete"))

    # What is ours

    def entries(self) -> dict[str, dict[str, Any]]:
        """Everything that we wrote, by path, with what stood there before."""
        found = dict(self.known.get("paths", {}))
        for path in glob.glob(f"{leftovers.MANIFESTS}/*.json"):
            name = os.path.basename(path)[: -len(".json")]
            for each, said in leftovers.read(name).items():
                found.setdefault(each, {**_ABSENT, **said, "wrote": [] if said else ["*"]})
        if not self.is_complete:
            for path in _that_say_so():
                found.setdefault(path, {**_ABSENT, "wrote": ["*"]})
            for top in (top for each in _OURS_BY_NAME for top in glob.glob(each)):
                for folder, _, names in os.walk(top):
                    self.known.setdefault("directories", {})[folder] = None
                    for name in names:
                        found.setdefault(f"{folder}/{name}", {**_ABSENT, "wrote": ["*"]})
        return found

    def owners(self, paths: Iterable[str]) -> dict[str, str]:
        """Packages that have these paths, of those that are installed."""
        wanted = sorted(set(paths))
        found: dict[str, str] = {}
        if isinstance(self._manager, managers.Pacman):
            for path in wanted:
                status, output = run_program(self._module, "pacman", "-Qqo", path)
                if status == 0:
                    found[path] = output.split()[0]
            return found
        for start in range(0, len(wanted), 200):
            part = wanted[start : start + 200]
            output = run_program(self._module, "dpkg-query", "--search", *part)[1]
            for line in output.splitlines():
                names, colon, path = line.partition(": ")
                if colon and not line.startswith(("dpkg-query:", "diversion ")):
                    found[path] = names.split(", ")[0].partition(":")[0]
        return {path: name for path, name in found.items() if name in self._packages}

    def foreign(self, entries: dict[str, Any]) -> dict[str, list[str]]:
        """Sites and hosts of others, by the service that serves them."""
        found: dict[str, list[str]] = {}
        for service, places, serves in (("nginx", _SITES, _SERVES), ("prosody", _HOSTS, _HOST)):
            paths = [path for place in places for path in sorted(glob.glob(place))]
            there = [path for path in paths if path not in entries and os.path.isfile(path)]
            real = {path: os.path.realpath(path) for path in there}
            owned = self.owners(real.values())
            made = self.known.get("made", {})
            theirs = [
                path
                for path in there
                if real[path] not in entries
                and real[path] not in owned
                and path not in made
                and serves.search(files.read(path))
            ]
            if theirs:
                found[service] = theirs
        return found

    def stack(self) -> dict[str, str]:
        """Services of the stack that this host has, and the package of each."""
        paths = {
            name: path
            for name in services.STACK
            for path in (f"/usr/lib/systemd/system/{name}.service", f"/etc/init.d/{name}")
            if os.path.exists(path)
        }
        owned = self.owners(paths.values())
        owned.update(self.owners(path.replace("/usr/lib/", "/lib/", 1) for path in paths.values()))
        by_path = {path.replace("/usr/lib/", "/lib/", 1): name for path, name in owned.items()}
        return {
            name: by_path[path.replace("/usr/lib/", "/lib/", 1)]
            for name, path in paths.items()
            if path.replace("/usr/lib/", "/lib/", 1) in by_path
        }

    def in_use(self, ending: Iterable[str]) -> dict[str, str]:
        """Packages of which a program runs that does not end with services of ours."""
        ours = {f"/{name}.service" for name in ending}
        programs: dict[str, str] = {}
        root = os.stat("/")
        for group, pids in services.processes().items():
            if any(f"{group}/".find(f"{name}/") >= 0 for name in ours):
                continue
            for pid in pids:
                try:
                    if os.path.samestat(os.stat(f"/proc/{pid}/root"), root):
                        programs[os.readlink(f"/proc/{pid}/exe")] = files.read(
                            f"/proc/{pid}/comm"
                        ).strip()
                except OSError:  # it ended, or is the kernel's
                    continue
        paths = {path: path.replace("/usr/", "/", 1) for path in programs}
        owned = self.owners([*paths, *paths.values()])
        return {
            owned.get(path) or owned[other]: f"{programs[path]} runs, which is not ours"
            for path, other in paths.items()
            if path in owned or other in owned
        }

    # What is to be done

    def plan(self) -> Plan:
        """What goes and what stays, from what the host is like now."""
        plan = Plan()
        entries = self.entries()
        plan.foreign = self.foreign(entries)
        self._plan_packages(plan)
        leaving = set(self._manager.files_of(plan.packages))
        self._plan_paths(plan, entries)
        self._plan_data(plan)
        self._plan_made(plan, leaving)
        self._plan_folders(plan, leaving)
        plan.users = [name for name in self.known.get("users", []) if _exists(pwd.getpwnam, name)]
        plan.groups = [
            name
            for name in self.known.get("groups", [])
            if name not in plan.users and _exists(grp.getgrnam, name)
        ]
        plan.answers = [
            each
            for each in self.known.get("answers", [])
            if f"Name: {each[1]}\n" in files.read("/var/cache/debconf/config.dat")
        ]
        plan.holds = sorted(self._manager.ours())
        return plan

    def _plan_packages(self, plan: Plan) -> None:
        ours = [name for name in self.known.get("packages", []) if name in self._packages]
        stack = self.stack()
        ending = [name for name in stack if name not in plan.foreign and stack[name] in ours]
        in_use = self.in_use(ending)
        for service, paths in plan.foreign.items():
            name = stack.get(service)
            if name:
                in_use[name] = f"it serves {', '.join(paths)}, which is not ours"
        stay = needs.needed(self._packages, ours, in_use, self.known.get("there", []))
        plan.packages = [name for name in ours if name not in stay]
        plan.kept.update({f"package {name}": why for name, why in stay.items()})
        if not self.is_complete:
            for name in sorted({*stack.values()} - {*plan.packages}):
                plan.kept.setdefault(
                    f"package {name}", "nobody noted whether it was there before Vestibule"
                )

    def _plan_paths(self, plan: Plan, entries: dict[str, dict[str, Any]]) -> None:
        made = self.known.get("made", {})
        owned = self.owners(path for path in entries if path in made)
        for path, noted in entries.items():
            entry = noted
            if path in made and path not in owned:
                # A script of a package of ours had made what we replaced
                entry = {**_ABSENT, "wrote": [*noted.get("wrote", []), noted["digest"]]}
            if path.startswith(f"{before.HOME}/") or path in self.known.get("data", []):
                continue
            now = before.digest(path)
            if now == entry["digest"]:
                continue
            if now == _ABSENT["digest"]:
                # What came with a package of ours and went since was not there before
                if now in entry.get("wrote", []) and path not in made:
                    plan.paths[path] = entry
            elif _is_ours(path, entry, now):
                plan.paths[path] = entry
            else:
                plan.kept[path] = "somebody changed it"

    def _plan_data(self, plan: Plan) -> None:
        """Folders that are ours alone as a whole, of others what is ours."""
        found: list[str] = []
        fresh = {path for path, was in self.known.get("directories", {}).items() if was is None}
        new = {*self.known.get("made", {}), *fresh}
        for folder in self._params["folders"]:
            if not os.path.isdir(folder):
                continue
            if folder in new and self._is_left_alone(folder, plan):
                found.append(folder)
            else:
                found += self._ours_in(folder)
        for pattern in self._params["logs"]:
            for path in sorted(glob.glob(pattern)):
                is_whole = path in new and self._is_left_alone(path, plan)
                if os.path.isfile(path) or is_whole:
                    found.append(path)
        for path in self.known.get("data", []):
            if os.path.lexists(path) and not any(path.startswith(f"{each}/") for each in found):
                found.append(path)
        plan.data = list(dict.fromkeys(found))

    def _is_left_alone(self, folder: str, plan: Plan) -> bool:
        """Whether no package uses a folder any more, once ours are gone."""
        return not self._stays(self.owners([folder]).get(folder) or _keeper_of(folder), plan)

    def _stays(self, package: str, plan: Plan) -> bool:
        return package in self._packages and package not in plan.packages

    def _ours_in(self, folder: str) -> list[str]:
        """Data of our hosts in a folder of Prosody, and of our certificates in one of certbot."""
        if folder == acme_certificate.HOME:
            return [
                path
                for name in acme_certificate.lineages(self._params["deploy_hook"])
                for path in (
                    f"{folder}/live/{name}",
                    f"{folder}/archive/{name}",
                    f"{folder}/renewal/{name}.conf",
                )
                if os.path.lexists(path)
            ]
        texts = [files.read(path) for path in glob.glob("/etc/prosody/conf.avail/*.cfg.lua")]
        texts += [files.read("/etc/prosody/prosody.cfg.lua")]
        hosts = [host for text in texts if files.MADE_BY in text for host in _HOST.findall(text)]
        found = {f"{folder}/{re.sub('[^0-9A-Za-z]', _escaped, host)}" for host in hosts}
        found |= {f"{folder}/{host}.{kind}" for host in hosts for kind in ("crt", "key")}
        return sorted(path for path in found if os.path.lexists(path))

    def _plan_made(self, plan: Plan, leaving: set[str]) -> None:
        """What programs made, and no package has once ours are gone."""
        gone = {*plan.data, *plan.paths}
        patterns = [path for each in self._params["made"] for path in sorted(glob.glob(each))]
        made = self.known.get("made", {})
        there = [path for path in made if os.path.lexists(path) and path not in leaving]
        owned = self.owners(there)
        for path in [*patterns, *there]:
            inside = any(path == each or path.startswith(f"{each}/") for each in gone)
            owner = owned.get(path) or _keeper_of(path)
            if inside or self._stays(owner, plan) or path in plan.made:
                continue
            if path in made and not self._may_go(path, made[path], leaving):
                continue
            if path in made and path in self.known.get("paths", {}):
                continue  # its own rule holds
            plan.made.append(path)

    def _may_go(self, path: str, kind: str, leaving: set[str]) -> bool:
        """Whether nobody changed what a script of a package made, or it is a state of a program."""
        if os.path.dirname(path) in _STATES:
            return True
        if kind == "directory":
            return False  # where it is empty in the end
        return before.digest(path) == kind or path in leaving

    def _plan_folders(self, plan: Plan, leaving: set[str]) -> None:
        """Folders that would be empty."""
        fresh = [path for path, was in self.known.get("directories", {}).items() if was is None]
        fresh += [path for path, kind in self.known.get("made", {}).items() if kind == "directory"]
        gone = {*plan.paths, *plan.data, *plan.made, *leaving}
        gone -= {path for path, entry in plan.paths.items() if entry["kind"] != "absent"}
        for path in sorted(set(fresh), key=lambda each: each.count("/"), reverse=True):
            if path in leaving:
                plan.empty.append(path)
                continue
            if not os.path.isdir(path) or os.path.islink(path) or path in gone:
                continue
            inside = [f"{path}/{name}" for name in os.listdir(path)]
            if all(each in gone for each in inside) and self._is_left_alone(path, plan):
                gone.add(path)
                plan.folders.append(path)
            elif self.known.get("directories", {}).get(path, 0) is None:
                others = [each for each in inside if each not in gone]
                if others and not any(each in plan.kept for each in others):
                    plan.kept[f"{path}/"] = f"it has {', '.join(others[:5])}"

    # Doing it

    def apply(self, plan: Plan) -> list[str]:
        """Do all of it, in steps that another run can do again. What is to be said."""
        self.ending = self._stop(plan)
        self._bring_back(plan)
        self._untrust(plan)
        kept_in = self._take_data(plan)
        self._release(plan)
        self._purge(plan)
        for path in plan.made:
            files.remove_all(path)
        for path in sorted({*plan.folders, *plan.empty}, reverse=True):
            if os.path.isdir(path) and not os.listdir(path):
                os.rmdir(path)
        self._give_back_modes()
        self._forget_answers(plan)
        said = self._remove_users(plan, kept_in)
        self._restart()
        if self._params["data"] == "purge" and os.path.isdir(self._params["backup"]):
            shutil.rmtree(self._params["backup"])
        for place in (former.PLACE, before.HOME):
            if os.path.isdir(place):
                shutil.rmtree(place)
        if kept_in:
            said.append(f"Data is in {kept_in} now, which root alone reads.")
        return said

    def _tell(self, *words: str) -> None:
        self._module.run_command(["systemctl", *words])

    def _stop(self, plan: Plan) -> dict[str, str]:
        """Stop what goes or did not run before. What becomes of the others, by name."""
        stack = self.stack()
        units = self.known.get("units", {})
        ours = [
            os.path.basename(path)
            for path in plan.paths
            if re.fullmatch(r"/etc/systemd/system/[^/]+\.(timer|path|service)", path)
        ]
        for unit in sorted(ours, key=lambda each: each.endswith(".service")):
            if unit.partition(".")[0] not in services.STACK:
                self._tell("disable", "--now", "--quiet", unit)
        after: dict[str, str] = {}
        for name in reversed(services.STACK):
            if name not in stack:
                if os.path.exists(f"/etc/systemd/system/{name}.service"):
                    self._tell("disable", "--now", "--quiet", name)
                continue
            if f"/etc/systemd/system/{name}.service" in plan.paths:
                self._tell("disable", "--quiet", name)
            was = units.get(name, {"enabled": True, "runs": self.is_complete})
            if stack[name] not in plan.packages and (was["runs"] or name in plan.foreign):
                after[name] = "restart"
            else:
                self._tell("stop", name)
                if stack[name] not in plan.packages and not was["enabled"]:
                    self._tell("disable", "--quiet", name)
        return after

    def _bring_back(self, plan: Plan) -> None:
        """Former files, as one set that the programs that go on accept, or none of it."""
        entries = [
            config_files.entry_of(path, entry, before.body_of(entry))
            for path, entry in plan.paths.items()
        ]
        for entry in entries:
            if config_files.unfinished(entry):
                config_files.undo(entry)
        there = [each for each in entries if os.path.isdir(os.path.dirname(each.path))]
        config_files.apply([], there, self._check)
        for path, was in plan.paths.items():
            if was.get("modified") is not None and os.path.isfile(path):
                os.utime(path, ns=(was["modified"], was["modified"]))

    def _check(self) -> None:
        if "nginx" in self.ending:
            status, output = run_program(self._module, "nginx", "-t")
            if status != 0:
                raise UninstallError(
                    "nginx would not take what stays of its configuration, so nothing of it has "
                    f"changed. It said: {output.strip()[-500:]}"
                )

    def _untrust(self, plan: Plan) -> None:
        went = any("ca-certificates" in path for path in plan.paths)
        if went and self._params["trust_command"] and os.path.exists(_STORE_OF_JAVA):
            status, output = run_program(self._module, *self._params["trust_command"])
            if status != 0:
                self._module.warn(f"The store of Java was not made anew: {output.strip()[-300:]}")

    def _take_data(self, plan: Plan) -> str:
        """Move it where root alone reads, or delete it. Where it was moved."""
        there = [path for path in plan.data if os.path.lexists(path)]
        if self._params["data"] == "purge" or not there:
            for path in there:
                files.remove_all(path)
            return ""
        folder = leftovers.keep([], self._params["backup"])
        for path in there:
            to = folder + path
            os.makedirs(os.path.dirname(to), mode=0o700, exist_ok=True)
            shutil.move(path, to)
        for top, folders, names in os.walk(folder):
            for name in (*folders, *names):
                os.lchown(os.path.join(top, name), 0, 0)
        return folder

    def _release(self, plan: Plan) -> None:
        if plan.holds:
            self._manager.change_holds(set(), set(plan.holds))
        files.remove(managers.HELD_BY_US)

    def _purge(self, plan: Plan) -> None:
        managers.restore_policy()
        ours = self.known.get("packages", [])
        names = [*plan.packages, *self._manager.remains(ours)]
        used = [each[len("package ") :] for each in plan.kept if each.startswith("package ")]
        self._manager.remove(names, needed=[name for name in used if name in ours])

    def _give_back_modes(self) -> None:
        for path, was in self.known.get("directories", {}).items():
            if was is not None and os.path.isdir(path):
                os.chown(path, was["uid"], was["gid"])
                os.chmod(path, was["mode"])

    def _forget_answers(self, plan: Plan) -> None:
        for owner, question in plan.answers:
            run_program(self._module, "debconf-communicate", owner, data=f"UNREGISTER {question}\n")

    def _remove_users(self, plan: Plan, kept_in: str) -> list[str]:
        """Those who have nothing here any more. Of what people changed and stays, root is owner."""
        for path in plan.kept:
            if os.path.isfile(path):
                os.chown(path, 0, 0)
        said = []
        for name in plan.users:
            if not _exists(pwd.getpwnam, name):
                continue
            entry = pwd.getpwnam(name)
            theirs = _belongings(entry.pw_uid, None, kept_in)
            status = 1 if theirs else run_program(self._module, "userdel", name)[0]
            if status != 0:
                what = f"owns {theirs}" if theirs else "has programs that run"
                said.append(f"The user {name} stays, who {what}.")
        for name in [*plan.users, *plan.groups]:
            if _exists(grp.getgrnam, name):
                theirs = _belongings(None, grp.getgrnam(name).gr_gid, kept_in)
                if not theirs:
                    run_program(self._module, "groupdel", name)
        return said

    def _restart(self) -> None:
        """Have those that stay read what is there now, and wait until they listen."""
        self._tell("daemon-reload")
        for name in self.ending:
            self._tell("reset-failed", name)
            self._tell("restart", name)
        end = time.monotonic() + _PATIENCE
        while True:
            down = [
                each.name for each in services.look(self._module, self.ending) if not each.is_up
            ]
            if not down:
                return
            if time.monotonic() >= end:
                raise UninstallError(
                    f"{' and '.join(down)} does not run with the configuration from before. Look at"
                    f" `journalctl -u {down[0]}` on the host, then run this again."
                )
            time.sleep(_POLL)


def _keeper_of(path: str) -> str:
    """The package whose folder of data or logs this is, or is in. An empty text: none's."""
    tops = (top for top in _KEEPERS if path == top or path.startswith(f"{top}/"))
    return next((_KEEPERS[top] for top in tops), "")


def _escaped(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02x}"


def _exists(find: Any, name: str) -> bool:
    try:
        find(name)
    except KeyError:
        return False
    return True


def _is_ours(path: str, entry: dict[str, Any], now: str) -> bool:
    """Whether what stands there is what we wrote."""
    if {now, before.WHATEVER} & {*entry.get("wrote", [])}:
        return True
    return "sha256" in entry and not leftovers.changed_since(path, entry)


def _that_say_so() -> list[str]:
    """Files that say that they are ours, and links to them."""
    found, links = set(), {}
    for top in _WALKED:
        for folder, _, names in os.walk(top):
            for name in names:
                path = f"{folder}/{name}"
                if os.path.islink(path):
                    links[path] = os.path.realpath(path)
                elif (
                    os.path.isfile(path)
                    and os.path.getsize(path) < _LARGEST
                    and files.MADE_BY in files.read(path)
                ):
                    found.add(path)
    return [*sorted(found), *sorted(path for path, to in links.items() if to in found)]


def _belongings(uid: int | None, gid: int | None, kept_in: str) -> str:
    """Something that a user or a group owns, an empty text where there is nothing."""
    for top in _OWNED:
        for folder, folders, names in os.walk(top):
            if kept_in and folder == kept_in:
                folders.clear()
                continue
            for name in (*folders, *names):
                path = f"{folder}/{name}"
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                if status.st_uid == uid or status.st_gid == gid:
                    return path
    return ""


def run(module: AnsibleModule) -> dict[str, Any]:
    """Plan, and where that is no question do it. Returns the result of the task."""
    host = Host(module)
    plan = host.plan()
    removed = plan.lines(module.params["data"] == "keep")
    is_there = bool(host.known) or os.path.isdir(before.HOME)
    result = {
        "changed": bool(removed) or is_there,
        "removed": removed,
        "kept": plan.kept,
        "complete": host.is_complete or not is_there,
        "said": [],
        "diff": {"before": "".join(f"{each}\n" for each in removed), "after": ""},
    }
    if result["changed"] and not module.check_mode:
        result["said"] = host.apply(plan)
    return result


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        module.exit_json(**run(module))
    except (UninstallError, managers.PackageError, OSError) as error:
        module.fail_json(msg=str(error))

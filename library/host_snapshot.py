#!/usr/bin/python
"""Ansible module ``host_snapshot``: keep the state of a host before a change, and go back to it."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import (
    before,
    config_files,
    former,
    managers,
    package_files,
    services,
    snapshots,
)
from ansible.module_utils.vestibule.going_back import Host
from ansible.module_utils.vestibule.managers import Apt, PackageError, Pacman
from ansible.module_utils.vestibule.snapshots import SnapshotError

DOCUMENTATION = r"""
module: host_snapshot
short_description: Keep the state of a host before a change, and go back to it
description:
  - Keeps versions and files of packages, files with owner, mode and time, holds, and which services
    listen where. Goes back to all of that at once. Nothing builtin puts packages back that no
    repository offers any more.
  - A snapshot is undecided until V(accepted) or V(back) ends it. What was cut off meanwhile begins
    with it again, as what is there now is no state to come back to.
  - All of it is in a folder that root alone reads. Nothing of what files hold is returned.
options:
  state:
    description:
      - V(planned) fetches lists of packages, and tells what their new versions would change.
      - V(taken) takes a snapshot, V(back) goes back to one, V(accepted) ends it.
      - V(withdrawn) forgets one whose change has not begun.
      - V(renewed) restarts services that still run the program of a package that changed since.
      - V(listed) tells which there are.
    type: str
    choices: [planned, taken, back, renewed, accepted, withdrawn, listed]
    required: true
  name:
    description: The snapshot. Required to go back. A new one is called by the time without it.
    type: str
    default: ""
  why:
    description: What it is taken for, for people.
    type: str
    default: ""
  towards:
    description: Snapshot to which the change goes back, where it does.
    type: str
    default: ""
  packages:
    description: Packages that the project installs. Those that are there are kept.
    type: list
    elements: str
    default: []
  versions:
    description: Exact versions, those asked for when planned, and all that come when taken.
    type: dict
    default: {}
  trees:
    description: Folders of which all that is in them is kept.
    type: list
    elements: path
    default: []
  files:
    description: Patterns of further files, beside those in the lists of M(config_files).
    type: list
    elements: path
    default: []
  keep:
    description: How many snapshots are kept.
    type: int
    default: 3
  timeout:
    description: Seconds until a service has to listen again.
    type: int
    default: 180
attributes:
  check_mode:
    description: Plans, with lists in a temporary folder, and changes nothing.
    support: full
  diff_mode:
    description: Shows nothing of files, as secrets are among them.
    support: none
"""

EXAMPLES = r"""
- name: Keep what is there
  host_snapshot:
    state: taken
    packages: [prosody]
    trees: [/etc/prosody, /var/lib/prosody]
  register: kept

- name: Go back
  host_snapshot: {state: back, name: "{{ kept.name }}"}
"""

RETURN = r"""
name:
  description: The snapshot, empty where there is none.
  type: str
  returned: success
resumed:
  description: Whether it is the one of a run that was cut off.
  type: bool
  returned: when taken or planned
versions:
  description: Versions that would come, of I(packages), by name.
  type: dict
  returned: when planned
changes:
  description: Each package that would change, with C(name), C(before), C(after) and C(units).
  type: list
  elements: dict
  returned: when planned
held:
  description: Those that stay, as somebody else holds them.
  type: list
  elements: str
  returned: when planned
packages:
  description: Names of packages that are what they were.
  type: list
  elements: str
  returned: after going back
paths:
  description: How many files are what they were.
  type: int
  returned: after going back
proven:
  description: Whether all is as it was, and each service listens where it did.
  type: bool
  returned: after going back
said:
  description: What was done, in sentences.
  type: str
  returned: after going back, and when renewed
snapshots:
  description: >-
    Each with C(name), C(made), C(why), C(versions) of the packages that are kept, and C(trees).
  type: list
  elements: dict
  returned: when listed
default:
  description: The one to go back to where nobody names one.
  type: str
  returned: when listed
"""

_RESERVE = 64 << 20  # bytes that stay free
_UNPACKED = 5  # times that a package is larger once it is there
_MEGA = 1 << 20


def units_of(manager: Apt | Pacman, names: Iterable[str]) -> dict[str, list[str]]:
    """Services of the stack that packages bring, by package."""
    found = {}
    for name in names:
        bases = {
            os.path.basename(path).removesuffix(".service")
            for path in manager.files_of([name])
            if path.endswith(".service") or path.startswith("/etc/init.d/")
        }
        found[name] = [each for each in services.STACK if each in bases]
    return found


def single_files(module: AnsibleModule, manager: Apt | Pacman, names: list[str]) -> list[str]:
    """Paths beside the folders: configuration of packages, what is ours, and what is asked for."""
    of_packages = [path for path in manager.files_of(names) if path.startswith("/etc/")]
    ours = snapshots.listed()
    asked = [path for pattern in module.params["files"] for path in glob.glob(pattern)]
    paths = [
        path
        for path in {*of_packages, *ours, *asked}
        if os.path.islink(path) or not os.path.isdir(path)
    ]
    entries = [config_files.Entry(path, "file") for path in paths]
    cut_off = [path for each in entries for path in (each.staged, each.previous)]
    return sorted({*snapshots.beside(paths), *(each for each in cut_off if os.path.lexists(each))})


def to_keep(
    installed: dict[str, tuple[str, bool]], names: list[str], changes: Iterable[str]
) -> dict[str, str]:
    """Versions of the packages of which a file is kept, by name."""
    return {name: installed[name][0] for name in {*names, *changes} if name in installed}


def existing(path: str) -> str:
    """The path, or the nearest folder above that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def check_space(demands: list[tuple[str, int]]) -> None:
    """Refuse what does not fit. Raises SnapshotError. ``demands`` are folders with bytes."""
    needed: dict[int, int] = {}
    places: dict[int, str] = {}
    for path, size in demands:
        device = os.stat(existing(path)).st_dev
        needed[device] = needed.get(device, 0) + size
        places.setdefault(device, existing(path))
    for device, size in needed.items():
        status = os.statvfs(places[device])
        free = status.f_bavail * status.f_frsize
        if free < size + _RESERVE:
            raise SnapshotError(
                f"{places[device]} has {free // _MEGA} MB free, and {(size + _RESERVE) // _MEGA} MB"
                " are needed for a snapshot and the new versions. Nothing has changed. Make room"
                " there, or keep fewer snapshots (jitsi_upgrade_kept)."
            )


def demand(
    module: AnsibleModule,
    manager: Apt | Pacman,
    wanted: dict[str, str],
    paths: dict[str, dict[str, Any]],
    download: int,
) -> list[tuple[str, int]]:
    """Bytes that a change takes, by folder."""
    new = package_files.not_kept(wanted, snapshots.packages_folder())
    kept = package_files.sizes(module, new, manager) if new else 0
    cache = "/var/cache/apt/archives" if isinstance(manager, Apt) else "/var/cache/pacman/pkg"
    return [
        (snapshots.PLACE, kept + snapshots.size_of(paths)),
        (cache, download),
        ("/usr", _UNPACKED * download),
    ]


def finish(manager: Apt | Pacman) -> None:
    """Configure what an installation left that was cut off, with which apt refuses to go on."""
    if not manager.unfinished():
        return
    try:
        manager.put_back([], [])
    except PackageError as error:
        raise PackageError(
            f"An installation on this host ended half-way, and cannot be finished. {error}"
            " Run playbooks/rollback.yml, which goes back to what was there before."
        ) from None


def plan(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """What new versions would change."""
    if not module.check_mode:
        finish(manager)
        snapshots.prepare()
        snapshots.prune(module.params["keep"])  # there may be room once fewer are kept
        manager.fetch_lists()
        return planned(module, manager)
    with tempfile.TemporaryDirectory(prefix="vestibule-") as folder:
        manager.fetch_lists_aside(folder)
        return planned(module, manager)


def planned(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """The same, by the lists that are there."""
    installed = manager.packages()
    names = [name for name in module.params["packages"] if name in installed]
    held = manager.held_by_others(names)
    pins = module.params["versions"]
    candidates = {**manager.candidates(names), **pins}
    versions = {
        name: candidates[name]
        for name in names
        if name not in held and candidates.get(name, installed[name][0]) != installed[name][0]
    }
    changes, download = manager.plan([f"{name}={version}" for name, version in versions.items()])
    units = units_of(manager, [name for name in changes if name in installed])
    wanted = to_keep(installed, names, changes)
    paths = snapshots.look(module.params["trees"], single_files(module, manager, list(wanted)))
    check_space(demand(module, manager, wanted, paths, download))
    return {
        "changed": False,
        "name": "",
        "resumed": bool(snapshots.undecided()),
        "versions": versions,
        "held": sorted(held),
        "changes": [
            {"name": name, "before": before, "after": after, "units": units.get(name, [])}
            for name, (before, after) in sorted(changes.items())
        ],
    }


def refuse_an_earlier_one(name: str) -> None:
    """Refuse a snapshot that would count as older than one that is there. Raises SnapshotError."""
    latest = next(reversed(snapshots.names()), "")
    if latest and snapshots.order(name) <= snapshots.order(latest):
        raise SnapshotError(
            f"The latest snapshot on this host is {latest}, and this one would be {name}: a clock"
            " was wrong then, or is now. Nothing has changed. Set the clock of this machine right;"
            f" if it is, remove {snapshots.path_of(latest)} on the host."
        )


def take(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """Take a snapshot, or find the one of a run that was cut off."""
    undecided = snapshots.undecided()
    if undecided or module.check_mode:
        return {"changed": not undecided, "name": undecided, "resumed": bool(undecided)}
    name = module.params["name"] or snapshots.new_name()
    refuse_an_earlier_one(name)
    snapshots.prepare()
    snapshots.prune(module.params["keep"], spare=module.params["towards"])
    installed = manager.packages()
    names = [name for name in module.params["packages"] if name in installed]
    versions = module.params["versions"]
    changes, download = manager.plan([f"{name}={version}" for name, version in versions.items()])
    wanted = to_keep(installed, names, changes)
    trees = module.params["trees"]
    paths = snapshots.look(trees, single_files(module, manager, list(wanted)))
    check_space(demand(module, manager, wanted, paths, download))
    kept = package_files.keep(module, manager, wanted, snapshots.packages_folder())
    snapshots.keep_bodies(paths)
    snapshots.write(
        name,
        {
            "made": time.time(),
            "why": module.params["why"],
            "towards": module.params["towards"],
            "versions": {each: version for each, (version, _) in installed.items()},
            "kept": kept,
            "automatic": sorted(set(kept) & set(manager.automatic())),
            "held": sorted(manager.ours()),
            "listeners": services.running(module),
            "trees": trees,
            "paths": paths,
        },
    )
    snapshots.decide_later(name)
    snapshots.prune(module.params["keep"])
    return {"changed": True, "name": name, "resumed": False}


def ours() -> set[str]:
    """Packages that came with installations of ours, those that have just begun among them."""
    return set(before.read().get("packages", []))


def put_packages_back(
    manager: Apt | Pacman, manifest: dict[str, Any], *, whatever_is_new: bool
) -> list[str]:
    """Have all packages that are kept in their former version. Returns those that changed."""
    versions, kept = manifest["versions"], manifest["kept"]
    now = {name: version for name, (version, _) in manager.packages().items()}
    others = [name for name in kept if now.get(name) != versions[name]]
    new = {*now, *manager.unfinished()} - versions.keys()
    # Others may have installed something since, if it was cut off long ago
    of_ours = ours() if whatever_is_new else set(manifest.get("added", []))
    gone = sorted(new & of_ours)
    if not others and not gone and not manager.unfinished():
        return []
    lost = [name for name in others if name not in now]
    folder = snapshots.packages_folder()
    manager.put_back([os.path.join(folder, kept[name]) for name in others], gone)
    manager.set_automatic([name for name in lost if name in manifest.get("automatic", [])])
    now = {name: version for name, (version, _) in manager.packages().items()}
    missing = [f"{name} {versions[name]}" for name in others if now.get(name) != versions[name]]
    if missing:
        raise PackageError(f"{', '.join(missing)} could not be put back.")
    return [*others, *gone]


def without_a_unit(paths: Iterable[str]) -> list[str]:
    """Services whose unit of ours is among these paths, and went.

    A package may have one of its own, which would run the service at the next boot: that of coturn
    relays for everybody.
    """
    units = {f"/etc/systemd/system/{each}.service": each for each in services.STACK}
    return [units[path] for path in paths if path in units and not os.path.lexists(path)]


def go_back(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """Make the host what it was, and look whether it is."""
    name = module.params["name"]
    manifest = snapshots.read(name)
    if module.check_mode:
        return {
            "changed": True,
            "name": name,
            "packages": [],
            "paths": 0,
            "proven": False,
            "said": "",
        }
    undecided = snapshots.undecided()
    if not undecided:
        snapshots.decide_later(name)
    host, problems = Host(module), []
    there = services.look(module, services.STACK)
    for service in reversed(there):
        if service.processes:
            host.tell("stop", service.name)
    done: list[str] = []
    paths: list[str] = []
    held_now = manager.ours()
    try:
        done = put_packages_back(manager, manifest, whatever_is_new=undecided == name)
    except PackageError as error:
        problems.append(str(error))
    try:
        now = single_files(module, manager, list(manifest["kept"]))
        paths = snapshots.restore(manifest["paths"], manifest["trees"], now)
        former.forget()
    except OSError as error:
        problems.append(f"Not all files could be put back: {error}.")
    try:
        manager.change_holds(
            set(manifest["held"]) - manager.held(), held_now - set(manifest["held"])
        )
    except PackageError as error:
        problems.append(str(error))
    host.tell("daemon-reload")
    listeners = manifest["listeners"]
    for each in without_a_unit(paths):
        if each not in listeners:
            host.tell("disable", each)
    order = [each for each in services.STACK if each in listeners]
    for each in order:
        host.tell("reset-failed", each)
        host.tell("start", each)
    missing = host.wait({each: listeners[each] for each in order}, module.params["timeout"])
    if missing:
        problems.append(
            f"{' and '.join(missing)} does not listen where it did: look at"
            f" `journalctl -u {missing[0]}` on the host."
        )
    if not problems and undecided in ("", name):
        if undecided:
            snapshots.write(name, {**manifest, "taken_back": True})
        snapshots.decide()
    return {
        "changed": True,
        "name": name,
        "packages": done,
        "paths": len(paths),
        "proven": not problems,
        "said": render(name, done, paths, problems, order),
    }


def render(
    name: str, packages: list[str], paths: list[str], problems: list[str], running: list[str]
) -> str:
    """What was done and what came of it, for people."""
    number = f"{len(packages)} package{'' if len(packages) == 1 else 's'}"
    amount = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
    if problems:
        return (
            f"The host could not be brought back to the snapshot {name} as a whole."
            f" {' '.join(problems)} Run playbooks/rollback.yml once that is put right."
        )
    return (
        f"The host is back at the snapshot {name} ({number}, {amount})."
        f" {', '.join(running)} listen where they did."
    )


def renew(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """Restart what still runs a program that was there before."""
    name = snapshots.undecided()
    if not name or module.check_mode:
        return {"changed": False, "name": name, "said": ""}
    manifest = snapshots.read(name)
    versions = manifest["versions"]
    changed = [
        each
        for each, (version, _) in manager.packages().items()
        if versions.get(each) not in (None, version)
    ]
    units = {unit for each in units_of(manager, changed).values() for unit in each}
    began = manifest["made"] - (time.time() - time.monotonic())
    host = Host(module)
    stale = [
        each.name
        for each in services.look(module, services.STACK)
        if each.name in units and each.is_up and each.started < began
    ]
    for each in stale:
        host.tell("restart", each)
    missing = host.wait(
        {each: manifest["listeners"][each] for each in stale if each in manifest["listeners"]},
        module.params["timeout"],
    )
    if missing:
        raise SnapshotError(
            f"{' and '.join(missing)} does not listen where it did, in its new version: look at"
            f" `journalctl -u {missing[0]}` on the host."
        )
    return {"changed": bool(stale), "name": name, "said": ", ".join(stale)}


def accept(module: AnsibleModule, manager: Apt | Pacman) -> dict[str, Any]:
    """The change is good."""
    name = snapshots.undecided()
    if not name or module.check_mode:
        return {"changed": False, "name": name}
    manifest = snapshots.read(name)
    new = manager.packages().keys() - manifest["versions"].keys()
    manifest["added"] = sorted(new & ours())
    snapshots.write(name, manifest)
    snapshots.decide()
    snapshots.prune(module.params["keep"])
    return {"changed": False, "name": name}


def withdraw(module: AnsibleModule) -> dict[str, Any]:
    """The change has not begun: forget the snapshot that it has taken."""
    name = snapshots.undecided()
    if name and not module.check_mode:
        os.unlink(snapshots.path_of(name))
        snapshots.decide()
    return {"changed": False, "name": name}


def default_of(there: dict[str, dict[str, Any]], undecided: str) -> str:
    """The snapshot to go back to where nobody names one: the latest, or where going back led to.

    A way back that was cut off, or taken back, began with a snapshot of its own, which is what is
    there now: whoever repeats it means the same one again.
    """
    name = undecided or next(reversed(there), "")
    begun = there.get(name, {})
    towards: str = begun.get("towards", "")
    is_accepted = "added" in begun
    return towards if towards in there and not is_accepted else name


def tell() -> dict[str, Any]:
    """Which there are, the latest last, and the one to go back to."""
    undecided, there = snapshots.undecided(), snapshots.readable()
    return {
        "changed": False,
        "name": undecided,
        "default": default_of(there, undecided),
        "snapshots": [
            {
                "name": name,
                "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(manifest["made"])),
                "why": manifest["why"],
                "versions": {each: manifest["versions"][each] for each in sorted(manifest["kept"])},
                "trees": manifest["trees"],
            }
            for name, manifest in there.items()
        ],
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the task says."""
    if module.params["state"] == "listed":
        return tell()
    if module.params["state"] == "withdrawn":
        return withdraw(module)
    manager = managers.of(module)
    act = {"planned": plan, "taken": take, "back": go_back, "renewed": renew, "accepted": accept}
    return act[module.params["state"]](module, manager)


def main() -> None:
    """Entry point of the module."""
    states = ["planned", "taken", "back", "renewed", "accepted", "withdrawn", "listed"]
    strings = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": states, "required": True},
            "name": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "towards": {"type": "str", "default": ""},
            "packages": strings,
            "versions": {"type": "dict", "default": {}},
            "trees": {"type": "list", "elements": "path", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        module.exit_json(**run(module))
    except (SnapshotError, PackageError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The snapshot does not work: {error}.")


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module ``packages``: install packages in one transaction, without starting them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, managers, package_locks
from ansible.module_utils.vestibule.managers import Apt, PackageError, Pacman

DOCUMENTATION = r"""
module: packages
short_description: Install packages in one transaction, without starting their services
description:
  - Works with apt and with pacman, so that one task serves every platform.
  - Installs what is missing, and another version only where one is asked for. Never upgrades by
    itself, never removes.
  - What the role jitsi_lock holds at another version than one in I(versions) is released for the
    transaction, and held again when it has ended, however it ends. Other holds are respected.
  - No service of the packages starts, as their default configuration may be open to everybody. On
    Debian a C(policy-rc.d) of ours sees to it, and one of the operator's steps aside meanwhile.
    What a run that was cut off left of it is put right, even where nothing is to be installed.
  - A transaction that was cut off, by a crash or a power failure, is finished first, and no service
    starts meanwhile either.
  - Waits up to two minutes while another program holds the lock of the package manager, and says
    which it was.
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
      - C(checked) fails where a version in I(versions) cannot be installed, because somebody
        else holds the package or the repositories of the host have it in other versions only. It
        fetches lists into a temporary folder and changes nothing. A package that no repository has
        is let pass, as its repository may not be there yet.
    type: str
    choices: [present, checked]
    default: present
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

_LOCK_PATIENCE = 120  # seconds for another program that holds the lock
_OURS_PATIENCE = 600  # seconds for an installation of a run that was cut off


def wait_for(paths: Iterable[str], timeout: float) -> tuple[float, str]:
    """Seconds waited for locks, and who held one. Raises PackageError after ``timeout`` seconds."""
    waited, held, holder = package_locks.wait(paths, timeout)
    if held:
        lock = "the lock" if held == package_locks.OURS else "the package manager's lock"
        raise PackageError(
            f"{holder} has held {lock} {held} for {timeout} s. Wait until it"
            " has ended, or end it, then run this again."
        )
    return waited, holder


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
    """Refuse to change what somebody else holds. Raises PackageError."""
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
            f"{name} has to be installed, but somebody else holds it as it is: not installed."
            f" Release it ({remedy}), then run this again."
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
    installed = {name: version for name, (version, _) in manager.packages().items()}
    missing = find_missing(parameters["names"], versions, installed)
    if parameters["state"] == "checked":
        if missing:
            look(missing, installed, manager)
        return {"changed": False, "missing": missing, "waited": 0.0}
    cut_off = manager.was_cut_off()
    if module.check_mode or not (missing or cut_off):
        return told(missing, installed, changed=bool(missing) or cut_off)
    # Of a run that was cut off, whose program goes on
    waited, _ = wait_for([package_locks.OURS], _OURS_PATIENCE)
    with package_locks.held_by_us():
        result = change(module, manager, missing)
    return {**result, "waited": result["waited"] + waited}


def told(missing: list[str], installed: dict[str, str], *, changed: bool) -> dict[str, Any]:
    """The result of the task, before anything is changed or without that."""
    result: dict[str, Any] = {"changed": changed, "missing": missing, "waited": 0.0}
    if not missing:
        return result
    names = [each.partition("=")[0] for each in missing]
    replaced = [f"{name}={installed[name]}\n" for name in names if name in installed]
    diff = {"before": "".join(replaced), "after": "".join(f"{each}\n" for each in missing)}
    return {**result, "diff": diff, "msg": f"Would install {', '.join(missing)}"}


def change(module: AnsibleModule, manager: Apt | Pacman, seen: list[str]) -> dict[str, Any]:
    """Finish what was cut off, and install what is missing then. ``seen`` was missing before."""
    parameters = module.params
    versions = parameters["versions"]
    waited, holder = wait_for(manager.locks, _LOCK_PATIENCE)
    if holder:
        module.warn(f"Waited {waited:.0f} s for {holder}, which was installing packages.")
    cut_off = manager.was_cut_off()
    if cut_off:
        manager.finish()
    installed = {name: version for name, (version, _) in manager.packages().items()}
    missing = find_missing(parameters["names"], versions, installed)
    # What came meanwhile counts, as others still know the host without it
    result = told(missing, installed, changed=cut_off or seen != [])
    if not missing:
        return {**result, "waited": waited}
    if parameters["fresh_lists"] or not manager.are_lists_fresh():
        manager.fetch_lists()
    check_holds(missing, installed, manager)
    check_offers(missing, manager)
    warning = manager.warning()
    if warning:
        module.warn(warning)
    if parameters["answers"]:
        before.note_answers(module, manager.unasked(parameters["answers"]))
        manager.answer(parameters["answers"])
    # All that may change: one of them may need another of its kin in a later version
    ours = {name for name in manager.ours() if versions.get(name) != installed.get(name)}
    with manager.released(ours), before.installing(module, manager.planned(missing)):
        manager.install(missing)
    return {**result, "waited": waited, "msg": f"Installed {', '.join(missing)}"}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "versions": {"type": "dict", "default": {}},
            "answers": {"type": "str", "default": ""},
            "fresh_lists": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "checked"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module, managers.of(module)))
    except PackageError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module ``package_holds``: keep packages from changing, and release them again."""

from __future__ import annotations

import os
import re
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: package_holds
short_description: Keep packages from changing, and release them again
description:
  - Holds packages and remembers which of them nobody held before.
  - Releases those alone. What somebody else holds stays held.
  - apt is told with apt-mark, pacman with C(IgnorePkg) in a file of our own, which one line
    C(Include) at the end of C(pacman.conf) brings in. Both go when nothing is held any more.
options:
  names:
    description: Installed packages that have to be held.
    type: list
    elements: str
    required: true
  record:
    description: File on the host that names the packages that this module holds, one a line.
    type: path
    default: /var/lib/vestibule/held
  path:
    description: File with what pacman ignores.
    type: path
    default: /etc/pacman.d/vestibule-held.conf
  configuration:
    description: The file that includes it.
    type: path
    default: /etc/pacman.conf
attributes:
  check_mode:
    description: Tells what would be held and released.
    support: full
"""

EXAMPLES = r"""
- name: Hold Prosody, and release what an earlier run held besides
  package_holds:
    names: [prosody]
"""

RETURN = r"""
held:
  description: Packages that are held now and were not before.
  type: list
  returned: always
released:
  description: Packages that are no longer held.
  type: list
  returned: always
"""

_ATTEMPTS = 60  # one a second, while another program has dpkg's lock
_HEAD = "# Made by Vestibule, role jitsi_lock. Changes made here are overwritten.\n"


class Apt:
    """What dpkg remembers of each package."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def held(self) -> set[str]:
        """Names of the packages that anybody holds."""
        return set(self._module.run_command(["apt-mark", "showhold"], check_rc=True)[1].split())

    def change(self, hold: set[str], release: set[str]) -> None:
        """Hold some packages and release others."""
        self._mark("hold", hold)
        self._mark("unhold", release)

    def _mark(self, verb: str, names: set[str]) -> None:
        for attempt in range(_ATTEMPTS if names else 0):
            status, out, err = self._module.run_command(["apt-mark", verb, *sorted(names)])
            if status == 0:
                return
            if "lock" not in err or attempt == _ATTEMPTS - 1:
                said = " ".join((out + err).split())
                self._module.fail_json(
                    msg=f"apt-mark cannot {verb} {', '.join(sorted(names))}: {said}"
                )
            time.sleep(1)


class Pacman:
    """What pacman is told to ignore (pacman.conf(5)). Sections may come again, also included."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._path = module.params["path"]
        self._configuration = module.params["configuration"]

    def held(self) -> set[str]:
        """Names of the packages that anybody holds."""
        argv = ["pacman-conf", "--config", self._configuration, "IgnorePkg"]
        return set(self._module.run_command(argv, check_rc=True)[1].split())

    def change(self, hold: set[str], release: set[str]) -> None:
        """Hold some packages and release others."""
        before = read(self._path)
        names = set(re.findall(r"^IgnorePkg = (\S+)$", before, re.MULTILINE))
        names = (names | hold) - release
        if names:  # the file before the line that includes it
            lines = "".join(f"IgnorePkg = {name}\n" for name in sorted(names))
            write(self._path, f"{_HEAD}[options]\n{lines}")
            self._include(True)
        else:
            self._include(False)
            if before:
                os.unlink(self._path)

    def _include(self, present: bool) -> None:
        line = f"Include = {self._path}"
        before = read(self._configuration).splitlines()
        after = [each for each in before if each.strip() != line]
        if (after == before) == present:
            write(self._configuration, "".join(f"{each}\n" for each in [*after, *[line] * present]))


def plan(names: list[str], held: set[str], record: set[str]) -> tuple[set[str], set[str], set[str]]:
    """What to hold, what to release, and what is ours afterwards."""
    ours = record & held
    to_hold = set(names) - held
    to_release = ours - set(names)
    return to_hold, to_release, (ours - to_release) | to_hold


def read(path: str) -> str:
    """What a file holds, nothing where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Replace a file at once, readable for everybody."""
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(new, 0o644)
    os.replace(new, path)


def write_record(path: str, names: set[str]) -> None:
    """Remember what we hold, or remove the file where that is nothing."""
    if names:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write(path, "".join(f"{name}\n" for name in sorted(names)))
    elif os.path.exists(path):
        os.unlink(path)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "record": {"type": "path", "default": "/var/lib/vestibule/held"},
            "path": {"type": "path", "default": "/etc/pacman.d/vestibule-held.conf"},
            "configuration": {"type": "path", "default": "/etc/pacman.conf"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    manager = Apt(module) if module.get_bin_path("apt-mark") else Pacman(module)
    path = module.params["record"]
    record = set(read(path).split())
    to_hold, to_release, ours = plan(module.params["names"], manager.held(), record)
    changed = bool(to_hold or to_release)
    if not module.check_mode:
        # First what is about to be ours: a hold that nobody remembers would stay for ever
        if to_hold:
            write_record(path, record | to_hold)
        if changed:
            manager.change(to_hold, to_release)
        if record != ours or to_hold:
            write_record(path, ours)
    module.exit_json(changed=changed, held=sorted(to_hold), released=sorted(to_release))


if __name__ == "__main__":
    main()

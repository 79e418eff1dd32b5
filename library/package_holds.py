#!/usr/bin/python
"""Ansible module ``package_holds``: keep packages from changing, and release them again."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, managers

DOCUMENTATION = r"""
module: package_holds
short_description: Keep packages from changing, and release them again
description:
  - Holds packages and remembers which of them nobody held before.
  - Releases only those. What somebody else holds stays held.
  - apt is told with apt-mark, pacman with C(IgnorePkg) in a file of our own, which one line
    C(Include) at the end of C(pacman.conf) brings in. Both go when nothing is held any more.
options:
  names:
    description: Installed packages that have to be held.
    type: list
    elements: str
    required: true
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


def plan(names: list[str], held: set[str], record: set[str]) -> tuple[set[str], set[str], set[str]]:
    """What to hold, what to release, and what is ours afterwards."""
    ours = record & held
    to_hold = set(names) - held
    to_release = ours - set(names)
    return to_hold, to_release, (ours - to_release) | to_hold


def write_record(module: AnsibleModule, names: set[str]) -> None:
    """Remember what we hold, or remove the file where that is nothing."""
    if names:
        os.makedirs(os.path.dirname(managers.HELD_BY_US), mode=0o755, exist_ok=True)
        lines = "".join(f"{name}\n" for name in sorted(names))
        files.write(module, managers.HELD_BY_US, lines, 0o644)
    else:
        files.remove(managers.HELD_BY_US)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        manager, record = managers.of(module), managers.recorded()
        to_hold, to_release, ours = plan(module.params["names"], manager.held(), record)
        changed = bool(to_hold or to_release)
        if not module.check_mode:
            # First what is about to be ours: a hold that nobody remembers would stay for ever
            if to_hold:
                write_record(module, record | to_hold)
            if changed:
                manager.change_holds(to_hold, to_release)
            if record != ours or to_hold:
                write_record(module, ours)
    except managers.PackageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, held=sorted(to_hold), released=sorted(to_release))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module ``package_holds``: keep packages from changing, and release them again."""

from __future__ import annotations

import os
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: package_holds
short_description: Keep packages from changing, and release them again
description:
  - Holds packages with apt-mark and remembers which of them nobody held before.
  - Releases those alone. What somebody else holds stays held.
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


def plan(names: list[str], held: set[str], record: set[str]) -> tuple[set[str], set[str], set[str]]:
    """What to hold, what to release, and what is ours afterwards."""
    ours = record & held
    to_hold = set(names) - held
    to_release = ours - set(names)
    return to_hold, to_release, (ours - to_release) | to_hold


def read_record(path: str) -> set[str]:
    """The packages that we hold; none where there is no file."""
    try:
        with open(path, encoding="ascii") as file:
            return set(file.read().split())
    except FileNotFoundError:
        return set()


def write_record(path: str, names: set[str]) -> None:
    """Replace the file at once, or remove it where we hold nothing."""
    if not names:
        if os.path.exists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    new = f"{path}.new"
    with open(new, "w", encoding="ascii") as file:
        file.writelines(f"{name}\n" for name in sorted(names))
    os.chmod(new, 0o644)
    os.replace(new, path)


def mark(module: AnsibleModule, verb: str, names: set[str]) -> None:
    """Have apt-mark hold or unhold packages."""
    if not names:
        return
    for attempt in range(_ATTEMPTS):
        status, out, err = module.run_command(["apt-mark", verb, *sorted(names)])
        if status == 0:
            return
        if "lock" not in err or attempt == _ATTEMPTS - 1:
            said = " ".join((out + err).split())
            module.fail_json(msg=f"apt-mark cannot {verb} {', '.join(sorted(names))}: {said}")
        time.sleep(1)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "record": {"type": "path", "default": "/var/lib/vestibule/held"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    path = module.params["record"]
    record = read_record(path)
    held = set(module.run_command(["apt-mark", "showhold"], check_rc=True)[1].split())
    to_hold, to_release, ours = plan(module.params["names"], held, record)
    changed = bool(to_hold or to_release)
    if not module.check_mode:
        # First what is about to be ours: a hold that nobody remembers would stay for ever
        if to_hold:
            write_record(path, record | to_hold)
        mark(module, "hold", to_hold)
        mark(module, "unhold", to_release)
        if record != ours or to_hold:
            write_record(path, ours)
    module.exit_json(changed=changed, held=sorted(to_hold), released=sorted(to_release))


if __name__ == "__main__":
    main()

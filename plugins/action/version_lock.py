"""Action ``version_lock``: keep the installed versions of packages beside the inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from vestibule.versions import LockError, keep

DOCUMENTATION = r"""
name: version_lock
short_description: Keep the installed versions of packages beside the inventory
description:
  - Compares the versions that a host has with those in a file on the controller, and writes them
    there where asked to. That file can be given to a later run, to install the same again.
  - Refuses versions other than those asked for, but in check mode, which installs nothing.
options:
  path:
    description: The file on the controller.
    type: path
    required: true
  installed:
    description: Version of each package that the host has, by name.
    type: dict
    required: true
  packages:
    description: >-
      Names of the packages to keep, by default all that are installed. Where there are none, the
      file stays as it is.
    type: list
    elements: str
  versions:
    description: Versions asked for, by name of package.
    type: dict
    default: {}
  complete:
    description: >-
      Look at nothing where the host lacks one of the packages, or has it in another version than
      asked for, as before they are installed.
    type: bool
    default: false
  write:
    description: Write the file. Otherwise it is compared alone.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write down the versions that proved good
  version_lock:
    path: "{{ inventory_dir }}/{{ inventory_hostname }}.versions.yml"
    installed: "{{ ansible_facts['vestibule'].packages }}"
    packages: [prosody, jicofo]
    write: true
"""

RETURN = r"""
lock:
  description: Version by name of those packages that are there, sorted.
  type: dict
  returned: success
stale:
  description: Whether the file has, or had, other versions.
  type: bool
  returned: success
"""

_ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "installed": {"type": "dict", "required": True},
    "packages": {"type": "list", "elements": "str"},
    "versions": {"type": "dict", "default": {}},
    "complete": {"type": "bool", "default": False},
    "write": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.versions.keep`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the versions as ``lock``, and as ``stale`` whether the file has others."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        host, path = (task_vars or {})["inventory_hostname"], Path(arguments["path"])
        try:
            return keep(host, path, arguments, check_mode=self._task.check_mode)
        except LockError as error:
            raise AnsibleActionFail(str(error)) from None

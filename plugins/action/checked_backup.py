"""Action ``checked_backup``: look into a backup, and put its secrets beside the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from vestibule.backup_file import BackupError
from vestibule.backups import Place, other_variables, put_beside, summary
from vestibule.set_variables import given_by

DOCUMENTATION = r"""
name: checked_backup
short_description: Look into a backup on the controller, and put its secrets beside the inventory
description:
  - Reads all of a backup, and refuses one that is damaged, cut off, of another server, or has
    anything that must not be written on a server. No host is asked.
  - Puts its secrets and versions beside the inventory where there are none. Others that are there
    are refused.
options:
  path:
    description: The backup, on the controller.
    type: path
    required: true
  paths:
    description: Where a server stores data, with C(*) for anything.
    type: list
    elements: str
    required: true
  domain:
    description: Public name of the server.
    type: str
    required: true
  versions:
    description: File for the versions.
    type: path
    required: true
  set:
    description: Names of the variables that are set.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look into a backup
  checked_backup:
    path: meet.vestibule
    paths: [/var/lib/prosody]
    domain: meet.example.org
    versions: "{{ inventory_dir }}/meet.versions.yml"
    set: [jitsi_domain]
"""

RETURN = r"""
backup:
  description: What it has, without secrets.
  type: dict
  returned: success
other_variables:
  description: Names of variables that had another value when it was made.
  type: list
  elements: str
  returned: success
"""

_ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "paths": {"type": "list", "elements": "str", "required": True},
    "domain": {"type": "str", "required": True},
    "versions": {"type": "path", "required": True},
    "set": {"type": "list", "elements": "str", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.backups.put_beside`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the backup has."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables: Mapping[str, Any] = task_vars or {}
        host, inventory = variables["inventory_hostname"], Path(variables["inventory_dir"])
        place = Place(host, arguments["domain"], inventory, Path(arguments["versions"]))
        path, vault = Path(arguments["path"]), self._loader._vault  # there is no other way to it
        check = self._task.check_mode
        try:
            changed, contents = put_beside(path, vault, place, arguments["paths"], check_mode=check)
        except BackupError as error:
            raise AnsibleActionFail(str(error)) from None
        other = other_variables(contents, given_by(arguments["set"], variables))
        return {"changed": changed, "backup": summary(contents), "other_variables": other}

"""Action ``back_up``: write a backup of a server on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from vestibule.backup_file import BackupError
from vestibule.backups import Place, name_of, take
from vestibule.module_answers import answer
from vestibule.set_variables import given_by

DOCUMENTATION = r"""
name: back_up
short_description: Write a backup of a server on the controller
description:
  - Fetches what is stored on the host, in parts, and writes it with its secrets, versions and the
    variables that were set into one file, encrypted with Ansible Vault. The file has its name once
    it is whole.
options:
  folder:
    description: Where it is written, on the controller.
    type: path
    required: true
  paths:
    description: What is stored on the host, with C(*) for anything.
    type: list
    elements: str
    required: true
  domain:
    description: Public name of the server.
    type: str
    required: true
  versions:
    description: File with the versions that proved good.
    type: path
    required: true
  set:
    description: Names of the variables that were set.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Back up a server
  back_up:
    folder: "{{ inventory_dir }}/.backups"
    paths: [/var/lib/prosody]
    domain: meet.example.org
    versions: "{{ inventory_dir }}/meet.versions.yml"
    set: [jitsi_domain]
"""

RETURN = r"""
backup:
  description: Where it is, and what it has, without secrets.
  type: dict
  returned: success
"""

_ARGUMENTS: dict[str, Any] = {
    "folder": {"type": "path", "required": True},
    "paths": {"type": "list", "elements": "str", "required": True},
    "domain": {"type": "str", "required": True},
    "versions": {"type": "path", "required": True},
    "set": {"type": "list", "elements": "str", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.backups.take`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return where the backup is, and what it has."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables = task_vars or {}
        host, inventory = variables["inventory_hostname"], Path(variables["inventory_dir"])

        def ask(options: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer(self, "stored_data", options, variables)

        path = Path(arguments["folder"]) / name_of(host)
        if self._task.check_mode:
            return {"changed": True, "backup": {"path": str(path)}}
        place = Place(host, arguments["domain"], inventory, Path(arguments["versions"]))
        given = given_by(arguments["set"], variables)
        vault = self._loader._vault  # Ansible gives plugins no other way to the vault passwords
        try:
            made = take(place, arguments["paths"], given, path, vault, ask)
        except BackupError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": True, "backup": made}

"""Action ``bring_back``: put the data of a backup in its place on a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from vestibule import backups
from vestibule.backup_file import BackupError
from vestibule.module_answers import answer

DOCUMENTATION = r"""
name: bring_back
short_description: Put the data of a backup in its place on a server
description:
  - Hands the data over in parts, and has the module M(stored_data) put each folder in the place of
    the one that is there. In check mode nothing is handed over.
options:
  path:
    description: The backup, on the controller, which C(checked_backup) has looked into.
    type: path
    required: true
  copies:
    description: Folder on the host for copies of what is replaced.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Bring the accounts back
  bring_back: {path: meet.vestibule, copies: /var/backups/vestibule}
"""

RETURN = r"""
paths:
  description: Folders and files that were put in place.
  type: list
  elements: str
  returned: success
"""

_ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "copies": {"type": "path", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.backups.bring_back`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what is in place again."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)

        def ask(options: Mapping[str, Any]) -> Mapping[str, Any]:
            return answer(self, "stored_data", options, task_vars)

        if self._task.check_mode:
            return {"changed": True, "paths": []}
        path, vault = Path(arguments["path"]), self._loader._vault  # there is no other way to it
        try:
            paths = backups.bring_back(path, vault, arguments["copies"], ask)
        except BackupError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": True, "paths": paths}

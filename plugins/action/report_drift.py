"""Action ``report_drift``: say what on a host differs from the model, or that nobody could look."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.drift import report

DOCUMENTATION = r"""
name: report_drift
short_description: Say what on a host differs from the model and from the last proven run
description:
  - Compares what the module M(look) and the facts of M(host_probe) say with what is asked for,
    shows a line for each thing that differs, and writes a file for machines.
  - Fails where something differs. Where the host could not be looked at, it counts as unreachable,
    so that the exit code of ansible-playbook tells the two apart, 2 and 4.
options:
  report:
    description: The file on the controller, in JSON.
    type: path
    required: true
  unlooked:
    description: Why the host could not be looked at. Nothing is compared then.
    type: str
    default: ""
  seen:
    description: The fields of C(vestibule.drift.Seen).
    type: dict
    default: {}
  accepted:
    description: Subjects that may differ, with C(*) for anything.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Say that nobody could look
  report_drift:
    report: build/reports/meet-drift.json
    unlooked: The inventory has no secrets.
"""

RETURN = r"""
msg:
  description: How many things differ, and where all of them are written down.
  type: str
  returned: always
"""

_ARGUMENTS: dict[str, Any] = {
    "report": {"type": "path", "required": True},
    "unlooked": {"type": "str", "default": ""},
    "seen": {"type": "dict", "default": {}},
    "accepted": {"type": "list", "elements": "str", "default": []},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.drift`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what differs, as a failure where anything does."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        host = (task_vars or {})["inventory_hostname"]
        return report(arguments, host, display.display)

"""Action ``deploy_alone``: one deployment to a host at a time."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.deployments import describe, holder, is_free, refusal

DOCUMENTATION = r"""
name: deploy_alone
short_description: Have one deployment to a host at a time
description:
  - Refuses to change a host that another run changes, and says whose run that is and since when.
  - One that ended without giving its lease back, by a crash, a signal or a lost connection, is
    known by its process where it ran on this controller, else by its connection and by its time.
  - A look takes nothing. What is taken is what was looked at, so another run in between is noticed.
  - In check mode nothing is taken.
notes:
  - The module M(host_probe) has to have asked the host before.
options:
  state:
    description: V(free) judges what was looked at, without asking the host again.
    type: str
    choices: [free, taken, released]
    required: true
"""

EXAMPLES = r"""
- name: Let no other deployment change this host meanwhile
  deploy_alone: {state: taken}
"""

RETURN = r"""
removed:
  description: What a run had left that was cut off, and that is meant for a moment alone.
  type: list
  elements: str
  returned: where it was taken
"""

_ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["free", "taken", "released"], "required": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.deployments`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Judge, take or give back."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables = task_vars or {}
        host, state = variables["inventory_hostname"], arguments["state"]
        lease = variables["ansible_facts"]["vestibule"]["lease"]
        own = holder()
        if state == "free":
            if not is_free(lease, own):
                raise AnsibleActionFail(refusal(lease, host))
            if lease["holder"] and lease["holder"]["run"] != own["run"]:
                display.warning(f"A run that deployed to {host} was cut off: {describe(lease)}.")
            return {"changed": False}
        told = self._execute_module(
            "deployment_lease",
            module_args={"state": state, "seen": lease["mark"], "holder": own},
            task_vars=variables,
        )
        if told.get("failed") or self._task.check_mode or state == "released" or told["held"]:
            return dict(told)
        if told["lease"]["holder"]:
            raise AnsibleActionFail(refusal(told["lease"], host))
        raise AnsibleActionFail(
            f"Another run deployed to {host} after this one had looked at it. Run this again."
        )

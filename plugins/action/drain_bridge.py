"""Action ``drain_bridge``: let a bridge run empty, with a line for each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.draining import StillThere, drain, duration
from vestibule.module_answers import answer

DOCUMENTATION = r"""
name: drain_bridge
short_description: Let a bridge run empty, or take meetings again
description:
  - Tells a bridge by the module M(bridge_drain) to leave new meetings to others, and waits until
    nobody is on it. Shows how many people are left, whenever that changes.
  - In check mode it tells the bridge nothing and waits for nobody.
options:
  address:
    description: Where its private HTTP listens.
    type: str
    required: true
  port:
    description: TCP port of it.
    type: int
    required: true
  drained:
    description: Whether it shall run empty. Otherwise it takes meetings again.
    type: bool
    required: true
  limit:
    description: Seconds to wait at most.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Let the bridge run empty within an hour
  drain_bridge: {address: 127.0.0.1, port: 8080, drained: true, limit: 3600}
"""

RETURN = r"""
msg:
  description: What came of it, in a sentence.
  type: str
  returned: always
"""

_ARGUMENTS: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "drained": {"type": "bool", "required": True},
    "limit": {"type": "int", "required": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.draining`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a sentence."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        changed = False

        def ask(state: str) -> Mapping[str, Any]:
            nonlocal changed
            where = {"address": arguments["address"], "port": arguments["port"]}
            told = answer(self, "bridge_drain", {**where, "state": state}, variables)
            changed = changed or bool(told.get("changed"))
            return told

        if not arguments["drained"]:
            ask("open")
            return {"changed": changed, "msg": f"The bridge on {host} takes meetings."}
        if self._task.check_mode:
            told = ask("drained")
            message = f"{told['people']} people are on the bridge; in check mode nobody waits."
            return {"changed": changed, "msg": message}
        try:
            took = drain(ask, lambda line: display.display(f"  {host}: {line}"), arguments["limit"])
        except StillThere as error:
            raise AnsibleActionFail(str(error)) from None
        message = f"Nobody is on the bridge of {host} ({duration(took)}). It may be stopped now."
        return {"changed": changed, "msg": message}

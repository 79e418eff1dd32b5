"""Action ``wait_for_empty``: wait until nobody is in a meeting, with a line for each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.draining import StillThere, duration
from vestibule.emptying import SPARE, limit_of, wait
from vestibule.module_answers import answer

DOCUMENTATION = r"""
name: wait_for_empty
short_description: Wait until nobody is in a meeting
description:
  - Asks by the module M(prosody_people) until nobody is there, and fails with a sentence where that
    takes too long. Shows how many people are left, whenever that changes.
  - On request it lets no new meeting begin meanwhile, nor until the change is done. That ends by
    itself. Where it waited in vain, meetings may begin again at once.
  - In check mode it asks once and waits for nobody.
options:
  domain:
    description: Main domain of the meetings, empty where no Prosody runs.
    type: str
    required: true
  limit:
    description: How long to wait at most, such as 30m, a day at most.
    type: str
    required: true
  closed:
    description: Whether no new meeting begins meanwhile.
    type: bool
    default: false
  needed:
    description: Whether people notice what changes. Otherwise nobody is waited for.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Wait for half an hour at most
  wait_for_empty: {domain: meet.example.org, limit: 30m, closed: true}
"""

RETURN = r"""
msg:
  description: What came of it, in a sentence.
  type: str
  returned: always
"""

_ARGUMENTS: dict[str, Any] = {
    "domain": {"type": "str", "required": True},
    "limit": {"type": "str", "required": True},
    "closed": {"type": "bool", "default": False},
    "needed": {"type": "bool", "default": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.emptying`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a sentence."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        try:
            limit = limit_of(arguments["limit"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None

        def ask(state: str = "asked") -> Mapping[str, Any]:
            wish = {"domain": arguments["domain"], "state": state, "seconds": limit + SPARE}
            return answer(self, "prosody_people", wish, variables)

        if not arguments["needed"]:
            return {"changed": False, "msg": "Nobody would notice it, so nobody is waited for."}
        if not arguments["domain"]:
            return {"changed": False, "msg": f"Nobody is on {host}, as no Prosody runs there."}
        if self._task.check_mode:
            told = ask()
            return {
                "changed": arguments["closed"] and not told["closed"],
                "msg": f"{told['people']} people are there; in check mode nobody waits.",
            }
        if arguments["closed"]:
            ask("closed")
        try:
            took = wait(ask, lambda line: display.display(f"  {host}: {line}"), limit)
        except BaseException as error:  # also where somebody interrupts it
            if arguments["closed"]:
                ask("open")
            if isinstance(error, StillThere):
                raise AnsibleActionFail(str(error)) from None
            raise
        return {
            "changed": bool(arguments["closed"]),
            "msg": f"Nobody is in a meeting on {host} ({duration(took)}).",
        }

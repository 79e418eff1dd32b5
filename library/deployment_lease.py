#!/usr/bin/python
"""Ansible module ``deployment_lease``: say on a host who deploys to it, or that nobody does."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import lease, moments

DOCUMENTATION = r"""
module: deployment_lease
short_description: Say on a host who deploys to it, or that nobody does
description:
  - The part of the action M(deploy_alone) that runs on the host. It takes the lease where nobody
    took it since I(seen) was read there, and gives it back where I(holder) has it.
  - Whoever takes it removes what a run left that was cut off, and that is meant for a moment alone.
  - Nothing of a deployment changes by a lease, so the task is not changed by it. Ansible knows no
    lock that ends with a run, and this one has to say whose it is.
options:
  state:
    description: Whether to take it or to give it back.
    type: str
    choices: [taken, released]
    required: true
  seen:
    description: C(mark) of the lease that was looked at.
    type: str
    default: ""
  holder:
    description: Who takes it, C(who), C(where) and what tells one run from another, C(run).
    type: dict
    required: true
attributes:
  check_mode:
    description: Changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Let others deploy again
  deployment_lease:
    state: released
    holder: {who: ada, where: laptop, run: "1"}
"""

RETURN = r"""
held:
  description: Whether I(holder) has it now.
  type: bool
  returned: always
lease:
  description: What there was before.
  type: dict
  returned: always
removed:
  description: What a run had left that was cut off.
  type: list
  elements: str
  returned: always
"""


def run(state: str, seen: str, holder: dict[str, Any]) -> dict[str, Any]:
    """Take the lease or give it back, alone."""
    os.makedirs(os.path.dirname(lease.PLACE), mode=0o700, exist_ok=True)
    with open(f"{lease.PLACE}.lock", "w", encoding="ascii") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        before = lease.look()
        own = before["holder"].get("run") == holder["run"]
        mark = f"{time.time_ns()}"
        if state == "released":
            if own:
                lease.write({"mark": mark})
            return {"changed": False, "held": False, "lease": before, "removed": []}
        if not own and before["mark"] != seen:
            return {"changed": False, "held": False, "lease": before, "removed": []}
        if not own:
            lease.write(
                {
                    "mark": mark,
                    "holder": holder,
                    "since": time.time(),
                    "connection": lease.connection(),
                }
            )
    removed = moments.remove()
    return {"changed": bool(removed), "held": True, "lease": before, "removed": removed}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["taken", "released"], "required": True},
            "seen": {"type": "str", "default": ""},
            "holder": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=bool(moments.left()), held=False, lease={}, removed=[])
    module.exit_json(**run(module.params["state"], module.params["seen"], module.params["holder"]))


if __name__ == "__main__":
    main()

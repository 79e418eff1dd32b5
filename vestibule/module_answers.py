"""What a module on a host answers to an action that asks it in the middle of its own work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail


def answer(
    action: Any, module: str, options: Mapping[str, Any], variables: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The result of the module on the host of ``action``, an ActionBase, with its ``variables``.

    Raises AnsibleActionFail with the module's own words where it fails.
    """
    told = action._execute_module(module, module_args=dict(options), task_vars=variables)
    if told.get("failed"):
        raise AnsibleActionFail(str(told.get("msg")))
    return dict(told)

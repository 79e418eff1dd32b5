"""Action ``rotate_secrets``: one stage of a rotation, in the secrets on the controller."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.rotation import RotationError
from vestibule.rotation.run import step

DOCUMENTATION = r"""
name: rotate_secrets
short_description: Begin or end a stage of a rotation
description:
  - V(begin) looks in the secrets of the host how far its rotation is, says what the next stage is
    and what people notice, and changes the secrets for it. A deployment has to follow.
  - V(end) notes that it has, so that the next run goes on. Where a run is cut off between the two,
    another one does the same stage again.
  - In check mode, and for a status, it only says.
options:
  step:
    description: Which of the two.
    type: str
    choices: [begin, end]
    required: true
  names:
    description: Of I(step=end), C(names) of what I(step=begin) returned.
    type: list
    elements: str
    default: []
  asked:
    description: Of I(step=begin), what the operator gave with C(-e).
    type: dict
    default: {}
  variables:
    description: Names of all variables, to find misspelt ones.
    type: list
    elements: str
    default: []
  options:
    description: Options of the model from P(jitsi_model#filter).
    type: dict
    default: {}
  accounts:
    description: Names of the secrets of accounts by their addresses.
    type: dict
    default: {}
  has_turn:
    description: Whether TURN is deployed.
    type: bool
    default: false
  has_own_secret:
    description: Whether the inventory has the secret of the tokens.
    type: bool
    default: false
  clock_tolerance:
    description: Seconds by which the clock of the host may differ.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Go on with the rotation of the key of the tokens
  rotate_secrets:
    step: begin
    options: "{{ model.options }}"
  register: stage
"""

RETURN = r"""
deploys:
  description: Whether something is to be deployed.
  type: bool
  returned: with step=begin
before:
  description: What was said, in sentences.
  type: list
  elements: str
  returned: with step=begin
after:
  description: What is to be said once it is deployed.
  type: list
  elements: str
  returned: with step=begin
names:
  description: Secrets, or a public key, of which step=end is to be told.
  type: list
  elements: str
  returned: with step=begin
kid:
  description: The key of tokens that is rotated, or empty.
  type: str
  returned: with step=begin
proof:
  description: Name of the secret whose tokens have to be accepted, or empty.
  type: str
  returned: with step=begin
"""

_ARGUMENTS: dict[str, Any] = {
    "step": {"type": "str", "choices": ["begin", "end"], "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "asked": {"type": "dict", "default": {}},
    "variables": {"type": "list", "elements": "str", "default": []},
    "options": {"type": "dict", "default": {}},
    "accounts": {"type": "dict", "default": {}},
    "has_turn": {"type": "bool", "default": False},
    "has_own_secret": {"type": "bool", "default": False},
    "clock_tolerance": {"type": "int", "default": 30},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.rotation.run`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what to deploy and to prove. Never a secret."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        vault = self._loader._vault  # Ansible gives plugins no other way to the vault passwords
        only_say = bool(self._task.check_mode)
        try:
            told = step(arguments, host, variables.get("inventory_dir"), vault, only_say=only_say)
        except RotationError as error:
            raise AnsibleActionFail(str(error)) from None
        if "before" in told:
            display.display("\n".join(told["before"]))
        return told

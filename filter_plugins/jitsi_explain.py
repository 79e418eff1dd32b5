"""Filter ``jitsi_explain``: what a model will deploy, in words for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.model.explain import explain

DOCUMENTATION = r"""
name: jitsi_explain
short_description: Say in words what a model of jitsi_model will deploy
description:
  - Returns the features and why each is on or off, the hosts of Prosody with their purpose, the
    machines that enter meetings, a table of who may do what, the warnings, and the access cases.
options:
  _input:
    description: The model, from P(jitsi_model#filter).
    type: dict
    required: true
  width:
    description: Longest line. Ansible indents what it shows.
    type: int
    default: 91
  login_port:
    description: Port at which Prosody takes the logins of machines on other hosts.
    type: int
    default: 5222
"""

EXAMPLES = r"""
- name: Explain what would be deployed
  ansible.builtin.debug:
    msg: "{{ {'jitsi_domain': 'meet.example.org'} | jitsi_model | jitsi_explain }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def jitsi_explain(model: Any, width: int = 91, login_port: int = 5222) -> list[str]:
    """Ansible's shell around `vestibule.model.explain`."""
    if not isinstance(model, Mapping) or "why" not in model:
        raise AnsibleFilterError("jitsi_explain takes the model that jitsi_model returns.")
    return explain(model, width, login_port)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_explain": checked(jitsi_explain, DOCUMENTATION, AnsibleFilterError)}

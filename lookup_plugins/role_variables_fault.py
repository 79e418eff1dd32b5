"""Lookup ``role_variables_fault``: what is wrong with the roles' variables that somebody set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

try:
    from vestibule.set_variables import fault_of
except ModuleNotFoundError:
    # The filter jitsi_model, which is asked next, says what is wrong
    def fault_of(names: Collection[str], variables: Mapping[str, Any]) -> str:  # noqa: ARG001 — as above
        """Nothing, where nothing can be said."""
        return ""


DOCUMENTATION = r"""
name: role_variables_fault
short_description: What is wrong with the roles' variables that the operator set
description:
  - Returns one sentence about the first variable of a role that the operator set, in whichever
    way, to what it cannot be, or an empty text. No host is asked.
  - A variable whose value is known only later, from facts of the host, is not looked at.
options:
  _terms:
    description: Names of the variables that were set before a playbook worked out any.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: problem | length == 0
    fail_msg: "{{ problem }}"
  vars:
    problem: "{{ lookup('role_variables_fault', *set_before) }}"
"""

RETURN = r"""
_raw:
  description: The sentence, or an empty text.
  type: list
  elements: str
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Finds what the operator set by the variables of the host."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None) -> list[str]:
        """The sentence."""
        return [fault_of(frozenset(terms), variables or {})]

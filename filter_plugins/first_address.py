"""Filter ``first_address``: the first of several texts that is an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.model.deployment import first_address

DOCUMENTATION = r"""
name: first_address
short_description: The first of several texts that is an address which other hosts can reach
description:
  - Names are none, nor are addresses of the loopback, of a link and of all hosts. Empty where none
    is one.
options:
  _input:
    description: Texts, those that count most first.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the address in the inventory, or the one by which the host leaves itself
  ansible.builtin.debug:
    msg: "{{ [ansible_host, ansible_facts['vestibule'].addresses.ipv4] | first_address }}"
"""

RETURN = r"""
_value:
  description: The address.
  type: str
"""


def of_texts(candidates: Sequence[str]) -> str:
    """Ansible's shell around `vestibule.model.deployment.first_address`."""
    return first_address(candidates)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"first_address": checked(of_texts, DOCUMENTATION, AnsibleFilterError)}

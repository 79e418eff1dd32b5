"""Filter ``bridge_mappings``: what a bridge behind NAT says of its addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.bridge_addresses import mappings

DOCUMENTATION = r"""
name: bridge_mappings
short_description: Map public addresses to those of the host, as jvb.conf has them
description:
  - Leaves out what the host has itself, and what is of a version of IP that it has no address of.
options:
  _input:
    description: Addresses that people reach.
    type: list
    elements: str
    required: true
  own:
    description: >-
      Addresses by which the host leaves itself, C(ipv4) and C(ipv6), empty where it has none.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show how a bridge behind NAT is told its address
  ansible.builtin.debug:
    msg: "{{ ['203.0.113.7'] | bridge_mappings(own={'ipv4': '10.0.0.5', 'ipv6': ''}) }}"
"""

RETURN = r"""
_value:
  description: For C(ice4j.harvest.mapping.static-mappings).
  type: list
  elements: dict
  sample: [{local-address: 10.0.0.5, public-address: 203.0.113.7}]
"""


def bridge_mappings(public: Sequence[str], own: Mapping[str, str]) -> list[dict[str, str]]:
    """Ansible's shell around `vestibule.bridge_addresses.mappings`."""
    return mappings(public, own)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"bridge_mappings": checked(bridge_mappings, DOCUMENTATION, AnsibleFilterError)}

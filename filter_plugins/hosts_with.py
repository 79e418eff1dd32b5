"""Filter ``hosts_with``: hosts of an inventory that have a part of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

try:
    from vestibule.arguments import checked
    from vestibule.model.deployment import hosts_with
except ModuleNotFoundError:
    # The first task says what is wrong, where a play has hosts
    def checked(filter_: Any, *_: Any) -> Any:  # type: ignore[misc]
        """The filter as it is."""
        return filter_

    def hosts_with(groups: Mapping[str, Sequence[str]], part: str) -> list[str]:  # noqa: ARG001
        """All hosts."""
        return list(groups["all"])


DOCUMENTATION = r"""
name: hosts_with
short_description: Hosts of an inventory that have a part of a server
description:
  - A host in the groups C(bridges) or C(turn) that is not in C(signalling) has a bridge, a TURN
    server or both. All others have the rest, and these as well where there is no such group, or
    they are in it.
  - Returns a pattern that fits no host where none has the part, since an empty list fits all.
options:
  _input:
    description: The groups of the inventory with their hosts.
    type: dict
    required: true
  part:
    description: >-
      Which part. C(elsewhere) are hosts without the signalling, C(parts) all hosts where there
      are such.
    type: str
    choices: [signalling, bridge, elsewhere, parts]
    required: true
"""

EXAMPLES = r"""
- name: Prove who gets in
  hosts: "{{ groups | hosts_with('signalling') }}"
"""

RETURN = r"""
_value:
  description: Names of hosts, or a pattern for none.
  type: list
  elements: str
"""


def of_inventory(groups: Mapping[str, Sequence[str]], part: str) -> list[str]:
    """Ansible's shell around `vestibule.model.deployment.hosts_with`."""
    return hosts_with(groups, part)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"hosts_with": checked(of_inventory, DOCUMENTATION, AnsibleFilterError)}

"""Filter ``costs_of_change``: what a change costs people in meetings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.costs import describe, noticed

DOCUMENTATION = r"""
name: costs_of_change
short_description: Say what a change costs people in meetings
description:
  - Says which packages change, which services restart or reload, what people notice of that, and
    how many are in meetings now.
positional: looked, people, held, noticed_only
options:
  _input:
    description: Packages that change, as M(host_snapshot) plans it.
    type: list
    elements: dict
    required: true
  looked:
    description: What M(look) has answered, or nothing where nobody looked.
    type: dict
    required: true
  people:
    description: What M(prosody_people) tells, or nothing.
    type: dict
  held:
    description: Packages that somebody else holds.
    type: list
    elements: str
    default: []
  noticed_only:
    description: Whether to say nothing but what people notice.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what it costs
  ansible.builtin.debug:
    msg: "{{ [] | costs_of_change(looked) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""


def costs_of_change(
    changes: Sequence[Mapping[str, Any]],
    looked: Mapping[str, Any],
    people: Mapping[str, Any] | None = None,
    held: Sequence[str] = (),
    noticed_only: bool = False,
) -> list[str]:
    """Ansible's shell around `vestibule.costs`."""
    return noticed(changes, looked) if noticed_only else describe(changes, looked, people, held)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"costs_of_change": checked(costs_of_change, DOCUMENTATION, AnsibleFilterError)}

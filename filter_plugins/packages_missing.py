"""Filter ``packages_missing``: which packages a host lacks, or has in another version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.versions import missing

DOCUMENTATION = r"""
name: packages_missing
short_description: Which packages a host lacks, or has in another version than asked for
description:
  - Keeps the order of the names.
options:
  _input:
    description: Names of packages.
    type: list
    elements: str
    required: true
  installed:
    description: Version of each package that the host has, by name.
    type: dict
    required: true
  versions:
    description: Exact versions, by name, of those that may not have any other.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Install what is missing
  packages:
    names: "{{ ['nginx', 'openssl'] | packages_missing(ansible_facts['vestibule'].packages) }}"
"""

RETURN = r"""
_value:
  description: The names of those to install.
  type: list
  elements: str
"""


def packages_missing(
    names: Iterable[str], installed: Mapping[str, str], versions: Mapping[str, str] | None = None
) -> list[str]:
    """See DOCUMENTATION."""
    return missing(names, installed, versions or {})


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"packages_missing": checked(packages_missing, DOCUMENTATION, AnsibleFilterError)}

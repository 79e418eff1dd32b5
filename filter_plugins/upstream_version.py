"""Filter ``upstream_version``: the number that a program's authors gave what a package brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.versions import upstream_of

DOCUMENTATION = r"""
name: upstream_version
short_description: Say which version of a program a package has, or will have
description:
  - Takes the version from the first mapping that has the package, and leaves out the epoch and what
    the distribution added.
options:
  _input:
    description: Name of the package.
    type: str
    required: true
  known:
    description: Versions by name of package, those that count most first.
    type: list
    elements: dict
    required: true
  default:
    description: The answer where no mapping has the package.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Refuse an old nginx, installed or about to be
  ansible.builtin.assert:
    that: "'nginx' | upstream_version([host.packages, host.candidates]) is version('1.22', '>=')"
  vars:
    host: "{{ ansible_facts['vestibule'] }}"
"""

RETURN = r"""
_value:
  description: Numbers with dots, for example V(1.26.3) of C(1:1.26.3-3+deb13u1).
  type: str
"""


def upstream_version(package: str, known: Sequence[Mapping[str, str]], default: str = "") -> str:
    """Ansible's shell around `vestibule.versions.upstream_of`."""
    return upstream_of(package, known, default)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"upstream_version": checked(upstream_version, DOCUMENTATION, AnsibleFilterError)}

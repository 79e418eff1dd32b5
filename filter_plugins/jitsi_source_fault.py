"""Filter ``jitsi_source_fault``: why packages cannot come from the source that is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.package_sources import fault

DOCUMENTATION = r"""
name: jitsi_source_fault
short_description: Say why Jitsi's packages cannot be installed on a host with Arch
description:
  - Returns one sentence with what to set, or an empty text where it is known where they come from.
options:
  _input:
    description: Names of packages that the host lacks and Arch does not have.
    type: list
    elements: str
    required: true
  repository:
    description: A repository for pacman that has them, V(jitsi_tokens_pacman_repository).
    type: dict
    required: true
  helper:
    description: A helper that builds them from the AUR, V(jitsi_tokens_aur_helper).
    type: dict
    required: true
  host:
    description: Name of the host, for the sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse packages without a source
  ansible.builtin.assert:
    that: problem | length == 0
    fail_msg: "{{ problem }}"
  vars:
    problem: >-
      {{ ['jicofo'] | jitsi_source_fault({}, {'program': 'paru', 'user': 'builder'},
                                         inventory_hostname) }}
"""

RETURN = r"""
_value:
  description: The sentence, or an empty text.
  type: str
"""


def jitsi_source_fault(
    missing: Sequence[str], repository: Mapping[str, Any], helper: Mapping[str, Any], host: str
) -> str:
    """Ansible's shell around `vestibule.package_sources.fault`."""
    return fault(missing, repository, helper, host)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_source_fault": checked(jitsi_source_fault, DOCUMENTATION, AnsibleFilterError)
        }

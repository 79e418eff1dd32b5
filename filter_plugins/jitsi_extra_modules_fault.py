"""Filter ``jitsi_extra_modules_fault``: modules of Prosody that somebody wants and nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.model.modules import extra_modules_fault

DOCUMENTATION = r"""
name: jitsi_extra_modules_fault
short_description: Say which modules of Prosody that an inventory adds are nowhere
description:
  - Prosody itself has many; others have to be among the files of the host or of an archive.
options:
  _input:
    description: Names of modules.
    type: list
    elements: str
    required: true
  files:
    description: Paths of files that may be modules.
    type: list
    elements: str
    required: true
  host:
    description: Name of the host, for the sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse modules that nobody has installed
  ansible.builtin.assert:
    that: problem | length == 0
    fail_msg: "{{ problem }}"
  vars:
    problem: "{{ ['log_auth'] | jitsi_extra_modules_fault(files=[], host=inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The sentence, or an empty text.
  type: str
"""


def jitsi_extra_modules_fault(extra: Iterable[str], files: Iterable[str], host: str) -> str:
    """Ansible's shell around `vestibule.model.modules`."""
    return extra_modules_fault(extra, files, host)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_extra_modules_fault": checked(
                jitsi_extra_modules_fault, DOCUMENTATION, AnsibleFilterError
            )
        }

"""Filter ``served_folder_fault``: why a web server must not serve a folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.model.role_variables import served_folder_fault as fault

DOCUMENTATION = r"""
name: served_folder_fault
short_description: Say why a web server must not serve a folder
description:
  - It must not be a folder of the system, of a program's data or of people, nor be above one.
options:
  _input:
    description: Absolute path of the folder.
    type: str
    required: true
  secret:
    description: More files and folders that must not be in it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse to serve what nobody may read
  ansible.builtin.assert:
    that: "'/usr/share/jitsi-meet' | served_folder_fault | length == 0"
"""

RETURN = r"""
_value:
  description: What is wrong, without the name of the variable; or an empty text.
  type: str
"""


def served_folder_fault(folder: str, secret: Iterable[str] = ()) -> str:
    """Ansible's shell around `vestibule.model.role_variables`."""
    return fault(folder, secret)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "served_folder_fault": checked(served_folder_fault, DOCUMENTATION, AnsibleFilterError)
        }

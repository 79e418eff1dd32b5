"""Filter ``copies_in``: files of the controller as the module config_files takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.copies import entries

DOCUMENTATION = r"""
name: copies_in
short_description: Write files of the controller into a folder of a host, with config_files
description:
  - Returns one entry a file, with its text and the mode V(0644), and keeps their order.
options:
  _input:
    description: Paths on the controller, of files with text in UTF-8.
    type: list
    elements: path
    required: true
  folder:
    description: Folder on the host. The files keep their names.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Copy modules of Prosody
  config_files:
    files: >-
      {{ query('ansible.builtin.fileglob', 'plugins/*.lua')
         | copies_in('/usr/local/share/prosody-plugins') }}
"""

RETURN = r"""
_value:
  description: Entries for O(config_files#module:files).
  type: list
  elements: dict
"""


def copies_in(paths: Iterable[str], folder: str) -> list[dict[str, str]]:
    """Ansible's shell around `vestibule.copies.entries`."""
    try:
        return entries(paths, folder)
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(f"copies_in cannot read a file: {error}") from None


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"copies_in": checked(copies_in, DOCUMENTATION, AnsibleFilterError)}

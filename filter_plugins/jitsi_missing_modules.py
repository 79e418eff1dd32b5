"""Filter ``jitsi_missing_modules``: which modules of the features a plugin tree does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.model.modules import missing_modules, sentence

DOCUMENTATION = r"""
name: jitsi_missing_modules
short_description: Say which modules of the chosen features a tree of Jitsi's plugins lacks
description:
  - Returns one sentence with the modules, the features that need them and what to do, or an empty
    text where nothing is missing.
  - Modules of Prosody itself are left out, and so are those that the operator added.
options:
  _input:
    description: >-
      Who needs each C(module), or a C(module.option) that it has to know, C(needed_by) of the model
      from P(jitsi_model#filter).
    type: dict
    required: true
  files:
    description: Files of the tree. Only their names count, wherever they lie.
    type: list
    elements: str
    required: true
  options:
    description: Options that the modules of the tree read, as C(module.option).
    type: list
    elements: str
    default: []
  ours:
    description: Files that are installed beside the tree.
    type: list
    elements: str
    default: []
  source:
    description: What the tree is, for the sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse an archive without a module
  ansible.builtin.assert:
    that: problem | length == 0
    fail_msg: "{{ problem }}"
  vars:
    problem: >-
      {{ model.needed_by | jitsi_missing_modules(files=archive.files, source='The archive') }}
"""

RETURN = r"""
_value:
  description: The sentence, or an empty text.
  type: str
"""


def jitsi_missing_modules(
    needed_by: Any,
    files: Iterable[str],
    source: str,
    ours: Iterable[str] = (),
    options: Iterable[str] = (),
) -> str:
    """Ansible's shell around `vestibule.model.modules`."""
    return sentence(missing_modules(needed_by, files, ours, options), source)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_missing_modules": checked(
                jitsi_missing_modules, DOCUMENTATION, AnsibleFilterError
            )
        }

"""Filter ``jitsi_missing_modules``: which modules of the features a plugin tree does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from ansible.errors import AnsibleFilterError

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

# Prosody's own modules that features load; 0.12 and 13 both have them (prosody: plugins/).
_PROSODY = frozenset(
    {
        "auth_internal_hashed",
        "bosh",
        "external_services",
        "muc",
        "ping",
        "smacks",
        "websocket",
    }
)
_ALWAYS_ON = ("base", "tokens")


def module_of(path: str) -> str | None:
    """The module that a file is: ``mod_x.lua`` or ``mod_x/mod_x.lua``; None for other files."""
    name = PurePosixPath(path).name
    return name[4:-4] if name.startswith("mod_") and name.endswith(".lua") else None


def missing_modules(
    needed_by: Mapping[str, Iterable[str]],
    files: Iterable[str],
    ours: Iterable[str],
    options: Iterable[str] = (),
) -> dict[str, list[str]]:
    """Modules that are nowhere, and options that those there do not know, with who needs them."""
    there = {module_of(path) for path in [*files, *ours]} | _PROSODY
    known = {*there, *options}
    return {
        need: sorted(features)
        for need, features in sorted(needed_by.items())
        # Of a module that is missing, its options need not be named
        if features and need not in known and ("." not in need or need.partition(".")[0] in there)
    }


def _described(need: str) -> str:
    module, _, option = need.partition(".")
    return f"mod_{module} that knows {option}" if option else f"mod_{module}"


def sentence(missing: Mapping[str, Iterable[str]], source: str) -> str:
    """What the operator has to know. Empty where nothing is missing."""
    if not missing:
        return ""
    listed = ", ".join(
        f"{_described(need)} (for {', '.join(who)})" for need, who in missing.items()
    )
    optional = sorted({name for who in missing.values() for name in who} - set(_ALWAYS_ON))
    choice = (
        f", or do without: take {', '.join(optional)} out of jitsi_features or put it into"
        " jitsi_features_off"
        if optional and all(set(who).isdisjoint(_ALWAYS_ON) for who in missing.values())
        else ""
    )
    return (
        f"{source} lacks Prosody modules that the features need: {listed}. Jitsi's plugins of"
        " August 2026 have them all: upgrade jitsi-meet-prosody, or set jitsi_tokens_source:"
        f" archive with newer plugins{choice}."
    )


def jitsi_missing_modules(
    needed_by: Any,
    files: Iterable[str],
    source: str,
    ours: Iterable[str] = (),
    options: Iterable[str] = (),
) -> str:
    """Ansible's shell around `missing_modules` and `sentence`."""
    if not isinstance(needed_by, Mapping):
        raise AnsibleFilterError(
            f"jitsi_missing_modules takes a mapping, not {type(needed_by).__name__}."
        )
    return sentence(missing_modules(needed_by, files, ours, options), source)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filter by its name."""
        return {"jitsi_missing_modules": jitsi_missing_modules}

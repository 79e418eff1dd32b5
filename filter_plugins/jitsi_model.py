"""Filter ``jitsi_model``: what the operator wants, compiled into one model of the server."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: jitsi_model
short_description: Compile the operator's jitsi_* variables and features into one model
description:
  - Merges the feature files onto the base and returns plain data, touching no host.
  - Lists append without duplicates. A setting may be set by one feature only.
  - Unknown features, misspelt variables, unmet requirements and contradictions are errors that
    name the variable and the remedy. The contradictions are those in C(contradictions.yml) beside
    the folder of the features.
options:
  _input:
    description: The operator's variables, every C(jitsi_*) that is not a role's own.
    type: dict
    required: true
  features:
    description: Folder of the feature files. That of the role C(jitsi_access) by default.
    type: path
  names:
    description: Names of variables to check for misspellings, beside those of the input.
    type: list
    elements: str
    default: []
  known:
    description: Names that belong to roles and are no misspellings.
    type: list
    elements: str
    default: []
  problem_only:
    description: >-
      Return the sentence of the error, or an empty text, instead of the model. For assert, whose
      message is easier to read than that of a failing filter.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what would be deployed
  ansible.builtin.debug:
    msg: "{{ {'jitsi_domain': 'meet.example.org'} | jitsi_model }}"
"""

RETURN = r"""
_value:
  description: >-
    The model. C(features) are the names that are on, C(options) the operator's choices with their
    defaults, C(names) the addresses of this deployment, C(machines) who enters meetings and is no
    person, C(accounts) the accounts and what their passwords are called, C(accounts_off) those of
    features that are off, C(prosody), C(jicofo) and C(web) the
    configuration of each program, C(needed_by) the features that load each Prosody module,
    C(cases) the names of the access cases that prove it. For people, C(why) says of each feature
    why it is on, C(off) of those that are on by default why they are off, C(may) maps actor and
    action to yes, no or a condition in words, and C(warnings) are sentences.
  type: dict
"""

# Ansible loads this file by its path, and its folder is no package
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "roles/jitsi_access"))

from access_model import ModelError
from access_model.features import FEATURES, check_names, load_features
from access_model.model import build_model
from access_model.rules import load_rules


@functools.lru_cache(maxsize=8)
def _compiled(folder: str, given: str) -> dict[str, Any]:
    """The model for ``given`` in JSON. One task reads many parts of the same model."""
    rules = load_rules(str(Path(folder).parent / "contradictions.yml"))
    return build_model(load_features(folder), json.loads(given), rules)


def jitsi_model(
    given: Mapping[str, Any],
    features: str = FEATURES,
    names: Iterable[str] = (),
    known: Iterable[str] = (),
    problem_only: bool = False,
) -> dict[str, Any] | str:
    """Ansible's shell around `build_model`."""
    if not isinstance(given, Mapping):
        raise AnsibleFilterError(f"jitsi_model takes a mapping, not {type(given).__name__}.")
    try:
        check_names(load_features(str(features)), names, known)
        model = _compiled(str(features), json.dumps(given, default=repr))
    except ModelError as error:
        if problem_only:
            return str(error)
        raise AnsibleFilterError(str(error)) from error
    return "" if problem_only else model


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_model": jitsi_model}

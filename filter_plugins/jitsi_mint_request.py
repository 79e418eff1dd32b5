"""Filter ``jitsi_mint_request``: what mint.yml is asked for, checked and with its types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.tokens.request import RequestError, read

DOCUMENTATION = r"""
name: jitsi_mint_request
short_description: Check what a token is asked for on the command line
description:
  - Returns the values with the types that P(jitsi_jwt#filter) takes, and defaults for what is left
    out. A value that would have to be changed to fit is an error.
options:
  _input:
    description: >-
      What is asked for, C(room) and where given C(moderator), C(lifetime), C(display_name),
      C(tenant) and C(features), names with commas between them.
    type: dict
    required: true
  options:
    description: The options of the model from P(jitsi_model#filter).
    type: dict
    required: true
  names:
    description: Names of all variables, of which none may be one of these misspelt.
    type: list
    elements: str
    default: []
  problem_only:
    description: Return the sentence of the error, or an empty text, instead of the request.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Check what is asked for
  ansible.builtin.assert:
    that: problem | length == 0
    fail_msg: "{{ problem }}"
  vars:
    problem: >-
      {{ {'room': 'standup', 'lifetime': '600'}
         | jitsi_mint_request(options=model.options, problem_only=true) }}
"""

RETURN = r"""
_value:
  description: >-
    C(room), C(tenant), C(moderator), C(role) in words, C(lifetime) in seconds, C(display_name), and
    C(features) as a mapping to true.
  type: dict
"""


def jitsi_mint_request(
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    names: Iterable[str] = (),
    problem_only: bool = False,
) -> dict[str, Any] | str:
    """Ansible's shell around `vestibule.tokens.request.read`."""
    try:
        request = read(given, options, names)
    except RequestError as error:
        if problem_only:
            return str(error)
        raise AnsibleFilterError(str(error)) from None
    return "" if problem_only else request


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_mint_request": checked(jitsi_mint_request, DOCUMENTATION, AnsibleFilterError)
        }

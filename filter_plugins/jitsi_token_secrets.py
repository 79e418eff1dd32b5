"""Filter ``jitsi_token_secrets``: the secrets of the keys that sign tokens, by kid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.tokens.key_file import secrets_by_kid

DOCUMENTATION = r"""
name: jitsi_token_secrets
short_description: The secrets of the keys that sign tokens
description:
  - Returns the secret of each key that has one. The model has none of them.
options:
  _input:
    description: The option C(token_keys) of the model from P(jitsi_model#filter).
    type: list
    elements: dict
    required: true
  given:
    description: V(jitsi_token_keys) as the operator wrote it.
    type: list
    elements: dict
    required: true
  named:
    description: Secrets of the store by name, for keys with C(secret_name).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Have the secrets at hand
  ansible.builtin.set_fact:
    secrets: >-
      {{ model.options.token_keys
         | jitsi_token_secrets(given=jitsi_token_keys,
                               named={'token_key_1': lookup('vestibule_secret', 'token_key_1')}) }}
  no_log: true
"""

RETURN = r"""
_value:
  description: Secret by kid.
  type: dict
"""


def jitsi_token_secrets(
    keys: Sequence[Mapping[str, Any]],
    given: Sequence[Mapping[str, Any]],
    named: Mapping[str, str],
) -> dict[str, str]:
    """Ansible's shell around `vestibule.tokens.key_file.secrets_by_kid`."""
    return secrets_by_kid(keys, given, named)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_token_secrets": checked(jitsi_token_secrets, DOCUMENTATION, AnsibleFilterError)
        }

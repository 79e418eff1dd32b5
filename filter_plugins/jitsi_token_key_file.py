"""Filter ``jitsi_token_key_file``: the file of keys that Prosody's mod_token_keys reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.rotation.state import Rotations
from vestibule.tokens.key_file import key_file

DOCUMENTATION = r"""
name: jitsi_token_key_file
short_description: Render the file of keys that sign tokens
description:
  - Returns the text of the file that C(mod_token_keys) of Prosody reads, the keys and what is
    revoked. It has secrets.
options:
  _input:
    description: The options of the model from P(jitsi_model#filter).
    type: dict
    required: true
  secrets:
    description: Secrets of keys by kid, from P(jitsi_token_secrets#filter).
    type: dict
    required: true
  secret:
    description: The one secret, for a deployment without V(jitsi_token_keys).
    type: str
    required: true
  rotations:
    description: What else verifies, from P(vestibule_rotations#lookup).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the keys
  config_files:
    files:
      - path: /etc/vestibule/tokens/keys.json
        content: >-
          {{ model.options | jitsi_token_key_file(secrets=secrets, secret=token_secret,
                                                  rotations=lookup('vestibule_rotations')) }}
        group: prosody
        mode: "0640"
        secret: true
  no_log: true
"""

RETURN = r"""
_value:
  description: JSON, as the header of C(mod_token_keys) describes it.
  type: str
"""


def jitsi_token_key_file(
    options: Mapping[str, Any],
    secrets: Mapping[str, str],
    secret: str,
    rotations: Mapping[str, Any],
) -> str:
    """Ansible's shell around `vestibule.tokens.key_file.key_file`."""
    return key_file(options, secrets, secret, Rotations(**rotations))


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "jitsi_token_key_file": checked(jitsi_token_key_file, DOCUMENTATION, AnsibleFilterError)
        }

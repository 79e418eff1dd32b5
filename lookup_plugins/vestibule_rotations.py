"""Lookup ``vestibule_rotations``: what the secrets of a host have beside what signs and logs in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from vestibule.rotation import RotationError
from vestibule.rotation.run import told

DOCUMENTATION = r"""
name: vestibule_rotations
short_description: Former and next secrets of this host
description:
  - Returns what C(playbooks/rotate.yml) left in the secrets of the host the task is for, beside the
    secrets themselves (P(vestibule_secret#lookup)). Makes none and changes none.
  - Where there is no store of secrets, or no inventory beside which one could be, nothing was
    rotated.
options:
  _terms:
    description: None.
  host:
    description: Another host of the inventory whose secrets are meant. Empty, the one of the task.
    type: str
    default: ""
notes:
  - What it returns has secrets.
"""

EXAMPLES = r"""
- name: Write the keys of tokens, the former ones as well
  ansible.builtin.set_fact:
    keys: >-
      {{ options | jitsi_token_key_file(secrets=secrets, secret=secret,
                                        rotations=lookup('vestibule_rotations')) }}
  no_log: true
"""

RETURN = r"""
_raw:
  description:
    - One mapping. C(count) says how often something was rotated; C(app_secret) is what Jitsi's own
      modules know, empty where that is the key of the tokens; C(verifying) has by the name of a
      secret what verifies beside it, each with the time at which it ends; C(withdrawn) has the
      times of public keys by kid; C(turn_former) is empty where nothing of TURN is former; and
      C(changing) are passwords that the host may still have.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Finds the store by the variables of the host, and the password by the loader of the play."""

    def run(
        self, _terms: list[Any], variables: Mapping[str, Any] | None = None, host: str = ""
    ) -> list[dict[str, Any]]:
        """The mapping, in a list as lookups have it."""
        given = variables or {}
        vault = self._loader._vault  # Ansible gives plugins no other way to the vault passwords
        try:
            whose = host or given.get("inventory_hostname", "")
            return [told(whose, given.get("inventory_dir"), vault)]
        except RotationError as error:
            raise AnsibleLookupError(str(error)) from None

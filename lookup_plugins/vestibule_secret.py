"""Lookup ``vestibule_secret``: a random secret of one host, made once and kept by the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from vestibule.secret_store import SecretError, secrets_of

DOCUMENTATION = r"""
name: vestibule_secret
short_description: A random secret of this host, made once and kept beside the inventory
description:
  - Returns the secret of that name of the host the task is for. On first use it is made of 32
    random bytes, written as 43 letters of base64url. No secret is derived from another.
  - The secrets of a host are kept in C(.secrets/<inventory_hostname>.yml) in the directory of the
    inventory, readable by its owner alone. Keep that file, nothing else has what it holds.
  - With a vault password configured, the file is encrypted with Ansible Vault, under the identity
    of C(vault_encrypt_identity) or else the first one. A file in clear text is encrypted by the
    first run that has a password.
  - Without a vault password, git is told to ignore the directory.
  - Where the variable C(vestibule_secrets) is V(read), as in playbooks that only read, a missing
    secret is an error. Where it is V(ask), it is an empty text, and nothing is written.
  - Check mode makes missing secrets as well, so that it can render what needs them.
  - A file or folder that is there and holds nothing, is cut off, or leads nowhere is an error, and
    no reason to make secrets, as a server may live with what it held. So is a secret that can be
    guessed, and one whose name is misspelt.
options:
  _terms:
    description: Names of the secrets. Small letters, digits and underscores.
    type: list
    elements: str
    required: true
  host:
    description: Another host of the inventory whose secret it is. Empty, the one the task is for.
    type: str
    default: ""
notes:
  - To bring a secret of your own, define the variable whose default calls this lookup.
  - To replace a secret, run C(playbooks/rotate.yml).
  - A secret has 32 characters or more. Without what it repeats, names of the server, common words
    and rows of keys, 16 of them are left, and 8 of these differ.
"""

EXAMPLES = r"""
- name: Set the password of an account
  prosody_account:
    accounts:
      - jid: focus@auth.meet.example.org
        password: "{{ lookup('vestibule_secret', 'focus_password') }}"
  no_log: true
  diff: false
"""

RETURN = r"""
_raw:
  description: The secrets, in the order of their names.
  type: list
  elements: str
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Finds the store by the variables of the host, and the password by the loader of the play."""

    def run(
        self, terms: list[Any], variables: Mapping[str, Any] | None = None, host: str = ""
    ) -> list[str]:
        """The secrets of these names."""
        given = variables or {}
        whose, inventory = host or given.get("inventory_hostname"), given.get("inventory_dir")
        vault = self._loader._vault  # Ansible gives plugins no other way to the vault passwords
        try:
            return secrets_of(whose, inventory, terms, vault, given)
        except SecretError as error:
            raise AnsibleLookupError(str(error)) from None

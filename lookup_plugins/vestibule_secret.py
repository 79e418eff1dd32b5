"""Lookup ``vestibule_secret``: a random secret of one host, made once and kept by the inventory."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.vault import VaultLib, match_encrypt_secret
from ansible.plugins.lookup import LookupBase

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
  - Check mode makes missing secrets as well, so that it can render what needs them.
options:
  _terms:
    description: Names of the secrets. Small letters, digits and underscores.
    type: list
    elements: str
    required: true
notes:
  - To bring a secret of your own, define the variable whose default calls this lookup.
  - To replace a secret, delete its line from the file and deploy.
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

SECRET_BYTES = 32
HEADER = """\
# Secrets of {host}, made by Vestibule. Nothing else has a copy: keep this file.
# Delete a line and deploy to replace that secret by a new one.
"""
IGNORE_ALL = "# Without Ansible Vault these files are in clear text, so they stay here.\n*\n"


def secret(folder: Path, host: str, name: str, vault: VaultLib) -> str:
    """The secret `name` of `host`, made now if the store in `folder` does not have it.

    Raises AnsibleLookupError with the remedy where the store cannot be used.
    """
    store = folder / f"{host}.yml"
    known, sealed = read(store, vault)
    if name not in known or not sealed:
        folder.mkdir(mode=0o700, exist_ok=True)
        with locked(folder):
            known, _ = read(store, vault)  # another process may have been quicker
            known.setdefault(name, secrets.token_urlsafe(SECRET_BYTES))
            write(store, HEADER.format(host=host) + yaml.safe_dump(known, sort_keys=False), vault)
    return known[name]


def read(store: Path, vault: VaultLib) -> tuple[dict[str, str], bool]:
    """The secrets by name, and whether the file is kept as it should be."""
    try:
        content, mode = store.read_bytes(), store.stat().st_mode
    except FileNotFoundError:
        return {}, False
    encrypted = vault.is_encrypted(content)
    if encrypted:
        content = decrypt(store, content, vault)
        sealed = True
    else:
        sealed = not vault.secrets and not mode & 0o077
    return parse(store, content), sealed


def decrypt(store: Path, content: bytes, vault: VaultLib) -> bytes:
    """The clear text of an encrypted store."""
    if not vault.secrets:
        raise AnsibleLookupError(
            f"{store} is encrypted with Ansible Vault and no vault password is configured. "
            "Give it with --vault-password-file or --ask-vault-pass."
        )
    try:
        clear: bytes = vault.decrypt(content)
    except AnsibleError:
        raise AnsibleLookupError(
            f"{store} does not open with the vault password that is configured. Give the one it "
            "was encrypted with, or restore the file from a backup."
        ) from None
    return clear


def parse(store: Path, content: bytes) -> dict[str, str]:
    """The secrets in the clear text. Errors name places and types, never what stands there."""
    remedy = "Restore it from a backup, or correct it: one `name: value` a line."
    try:
        known = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise AnsibleLookupError(f"{store} is no YAML{where}. {remedy}") from None
    if known is None:
        return {}
    if not isinstance(known, dict):
        raise AnsibleLookupError(
            f"{store} holds a {type(known).__name__} instead of names and values. {remedy}"
        )
    for name, value in known.items():
        if not isinstance(value, str) or not value:
            kind = "empty" if value == "" else f"of type {type(value).__name__}"
            raise AnsibleLookupError(
                f"{store}: {name} is {kind}. Put a text in quotes, or delete the line to have a "
                "new one made."
            )
    return known


def write(store: Path, content: str, vault: VaultLib) -> None:
    """Replace the store at once, encrypted where a vault password is configured.

    Call it with the folder locked: the name of the new file is always the same.
    """
    data = content.encode()
    if vault.secrets:
        identity, password = match_encrypt_secret(
            vault.secrets, encrypt_vault_id=constants.DEFAULT_VAULT_ENCRYPT_IDENTITY
        )
        data = vault.encrypt(data, password, identity)
    else:
        (store.parent / ".gitignore").write_text(IGNORE_ALL, encoding="utf-8")
    new = store.with_name(f".{store.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(store)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out while one changes a store. The kernel unlocks after a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Finds the store by the variables of the host, and the password by the loader of the play."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None) -> list[str]:
        """The secrets of these names."""
        variables = variables or {}
        host, directory = variables.get("inventory_hostname"), variables.get("inventory_dir")
        if not host or not directory:
            raise AnsibleLookupError(
                f"{host or 'This host'} is in no inventory file, and secrets are kept beside that. "
                "Run with -i inventory/<name>/hosts.yml."
            )
        if "/" in host or host.startswith("."):
            raise AnsibleLookupError(
                f"The inventory name {host} cannot be the name of a file. Use a plain name, and "
                "put the address into ansible_host."
            )
        for name in terms:
            if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
                raise AnsibleLookupError(
                    f"{name!r} cannot be the name of a secret. Use small letters, digits and "
                    "underscores, e.g. token_secret."
                )
        folder = Path(directory) / ".secrets"
        vault = self._loader._vault  # Ansible gives plugins no other way to the vault passwords
        try:
            return [secret(folder, host, name, vault) for name in terms]
        except OSError as error:
            raise AnsibleLookupError(
                f"The secrets of {host} cannot be kept: {error.filename}: {error.strerror}. "
                "Run as the user who owns the inventory, or correct the permissions."
            ) from None

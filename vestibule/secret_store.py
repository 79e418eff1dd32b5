"""A random secret of one host, made once and kept by the inventory."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, match_encrypt_secret

SECRET_BYTES = 32
HEADER = """\
# Secrets of {host}, made by Vestibule. Nothing else has a copy: keep this file.
# Delete a line and deploy to replace that secret by a new one.
"""
IGNORE_ALL = "# Without Ansible Vault these files are in clear text, so they stay here.\n*\n"


class SecretError(ValueError):
    """The secrets cannot be had. The message names files, places and types, never a secret."""


def secrets_of(
    host: str | None, inventory: str | None, names: Iterable[Any], vault: VaultLib
) -> list[str]:
    """The secrets of a host by these names, those that it lacks made now.

    They are kept in ``.secrets`` in the folder of the inventory. Raises SecretError.
    """
    if not host or not inventory:
        raise SecretError(
            f"{host or 'This host'} is in no inventory file, and secrets are kept beside that. "
            "Run with -i inventory/<name>/hosts.yml."
        )
    if "/" in host or host.startswith("."):
        raise SecretError(
            f"The inventory name {host} cannot be the name of a file. Use a plain name, and "
            "put the address into ansible_host."
        )
    names = list(names)
    for name in names:
        if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise SecretError(
                f"{name!r} cannot be the name of a secret. Use small letters, digits and "
                "underscores, e.g. token_secret."
            )
    try:
        return [secret(Path(inventory) / ".secrets", host, name, vault) for name in names]
    except OSError as error:
        raise SecretError(
            f"The secrets of {host} cannot be kept: {error.filename}: {error.strerror}. "
            "Run as the user who owns the inventory, or correct the permissions."
        ) from None


def secret(folder: Path, host: str, name: str, vault: VaultLib) -> str:
    """The secret `name` of `host`, made now if the store in `folder` does not have it.

    Raises SecretError with the remedy where the store cannot be used.
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
        raise SecretError(
            f"{store} is encrypted with Ansible Vault and no vault password is configured. "
            "Give it with --vault-password-file or --ask-vault-pass."
        )
    try:
        clear: bytes = vault.decrypt(content)
    except AnsibleError:
        raise SecretError(
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
        raise SecretError(f"{store} is no YAML{where}. {remedy}") from None
    if known is None:
        return {}
    if not isinstance(known, dict):
        raise SecretError(
            f"{store} holds a {type(known).__name__} instead of names and values. {remedy}"
        )
    for name, value in known.items():
        if not isinstance(value, str) or not value:
            kind = "empty" if value == "" else f"of type {type(value).__name__}"
            raise SecretError(
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

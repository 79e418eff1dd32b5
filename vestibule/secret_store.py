"""A random secret of one host, made once and kept by the inventory."""

from __future__ import annotations

import difflib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vestibule.secret_strength import weakness
from vestibule.values import type_name

if TYPE_CHECKING:
    from ansible.parsing.vault import VaultLib

SECRET_BYTES = 32
PUBLIC = ("jitsi_domain", "jitsi_token_issuer", "jitsi_token_audience")
# Variable that says what becomes of a secret that is not there: read refuses, ask gets an empty
# text, and without it one is made
MODE = "vestibule_secrets"
HEADER = """\
# Secrets of {host}, made by Vestibule. Nothing else has a copy: keep this file.
# To replace a secret by a new one, run playbooks/rotate.yml.
# The last line tells that nothing is missing.
"""
END = "# End.\n"
# Without the flag a run refuses a file that has other secrets than the server
DEPLOY = "deploy with -e jitsi_history_new_keys=true"
NEW = (
    f"Delete it, and {DEPLOY}, only to have new secrets made, which cuts off every link and"
    " application that uses the old ones."
)
LONGEST_HOST = 200  # characters, as file names are made of it, and have 255 at most
_NEAR = 0.85  # of difflib: recorder_password and focus_password are at 0.65
IGNORE_ALL = "# Without Ansible Vault these files are in clear text, so they stay here.\n*\n"


class SecretError(ValueError):
    """The secrets cannot be had. The message names files, places and types, never a secret."""


class NoPasswordError(SecretError):
    """The secrets are encrypted, and no password is known. ``fault`` says it without a remedy."""

    def __init__(self, store: Path) -> None:
        self.fault = f"{store} is encrypted with Ansible Vault and no vault password is configured."
        super().__init__(
            f"{self.fault} Give it with --vault-password-file or --ask-vault-pass, or name its "
            "file in ANSIBLE_VAULT_PASSWORD_FILE."
        )


def store_of(host: str | None, inventory: str | None) -> Path:
    """Where the secrets of a host are. Raises SecretError."""
    if not host or not inventory:
        raise SecretError(
            f"{host or 'This host'} is in no inventory file, and secrets are kept beside that. "
            "Run with -i inventory/<name>/hosts.yml."
        )
    if "/" in host or host.startswith(".") or len(host.encode()) > LONGEST_HOST:
        raise SecretError(
            f"The inventory name {host} cannot be the name of a file. Use a plain name of at most "
            f"{LONGEST_HOST} characters, and put the address into ansible_host."
        )
    return Path(inventory) / ".secrets" / f"{host}.yml"


def secrets_of(
    host: str | None,
    inventory: str | None,
    names: Iterable[Any],
    vault: VaultLib,
    variables: Mapping[str, Any],
) -> list[str]:
    """The secrets of a host by these names, those that it lacks made now.

    They are kept in ``.secrets`` in the folder of the inventory. None may be made of what everybody
    knows by the ``variables`` of the host. Raises SecretError.
    """
    store = store_of(host, inventory)
    host = store.stem
    names = list(names)
    for name in names:
        if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise SecretError(
                f"{name!r} cannot be the name of a secret. Use small letters, digits and "
                "underscores, e.g. token_secret."
            )
    try:
        find = {"read": kept, "ask": kept_or_none}.get(str(variables.get(MODE)), secret)
        found = [find(store, host, name, vault) for name in names]
    except OSError as error:
        raise SecretError(
            f"The secrets of {host} cannot be kept: {error.filename}: {error.strerror}. "
            "Run as the user who owns the inventory, or correct the permissions."
        ) from None
    public = [host, *(variables[name] for name in PUBLIC if isinstance(variables.get(name), str))]
    for name, value in zip(names, found, strict=True):
        weak = value and weakness(value, public)
        if weak:
            raise SecretError(
                f"{store}: {name} {weak}. Restore the file from a backup; or delete the line and "
                f"{DEPLOY} to have a new one made, which cuts off whoever uses the old one."
            )
    return found


def secret(store: Path, host: str, name: str, vault: VaultLib) -> str:
    """The secret `name` of `host`, made now if its store does not have it.

    Raises SecretError with the remedy where the store cannot be used: what is there and says
    nothing is a question, as live servers have what it held.
    """
    known, sealed = read(store, vault)
    if name not in known or not sealed:
        with locked(store.parent.parent):
            known, _ = read(store, vault)  # another process may have been quicker
            if name not in known:
                refuse_misspelt(store, name, known)
                refuse_empty(store.parent)
            store.parent.mkdir(mode=0o700, exist_ok=True)
            known.setdefault(name, secrets.token_urlsafe(SECRET_BYTES))
            content = yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
            write(store, HEADER.format(host=host) + content + END, vault)
    return known[name]


def changed(
    store: Path, host: str, vault: VaultLib, change: Callable[[dict[str, str]], Any]
) -> Any:
    """Change the secrets at once, by a function that gets them, and return what it returns.

    Nothing is written where it changes nothing. Raises SecretError, and OSError.
    """
    with locked(store.parent.parent):
        known, _ = read(store, vault)
        before = dict(known)
        result = change(known)
        if known != before:
            content = yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
            write(store, HEADER.format(host=host) + content + END, vault)
    return result


def kept_or_none(store: Path, _host: str, name: str, vault: VaultLib) -> str:
    """The secret, an empty text where it would be made, and what keeps it from being made."""
    known, _ = read(store, vault)
    if name in known:
        return known[name]
    refuse_misspelt(store, name, known)
    refuse_empty(store.parent)
    folder = store.parent if store.parent.exists() else store.parent.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return ""


def kept(store: Path, host: str, name: str, vault: VaultLib) -> str:
    """The secret, for those who only read."""
    known, _ = read(store, vault)
    if name not in known:
        refuse_misspelt(store, name, known)
        refuse_empty(store.parent)
        raise SecretError(
            f"{store} has no {name}, and only a deployment makes one. Copy the file from whoever "
            f"deployed {host} last, where it may have the name that the host had then; or deploy "
            "with playbooks/site.yml."
        )
    return known[name]


def refuse_misspelt(store: Path, name: str, known: Iterable[str]) -> None:
    """Refuse to make a secret that is there under another spelling."""
    # secret_1 beside secret_2, and secret_of_x beside secret and secret_of_y
    by_fold = {other.lower(): other for other in known if _kind(other) != _kind(name)}
    near = difflib.get_close_matches(name, by_fold, n=1, cutoff=_NEAR)
    if near:
        raise SecretError(
            f"{store} has {by_fold[near[0]]}, but no {name}. Correct the name; or delete the line "
            f"and {DEPLOY} to have a new secret made, which cuts off whoever uses the old one."
        )


def _kind(name: str) -> str:
    return re.sub("[0-9]", "", name.partition("_of_")[0])


def refuse_empty(folder: Path) -> None:
    """Refuse a folder that is there and empty, as where a disk is not mounted."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise SecretError(
            f"{folder} is no folder, or a link to none. Mount the disk that has the secrets, or "
            f"restore the folder from a backup; remove it and {DEPLOY} only to have new secrets "
            "made, which cuts off whoever uses the old ones."
        )
    if not any(folder.iterdir()):
        raise SecretError(
            f"{folder} is empty. Mount the disk that has the secrets, or restore them from a "
            f"backup; remove the folder and {DEPLOY} only to have new secrets made, which cuts off "
            "whoever uses the old ones."
        )


def read(store: Path, vault: VaultLib) -> tuple[dict[str, str], bool]:
    """The secrets by name, and whether the file is kept as it should be."""
    try:
        mode = store.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if store.is_symlink():
            raise SecretError(
                f"{store} is a link to {store.readlink()}, which is not there. Mount the disk "
                f"that has it, or restore the file from a backup. {NEW}"
            ) from None
        return {}, False
    if not stat.S_ISREG(mode):
        raise SecretError(f"{store} is no regular file. Restore it from a backup. {NEW}")
    content = store.read_bytes()
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
        raise NoPasswordError(store)
    from ansible.errors import AnsibleError  # noqa: PLC0415 — who reads clear text does without it

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
        text = content.decode()
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        known = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise SecretError(f"{store} is no YAML{where}. {remedy}") from None
    if known is None or known == {}:
        raise SecretError(f"{store} holds no secret. Restore it from a backup. {NEW}")
    if not isinstance(known, dict):
        raise SecretError(
            f"{store} holds a {type(known).__name__} instead of names and values. {remedy}"
        )
    refuse_cut_off(store, text)
    names = [key.value for key, _ in node.value]
    for name, value in known.items():
        if not isinstance(name, str):
            raise SecretError(f"{store} has a name of type {type_name(name)}. {remedy}")
        if names.count(name) > 1:
            raise SecretError(f"{store} has {name} twice. Delete the line with the wrong one.")
        if not isinstance(value, str) or not value:
            kind = "empty" if value == "" else f"of type {type(value).__name__}"
            raise SecretError(
                f"{store}: {name} is {kind}. Put a text in quotes, or delete the line and "
                f"{DEPLOY} to have a new one made."
            )
    return known


def refuse_cut_off(store: Path, text: str) -> None:
    """Refuse a file whose end is missing: the next secret would be made anew."""
    promised = HEADER.splitlines()[-1] in text.splitlines()
    if not text.endswith("\n") or (promised and not text.endswith(END)):
        last = END.strip() if promised else "a line break"
        raise SecretError(
            f"{store} is cut off: it does not end with {last!r}. Restore it from a backup; or, if "
            "no secret is missing, put that at its end."
        )


def write(store: Path, content: str, vault: VaultLib) -> None:
    """Replace the store at once, encrypted where a vault password is configured.

    Call it with the folder locked: the name of the new file is always the same.
    """
    data = content.encode()
    if vault.secrets:
        data = encrypted(data, vault)
    else:
        (store.parent / ".gitignore").write_text(IGNORE_ALL, encoding="utf-8")
    new = store.with_name(f".{store.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(store)


def encrypted(data: bytes, vault: VaultLib) -> bytes:
    """What Ansible Vault makes of it with the password that is configured for encrypting."""
    from ansible import constants  # noqa: PLC0415 — as above
    from ansible.parsing.vault import match_encrypt_secret  # noqa: PLC0415

    identity, password = match_encrypt_secret(
        vault.secrets, encrypt_vault_id=constants.DEFAULT_VAULT_ENCRYPT_IDENTITY
    )
    sealed: bytes = vault.encrypt(data, password, identity)
    return sealed


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out while one changes a store. The kernel unlocks after a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""One deployment of an inventory: its model, and the secrets that sign its tokens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vestibule.command import CommandError, plain_inventory
from vestibule.command.plain_inventory import NotPlain
from vestibule.model import ModelError, beside
from vestibule.model.compiler import compile_model
from vestibule.model.features import LOADER
from vestibule.model.role_variables import OPTIONS, fault, specs
from vestibule.rotation import RotationError
from vestibule.rotation.state import NO_ROTATIONS, Rotations, rotations_of
from vestibule.secret_store import MODE, NoPasswordError, SecretError, read, secrets_of, store_of
from vestibule.tokens.key_file import secrets_by_kid
from vestibule.tokens.shown import shown

# Variables of which the model is made, as in playbooks/vars/model.yml
GIVEN = re.compile(
    "^jitsi_(?!access_|history_|tokens_|verify_|lock_|upgrade_"
    "|acme_|watch_|web_(?!port$|public_port$|trusted_proxies$|proxy_port$|extra_config$)"
    "|videobridge_(?!public_address$|port$))"
)
VAULT = b"$ANSIBLE_VAULT"
HTTPS = 443

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Deployment:
    """What a command needs of a host of the inventory."""

    host: str
    model: Mapping[str, Any]
    # By kid; where there are no keys, the one secret has none, and is that of ""
    secrets: Mapping[str, str] = field(repr=False)
    rotations: Rotations = field(default=NO_ROTATIONS, repr=False)

    @property
    def secret(self) -> str:
        """What mints, as in playbooks/vars/model.yml; empty where nothing does."""
        return self.secrets.get(self.model["options"]["token_mint_kid"], "")

    @property
    def domain(self) -> str:
        """Its public name."""
        return str(self.model["names"]["domain"])

    @property
    def port(self) -> int:
        """The port of HTTPS for people."""
        return int(self.model["names"]["public"].partition(":")[2] or HTTPS)


class _NoVault:
    """Opens nothing, and is asked to open nothing."""

    secrets = None

    @staticmethod
    def is_encrypted(_: bytes) -> bool:
        """Whether it would have to be opened."""
        return False


def find(inventory: str, host: str | None, tell: Tell) -> Deployment:
    """The deployment of the inventory, by the name of its host where there are several.

    ``tell`` is told what takes long. Raises CommandError.
    """
    path = Path(inventory)
    try:
        is_there = path.exists()
    except OSError as error:
        raise CommandError(
            f"The inventory {shown(inventory)} cannot be looked at: {error.strerror}. Name its"
            " folder or its file."
        ) from None
    if not is_there:
        raise CommandError(f"There is no inventory {inventory}. Name its folder or its file.")
    root = beside("playbooks").parent
    unknown: Mapping[str, str] = {}
    try:
        folder, hosts = plain_inventory.read(path, root)
        chosen = _choose(inventory, hosts, host)
        variables = hosts[chosen]
    except NotPlain as reason:
        from vestibule.command import ansible_inventory  # noqa: PLC0415 — loads Ansible, slowly

        tell(f"Ansible reads {inventory}, which takes a second more: {reason}.")
        folders, variables_of = ansible_inventory.read(path, root)
        chosen = _choose(inventory, folders, host)
        folder = folders[chosen]
        variables, unknown = variables_of(chosen)
    return _compile(chosen, folder, variables, unknown, root)


def _choose(inventory: str, hosts: Mapping[str, Any], host: str | None) -> str:
    if not hosts:
        raise CommandError(
            f"The inventory {inventory} has no host. Put your server below hosts in its hosts.yml."
        )
    names = ", ".join(hosts)
    if host is None:
        if len(hosts) > 1:
            raise CommandError(f"{inventory} has several hosts. Say --host and one of {names}.")
        return next(iter(hosts))
    if host not in hosts:
        raise CommandError(f"{inventory} has no host {host}. There are {names}.")
    return host


def _compile(
    host: str, folder: Path, variables: Mapping[str, Any], unknown: Mapping[str, str], root: Path
) -> Deployment:
    given = {name: value for name, value in variables.items() if GIVEN.match(name)}
    for name, reason in unknown.items():
        if GIVEN.match(name):
            raise CommandError(f"{name} cannot be worked out without the host: {reason}")
    try:
        model = compile_model(given, variables, "")
    except ModelError as error:
        raise CommandError(str(error)) from None
    problem = _fault(variables, root)
    if problem:
        raise CommandError(problem)

    def kept(names: Sequence[str]) -> dict[str, str]:
        values = _kept(host, folder, variables, root, names) if names else []
        return dict(zip(names, values, strict=True))

    keys = model["options"]["token_keys"]
    if keys:
        names = [key["secret_name"] for key in keys if key["secret_name"]]
        secrets = secrets_by_kid(keys, given["jitsi_token_keys"], kept(names))
    else:
        one = given.get("jitsi_token_secret") or kept(["token_secret"])["token_secret"]
        secrets = {"": one}
    return Deployment(host, model, secrets, _rotations(host, folder, root))


def _fault(variables: Mapping[str, Any], root: Path) -> str:
    """As the playbooks find it, by vestibule.set_variables."""
    ours = [name for name in (*specs(), *OPTIONS) if name in variables]
    if not ours:
        return ""
    file = root / "playbooks/vars/model.yml"
    worked_out = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
    given = {name: variables[name] for name in ours if name not in worked_out}
    return fault(given, [name for name in ours if name in worked_out])


def _kept(
    host: str, folder: Path, variables: Mapping[str, Any], root: Path, names: Sequence[str]
) -> list[str]:
    """Secrets that the last deployment made or used. Nothing makes one here."""
    known = {**variables, MODE: "read"}
    try:
        return secrets_of(host, str(folder), names, _vault(host, folder, root), known)
    except SecretError as error:
        raise CommandError(_in_words(error)) from None


def _rotations(host: str, folder: Path, root: Path) -> Rotations:
    """What verifies tokens beside the secrets that sign."""
    try:
        known, _ = read(store_of(host, str(folder)), _vault(host, folder, root))
        return rotations_of(known, time.time())
    except (OSError, SecretError, RotationError) as error:
        raise CommandError(_in_words(error)) from None


def _in_words(error: Exception) -> str:
    """What is said of an error, with a remedy that the command has."""
    if isinstance(error, NoPasswordError):
        return f"{error.fault} Name its file in ANSIBLE_VAULT_PASSWORD_FILE or ansible.cfg."
    return str(error)


def _vault(host: str, folder: Path, root: Path) -> Any:
    """What opens the store of secrets."""
    try:
        with (folder / ".secrets" / f"{host}.yml").open("rb") as file:
            is_sealed = file.read(len(VAULT)) == VAULT
    except OSError:
        is_sealed = False  # the store says what is wrong
    if is_sealed:
        from vestibule.command import ansible_inventory  # noqa: PLC0415 — loads Ansible, slowly

        return ansible_inventory.vault(root)
    return _NoVault()

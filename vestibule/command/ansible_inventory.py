"""Reads an inventory by Ansible itself, whatever it is made of."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vestibule.command import CommandError
from vestibule.model.features import PREFIXES


@functools.cache
def _loader(root: Path) -> Any:
    """Ansible's loader, with the vault passwords of its configuration. It takes one a process."""
    os.environ.setdefault("ANSIBLE_CONFIG", str(root / "ansible.cfg"))
    from ansible import constants  # noqa: PLC0415 — slow, and not always needed
    from ansible.cli import CLI  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415
    from ansible.utils.collection_loader import AnsibleCollectionConfig  # noqa: PLC0415

    if not AnsibleCollectionConfig.collection_finder:  # which is made once a process
        init_plugin_loader()
    loader = DataLoader()
    loader.set_basedir(str(root / "playbooks"))
    secrets = CLI.setup_vault_secrets(
        loader, vault_ids=constants.DEFAULT_VAULT_IDENTITY_LIST, auto_prompt=False
    )
    loader.set_vault_secrets(secrets)
    return loader


def vault(root: Path) -> Any:
    """What opens vaults: the passwords that are configured for Ansible."""
    try:
        return _loader(root)._vault  # Ansible gives plugins no other way to it, either
    except Exception as error:
        if type(error).__module__.startswith("ansible."):
            raise CommandError(f"The vault password cannot be read: {error}") from None
        raise


def _unread(path: Path, error: BaseException) -> str:
    """A sentence about an error in the variables, with the file and the line where they are known.

    Errors of Ansible have them in a tag, most often of the error that they were made of.
    """
    from ansible._internal._datatag._tags import Origin  # noqa: PLC0415 — as above
    from ansible.parsing.vault import AnsibleVaultError  # noqa: PLC0415

    words = str(error).partition("\n")[0].rstrip(".")
    place, is_sealed = "", False
    cause: BaseException | None = error
    while cause and not place:
        given = getattr(cause, "obj", None)
        origin = given if isinstance(given, Origin) else Origin.get_tag(given)
        if origin and origin.path:
            place = f"{origin.path}{f', line {origin.line_num}' if origin.line_num else ''}: "
        is_sealed = is_sealed or isinstance(cause, AnsibleVaultError)
        cause = cause.__cause__ or cause.__context__
    remedy = (
        "Give the vault password in ANSIBLE_VAULT_PASSWORD_FILE or ansible.cfg"
        if is_sealed
        else "Correct the file"
    )
    return f"Ansible does not read {path}: {place}{words}. {remedy}."


def read(
    path: Path, root: Path
) -> tuple[dict[str, Path], Callable[[str], tuple[dict[str, Any], dict[str, str]]]]:
    """The hosts with the folder of their inventory, and what gives the variables of one.

    Those of ours are worked out; those that cannot be are in a mapping of their own, with the
    reason.
    """
    try:
        loader = _loader(root)
        from ansible.errors import AnsibleError  # noqa: PLC0415
        from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
        from ansible.template import Templar  # noqa: PLC0415
        from ansible.vars.manager import VariableManager  # noqa: PLC0415

        inventory = InventoryManager(loader=loader, sources=[str(path)])
        manager = VariableManager(loader=loader, inventory=inventory)
    except Exception as error:
        if type(error).__module__.startswith("ansible."):
            raise CommandError(f"Ansible does not read {path}: {error}") from None
        raise

    def variables_of(host: str) -> tuple[dict[str, Any], dict[str, str]]:
        try:
            variables = manager.get_vars(host=inventory.get_host(host))
        except AnsibleError as error:
            raise CommandError(_unread(path, error)) from None
        templar = Templar(loader=loader, variables=variables)
        found, unknown = {}, {}
        for name, value in variables.items():
            try:
                found[name] = templar.template(value) if name.startswith(PREFIXES) else value
            except AnsibleError as error:
                unknown[name] = str(error)
        return found, unknown

    folders = {
        host.name: Path(host.vars.get("inventory_dir") or path.parent)
        for host in inventory.get_hosts("all")
    }
    return folders, variables_of

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
        variables = manager.get_vars(host=inventory.get_host(host))
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

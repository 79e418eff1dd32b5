"""What the operator set, by whichever way: files of the inventory, ``-e``, a vault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleError

from vestibule.model import beside
from vestibule.model.deployment import TURN, is_elsewhere
from vestibule.model.features import LOADER, PREFIXES
from vestibule.model.role_variables import OPTIONS, fault, specs


def given_by(names: Collection[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all variables of ours that the operator set, as far as they are known now."""
    hosts, host = variables["hostvars"], variables["inventory_hostname"]
    ours = [name for name in sorted(names) if name.startswith(PREFIXES)]
    found: dict[str, Any] = {}
    for name in ours:
        try:
            found[name] = hosts[host][name]
        except AnsibleError:
            continue  # of another host, or of a play
    return found


def fault_of(names: Collection[str], variables: Mapping[str, Any]) -> str:
    """A sentence about the first variable of a role that is not as it may be, or an empty text.

    ``names`` are those that were set before the playbook worked out any, and ``variables`` those of
    a task.
    """
    hosts, host = variables["hostvars"], variables["inventory_hostname"]
    raw = hosts.raw_get(host)
    file = beside("playbooks/vars/model.yml")
    worked_out = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
    given: dict[str, Any] = {}
    without_effect = []
    for name in (*specs(), *OPTIONS):
        if name not in names:
            continue
        if name in worked_out and raw[name] == worked_out[name]:
            without_effect.append(name)
        elif raw[name] is None:
            given[name] = None
        else:
            try:
                given[name] = hosts[host][name]
            except AnsibleError:
                continue  # known later, when the host was asked
    groups = variables["groups"]
    pages = not is_elsewhere(host, groups)
    turn = host in groups[TURN] if TURN in groups else pages
    return fault(given, without_effect, beside=pages, turn=turn)

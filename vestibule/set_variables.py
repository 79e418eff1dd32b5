"""What the operator set, by whichever way: files of the inventory, ``-e``, a vault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError

from vestibule.model.role_variables import WEB_PORTS, fault, specs


def fault_of(variables: Mapping[str, Any]) -> str:
    """A sentence about the first variable of a role that is not as it may be, or an empty text.

    ``variables`` are those of a task. Among its hostvars are neither defaults of roles nor what a
    playbook works out.
    """
    hosts, host = variables["hostvars"], variables["inventory_hostname"]
    raw = hosts.raw_get(host)
    given = {}
    for name in (*specs(), *WEB_PORTS):
        if name in raw and raw[name] is not None:
            try:
                given[name] = hosts[host][name]
            except AnsibleError:
                continue  # known later, when the host was asked
        elif name in raw:
            given[name] = None
    return fault(given, [name for name in given if variables.get(name) != raw[name]])

"""What each host of an inventory is for: a whole server, or a part of one.

The groups ``signalling`` and ``bridges`` split a server. Without them every host is a whole one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vestibule.model import ModelError

SIGNALLING, BRIDGES = "signalling", "bridges"
GROUPS = (SIGNALLING, BRIDGES)
_LONGEST = 50  # characters, as it becomes a part of names of hosts, which have 63
_ODD = re.compile("[^a-z0-9]+")
WHOLE: Mapping[str, Any] = {
    "host": "",
    "signalling": "",
    "is_signalling": True,
    "has_bridge": True,
    "bridge_beside": True,
    "bridges": [],
}

Groups = Mapping[str, Sequence[str]]


def _without_the_rest(groups: Groups) -> list[str]:
    """Hosts that are a bridge alone."""
    return [host for host in groups.get(BRIDGES, ()) if host not in groups.get(SIGNALLING, ())]


def hosts_with(groups: Groups, part: str) -> list[str]:
    """Hosts of an inventory that have this part of a server, for a play.

    Of an empty list Ansible makes all hosts, so that this is a pattern for none then.
    """
    few = _without_the_rest(groups)
    found = {
        SIGNALLING: [host for host in groups["all"] if host not in few],
        "bridge": list(groups.get(BRIDGES, groups["all"])),
        "elsewhere": few,
        "parts": list(groups["all"]) if any(each in groups for each in GROUPS) else [],
    }[part]
    return found or ["!all"]


def bridge_name(host: str) -> str:
    """The name of a bridge, made of its host's name in the inventory. Raises ModelError."""
    name = _ODD.sub("-", host.lower()).strip("-")
    if not name or len(name) > _LONGEST:
        raise ModelError(
            f"The inventory name {host} is no name for a bridge, which is made of its letters and"
            f" digits. Use a name with 1 to {_LONGEST} of these, and put the address into"
            " ansible_host."
        )
    return name


def deployment_of(host: str, groups: Groups, domains: Mapping[str, str]) -> dict[str, Any]:
    """What ``host`` is for, and which hosts are the other parts of its server.

    ``domains`` are those of all hosts. Raises ModelError with a sentence for the operator.
    """
    if not any(group in groups for group in GROUPS):
        return dict(WHOLE)
    domain = domains[host]
    few = _without_the_rest(groups)
    servers = [one for one in domains if domains[one] == domain and one not in few]
    if host not in few:
        servers = [host, *(one for one in servers if one != host)]
    bridges = [one for one in groups.get(BRIDGES, ()) if one in few and domains[one] == domain]
    if not servers:
        raise ModelError(
            f"{host} is in the group {BRIDGES}, and no host for the signalling has its jitsi_domain"
            f" {domain!r}. Give both the same jitsi_domain; or take {host} out of that group."
        )
    if len(servers) > 1 and bridges:
        raise ModelError(
            f"{bridges[0]} has the jitsi_domain {domain!r}, and so have"
            f" {' and '.join(sorted(servers))}: it can belong to one of them alone. Give each"
            " server a jitsi_domain of its own."
        )
    _refuse_equal_names(bridges)
    own = servers[0]
    beside = own in groups[BRIDGES] if BRIDGES in groups else True
    return {
        "host": host,
        "signalling": own,
        "is_signalling": host == own,
        "has_bridge": beside if host == own else host in bridges,
        "bridge_beside": beside,  # whether the host of the signalling has one
        "bridges": [{"host": one, "name": bridge_name(one)} for one in bridges],
    }


def _refuse_equal_names(hosts: Sequence[str]) -> None:
    seen: dict[str, str] = {"jvb": "the bridge beside the signalling"}
    for host in hosts:
        name = bridge_name(host)
        if name in seen:
            raise ModelError(
                f"The bridges {seen[name]} and {host} would both be called {name}: of a name in the"
                " inventory its small letters and digits count. Give one of them another name"
                " there."
            )
        seen[name] = host


def first_address(candidates: Iterable[Any]) -> str:
    """The first of these that is an address which another host can reach, empty for none."""
    for each in candidates:
        try:
            address = ipaddress.ip_address(each)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_link_local):
            return str(address)
    return ""

"""What each host of an inventory is for: a whole server, or a part of one.

The groups ``signalling``, ``bridges`` and ``turn`` split a server. Without them every host is a
whole one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vestibule.model import ModelError
from vestibule.values import LABEL

SIGNALLING, BRIDGES, TURN = "signalling", "bridges", "turn"
GROUPS = (SIGNALLING, BRIDGES, TURN)
_ELSEWHERE = (BRIDGES, TURN)  # groups of hosts that may be without the signalling
_LONGEST = 50  # characters, as it becomes a part of names of hosts, which have 63
_ODD = re.compile("[^a-z0-9]+")
WHOLE: Mapping[str, Any] = {
    "host": "",
    "signalling": "",
    "is_signalling": True,
    "elsewhere": [],
    "has_bridge": True,
    "bridge_beside": True,
    "bridges": [],
    "has_turn": True,
    "turn_beside": True,
    "turn_hosts": [],
    "turn": [],
}

Groups = Mapping[str, Sequence[str]]
# Variables of the hosts in the group ``turn``, by their names without ``jitsi_``, then by host
Said = Mapping[str, Mapping[str, Any]]


def _without_the_rest(groups: Groups) -> list[str]:
    """Hosts without the signalling: they have a bridge, a TURN server or both."""
    some = dict.fromkeys(host for group in _ELSEWHERE for host in groups.get(group, ()))
    return [host for host in some if host not in groups.get(SIGNALLING, ())]


def is_elsewhere(host: str, groups: Groups) -> bool:
    """Whether a host is without the signalling."""
    return host in _without_the_rest(groups)


def hosts_with(groups: Groups, part: str) -> list[str]:
    """Hosts of an inventory that have this part of a server, for a play.

    Of an empty list Ansible makes all hosts, so that this is a pattern for none then.
    """
    few = _without_the_rest(groups)
    rest = [host for host in groups["all"] if host not in few]
    found = {
        SIGNALLING: rest,
        "bridge": list(groups.get(BRIDGES, rest)),
        "elsewhere": few,
        "parts": list(groups["all"]) if few else [],
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


def turn_name(host: str, given: Any) -> str:
    """The public name of a TURN server, by default its host's in the inventory.

    Raises ModelError.
    """
    labels = host.split(".")
    is_name = len(labels) > 1 and all(map(LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if not given and not is_name:
        raise ModelError(
            f"{host} is in the group {TURN}, and nothing says by which public name people find it."
            f" Set jitsi_turn_name for {host}, e.g. jitsi_turn_name: relay.example.org; or let that"
            " be its name in the inventory."
        )
    return str(given or host)


def deployment_of(
    host: str, groups: Groups, domains: Mapping[str, str], turn: Said | None = None
) -> dict[str, Any]:
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
    relays = [one for one in groups.get(TURN, ()) if one in few and domains[one] == domain]
    if not servers:
        ours = " and ".join(group for group in _ELSEWHERE if host in groups.get(group, ()))
        raise ModelError(
            f"{host} is in the group {ours}, and no host for the signalling has its jitsi_domain"
            f" {domain!r}. Give both the same jitsi_domain; or take {host} out of that group."
        )
    named = [one for one in servers if one in groups.get(SIGNALLING, ())]
    if named and host not in few and host not in named:
        raise ModelError(
            f"{host} is in no group that says what it is for, and has the jitsi_domain {domain!r}"
            f" of {' and '.join(sorted(named))}: it would become a second server of that name. Put"
            f" it into {BRIDGES} or {TURN}; or take it out of the inventory."
        )
    if len(servers) > 1 and bridges + relays:
        raise ModelError(
            f"{(bridges + relays)[0]} has the jitsi_domain {domain!r}, and so have"
            f" {' and '.join(sorted(servers))}: it can belong to one of them alone. Give each"
            " server a jitsi_domain of its own."
        )
    _refuse_equal_names(bridges)
    own = servers[0]
    if own in groups.get(TURN, ()) and (turn or {}).get("turn_name", {}).get(own):
        raise ModelError(
            f"jitsi_turn_name is set for {own}, whose TURN server has the name of the pages. Set it"
            " for TURN servers with hosts of their own alone."
        )
    beside = {group: own in groups[group] if group in groups else True for group in _ELSEWHERE}
    return {
        "host": host,
        "signalling": own,
        "is_signalling": host == own,
        "elsewhere": list(dict.fromkeys(bridges + relays)),
        "has_bridge": beside[BRIDGES] if host == own else host in bridges,
        "bridge_beside": beside[BRIDGES],  # whether the host of the signalling has one
        "bridges": [{"host": one, "name": bridge_name(one)} for one in bridges],
        "has_turn": beside[TURN] if host == own else host in relays,
        "turn_beside": beside[TURN],
        "turn_hosts": [*([own] if own in groups.get(TURN, ()) else []), *relays],
        "turn": _turn_servers(own, relays, bridges, domain, turn or {}),
    }


def _turn_servers(
    own: str, relays: Sequence[str], bridges: Sequence[str], domain: str, said: Said
) -> list[dict[str, Any]]:
    """Those elsewhere: their names, and what their hosts say of ports and certificates."""
    found: list[dict[str, Any]] = []
    seen = {domain: f"the server itself, {own}"}
    for one in relays:
        given = {key: by_host.get(one) for key, by_host in said.items()}
        name = turn_name(one, given.get("turn_name"))
        if name in seen:
            raise ModelError(
                f"{one} would be found by the name {name}, and so is {seen[name]}. Give each TURN"
                " server another jitsi_turn_name, in the variables of its own host."
            )
        seen[name] = one
        found.append({**given, "host": one, "name": name, "has_bridge": one in bridges})
    return found


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

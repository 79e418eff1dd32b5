"""Addresses by which people reach a bridge, and which of its host stands behind each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping


def mappings(public: Iterable[str], own: Mapping[str, str]) -> list[dict[str, str]]:
    """What jvb.conf says of public addresses that the host does not have (ice4j.harvest.mapping).

    ``own`` has the address by which the host leaves itself as ``ipv4`` and ``ipv6``, empty where
    there is none. Public addresses of such a version are left out.
    """
    found = []
    for address in public:
        local = own[f"ipv{ipaddress.ip_address(address).version}"]
        if local and address not in own.values():
            found.append({"local-address": local, "public-address": address})
    return found

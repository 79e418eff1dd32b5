"""What a model will deploy, in words for a terminal."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_PEOPLE = {
    "nobody": "without a token",
    "guest": "a guest",
    "member": "a member's token",
    "owner": "an owner's token",
}


def _columns(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Rows of texts as columns. The first ones are as wide as they need, the last one wraps."""
    widths = [max(map(len, column)) + 2 for column in zip(*(row[:-1] for row in rows), strict=True)]
    indent = 2 + sum(widths)
    for *cells, text in rows:
        head = "".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))
        wrapped = textwrap.wrap(text, max(width - indent, 20)) or [""]
        yield f"  {head}{wrapped[0]}"
        yield from (" " * indent + line for line in wrapped[1:])


def _grid(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Rows of texts as a table whose cells wrap, the first row its head."""
    first = max(len(row[0]) for row in rows) + 2
    size = (width - 2 - first) // (len(rows[0]) - 1)
    for row in rows:
        cells = [[row[0]], *(textwrap.wrap(cell, size - 2) for cell in row[1:])]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            head, *others = line
            yield f"  {head.ljust(first)}{''.join(each.ljust(size) for each in others)}".rstrip()


def _word(cell: bool | str) -> str:
    return cell if isinstance(cell, str) else "yes" if cell else "no"


def who_may_what(may: Mapping[str, Mapping[str, bool | str]]) -> list[list[str]]:
    """The table of actor and action, its head first. What no feature allows is refused."""
    actors = [actor for actor in _PEOPLE if actor in may]
    # Owners first: whatever there is to do, they have a line for it
    actions = dict.fromkeys(action for actor in reversed(actors) for action in may[actor])
    return [
        ["", *(_PEOPLE[actor] for actor in actors)],
        *(
            [action, *(_word(may[actor].get(action, False)) for actor in actors)]
            for action in actions
        ),
    ]


def opened(model: Mapping[str, Any], login_port: int) -> list[tuple[str, str, str, str]]:
    """From where to where, at which port, and for what, the head first.

    ``from`` in a feature is a kind of host or a list of networks, ``at`` is one host, and the port
    ``logins`` is that at which Prosody takes machines.
    """
    deployment = model["deployment"]
    own = deployment["signalling"] or "this server"
    hosts = {
        "everywhere": ["everywhere"],
        "signalling": [own],
        "bridges": [own] if deployment["bridge_beside"] else [],
    }
    hosts["bridges"] += [bridge["host"] for bridge in deployment["bridges"]]
    rows = [("from", "to", "port", "for")]
    for each in model["opens"]:
        ports = login_port if each["ports"] == "logins" else each["ports"]
        origin = each.get("from", "everywhere")
        ends = [each["at"] or own] if "at" in each else hosts[each.get("to", "signalling")]
        rows += [
            (start, end, f"{each['protocol']} {ports}", each["for"])
            for start in (origin if isinstance(origin, list) else hosts[origin])
            for end in ends
            if start != end
        ]
    return rows


def explain(model: Mapping[str, Any], width: int, login_port: int) -> list[str]:
    """The lines, at most ``width`` characters each where words allow it."""

    def section(title: str, lines: Iterable[str]) -> list[str]:
        return ["", title, *lines]

    hosts = model["prosody"]["hosts"]
    cases = model["cases"]
    lines = [f"{model['names']['domain']}: what will be deployed"]
    reasons = list(dict.fromkeys(model["why"].values()))
    features = sorted(model["why"].items(), key=lambda item: reasons.index(item[1]))
    lines += section("Features", _columns(features, width))
    if model["off"]:
        lines += section("Off, though on by default", _columns(list(model["off"].items()), width))
    purposes = [(name, host["purpose"]) for name, host in hosts.items()]
    lines += section("Hosts of Prosody", _columns(purposes, width))
    machines = [
        (kind, f"{machine['host']}, meets Jicofo in {machine['brewery']}, logs in from {where}")
        for kind, machine in model["machines"].items()
        if any(account.endswith(f"@{machine['host']}") for account in model["accounts"])
        for where in [", ".join(["this server", *machine["networks"]])]
    ]
    if machines:
        lines += section("Machines that enter meetings", _columns(machines, width))
    ways = opened(model, login_port)
    lines += section("What firewalls have to let through", _columns(ways, width))
    lines += section("Who may do what", _grid(who_may_what(model["may"]), width))
    if model["warnings"]:
        lines += section("Warnings", _columns([("-", each) for each in model["warnings"]], width))
    words = textwrap.wrap(", ".join(cases), width - 2)
    return lines + section(f"{len(cases)} access cases prove it", (f"  {each}" for each in words))

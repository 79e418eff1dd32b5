"""What a change costs people in meetings: which services restart, and what is noticed of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# What a wish that is not fulfilled brings about, by the beginning of its name; the first counts.
# Wishes that are not here cost nobody anything: keys of tokens are read as they come.
_OF_WISHES: tuple[tuple[str, str], ...] = (
    ("prosody_certificates", "Prosody reload"),
    ("prosody_health", ""),
    ("prosody_", "Prosody restart"),
    ("jitsi_tokens_files", "Prosody restart"),
    ("jitsi_tokens_libraries", "Prosody restart"),
    ("jicofo_trust", "bridge restart"),
    ("jicofo_", "Jicofo restart"),
    ("jitsi_videobridge_", "bridge restart"),
    ("jitsi_web_", "nginx reload"),
    ("coturn_", "TURN restart"),
)
# Where a service has not read what is there already
_OF_UNREAD = {"prosody_health": "Prosody restart"}
_OF_UNITS = {
    "prosody": "Prosody restart",
    "jicofo": "Jicofo restart",
    "nginx": "nginx restart",
    "coturn": "TURN restart",
    "jitsi-videobridge2": "bridge restart",
    "jitsi-videobridge": "bridge restart",
}
# What Prosody reads once: its own package and those with plugins or libraries for them
_READ_BY_PROSODY = ("prosody", "lua-", "lua5", "jitsi-meet-prosody", "jitsi-meet-tokens")
_NOTICED = {
    "Prosody restart": (
        "Prosody and Jicofo restart: all meetings end; clients come back by themselves, most within"
        " half a minute."
    ),
    "Jicofo restart": (
        "Jicofo restarts: meetings lose their focus; clients enter again by themselves, most within"
        " half a minute."
    ),
    "bridge restart": (
        "The bridge restarts: people neither hear nor see each other for some ten seconds."
    ),
    "nginx restart": (
        "nginx restarts: connections break and are resumed, most within some seconds."
    ),
    "TURN restart": "TURN restarts: who is relayed is away for some seconds.",
    "Prosody reload": "Prosody reloads: nobody notices.",
    "nginx reload": "nginx reloads: nobody notices.",
}
# What one brings about as well
_WITH = {"Prosody restart": {"Jicofo restart", "Prosody reload"}, "nginx restart": {"nginx reload"}}


def costs(changes: Iterable[Mapping[str, Any]], looked: Mapping[str, Iterable[str]]) -> list[str]:
    """What happens to services, the dearest first.

    ``looked`` is the answer of the module look, with names of wishes: C(unsettled), C(rereads), for
    which a reload does, and C(unread), whose service has not read what is there already.
    """
    found: set[str] = set()
    for change in changes:
        found.update(_OF_UNITS[unit] for unit in change["units"] if unit in _OF_UNITS)
        if change["name"].startswith(_READ_BY_PROSODY):
            found.add("Prosody restart")
    reloads = set(looked.get("rereads", ()))
    found.update(_OF_UNREAD.get(wish, "") for wish in looked.get("unread", ()))
    for wish in looked.get("unsettled", ()):
        cost = next((cost for name, cost in _OF_WISHES if wish.startswith(name)), "")
        found.add("Prosody reload" if wish in reloads else cost)
    for cost, more in _WITH.items():
        if cost in found:
            found -= more
    return [cost for cost in _NOTICED if cost in found]


def noticed(changes: Iterable[Mapping[str, Any]], looked: Mapping[str, Iterable[str]]) -> list[str]:
    """Lines for people of what happens to services, without what nobody notices."""
    found = costs(changes, looked)
    return [_NOTICED[cost] for cost in found if not cost.endswith("reload")]


def describe(
    changes: Sequence[Mapping[str, Any]],
    looked: Mapping[str, Iterable[str]],
    people: Mapping[str, Any] | None,
    held: Sequence[str] = (),
) -> list[str]:
    """The same in lines for people, with the packages that change, and who is there."""
    lines = [
        f"{change['name']} {change['before'] or 'not there'} -> {change['after'] or 'gone'}"
        for change in changes
    ]
    lines += [f"{name} stays, as somebody else holds it" for name in held]
    happens = [_NOTICED[cost] for cost in costs(changes, looked)]
    lines += happens or ["No service restarts or reloads."]
    if people is not None:
        lines.append(crowd(people))
    return lines


def crowd(people: Mapping[str, Any]) -> str:
    """How many people are there now, in a sentence."""
    number, meetings = people["people"], people["meetings"]
    if not number:
        return "Nobody is in a meeting now."
    return (
        f"{number} {'person is' if number == 1 else 'people are'} in"
        f" {meetings} {'meeting' if meetings == 1 else 'meetings'} now."
    )

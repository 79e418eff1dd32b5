"""The access cases: one registry of what is tried, what has to happen, and the control.

A refusal alone proves little, for a dead server refuses everybody. So every case that expects a
refusal has a control: the same request with one thing right. It is played first, has to succeed,
and stays in place while the attempts run, so that the room which must stay closed does exist.

Conditions and words of the refusals are those of Prosody and Jitsi's plugins, seen on real ones.
Alternatives are the answers of different versions to the same attempt.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from .breakout import BREAKOUT
from .bridge import BRIDGE
from .case import Case, Refusal
from .certificates import CERTIFICATES
from .dead_ends import DEAD_ENDS
from .floods import FLOODS
from .guests import GUESTS
from .inside import INSIDE
from .keys import KEYS
from .limits import LIMITS
from .lobby import LOBBY
from .machines import MACHINES
from .meeting import MEETING
from .owner_party import OWNER_PARTY
from .power import POWER
from .recording import RECORDING
from .roles import ROLES
from .rooms import ROOMS
from .tenants import TENANTS
from .tokens import TOKENS
from .turn import TURN
from .web import WEB

__all__ = ["CASES", "GROUPS", "Case", "Refusal", "choose"]

# In the order in which people read the verdicts
GROUPS: tuple[tuple[Case, ...], ...] = (
    TOKENS,
    KEYS,
    ROOMS,
    GUESTS,
    ROLES,
    OWNER_PARTY,
    LOBBY,
    INSIDE,
    BREAKOUT,
    POWER,
    RECORDING,
    MACHINES,
    TENANTS,
    LIMITS,
    FLOODS,
    TURN,
    WEB,
    DEAD_ENDS,
    BRIDGE,
    MEETING,
    CERTIFICATES,
)
CASES: Mapping[str, Case] = {case.name: case for group in GROUPS for case in group}


def choose(names: Iterable[str]) -> list[Case]:
    """The cases of these names, in the order of the registry.

    Raises ValueError, with a sentence for the operator, on no name at all and on unknown ones.
    """
    chosen = set(names)
    if not chosen:
        raise ValueError("there is no case to play, and a check of nothing proves nothing")
    for name in sorted(chosen - CASES.keys()):
        nearest, *_ = difflib.get_close_matches(name, CASES, n=1, cutoff=0.0)
        raise ValueError(f"{name} is no access case; the nearest is {nearest}")
    return [case for name, case in CASES.items() if name in chosen]

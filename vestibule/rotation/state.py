"""Rotations: keys of tokens in stages, passwords at once, and what the store remembers of them.

The store of secrets has what mints under its own name, as ever. Beside it are `<name>_next`, which
is served and mints nothing yet, `<name>_former`, which counts for what was signed with it, and
under `rotations` in which stage each is. A stage begins with one change of the store, from which
every deployment works out the same; it is proven, and then noted. So what was cut off goes on where
it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vestibule.rotation import RotationError

ROTATIONS: Final = "rotations"
TOKEN_SECRET: Final = "token_secret"  # noqa: S105 — names, here and below
# What Jitsi's own modules are told, who would have to start anew with another one. Nobody gets in
# by it: mod_token_guard looks at the keys before.
APP_SECRET: Final = "app_secret"  # noqa: S105
TURN_SECRET: Final = "turn_secret"  # noqa: S105
CREDENTIALS_LIVE: Final = 86400  # seconds: the ttl of features/turn.yml
NEXT, FORMER = "_next", "_former"
# Of a key: it is there, the server takes it, it mints and the former one counts until a time, the
# former one is gone. Of a password: it is there, and not yet deployed.
MADE, SERVED, USED, WITHDRAWN, CHANGING = "made", "served", "used", "withdrawn", "changing"
_STAGES = (MADE, SERVED, USED, WITHDRAWN, CHANGING)


@dataclass
class Entry:
    """How far the rotation of one key is."""

    stage: str
    until: int | None = None  # seconds since 1970, until which the former one counts
    successor: str = ""  # of a public key: the kid that takes its place


@dataclass
class State:
    """All rotations of a host."""

    count: int = 0  # of changes, which tells a store from an older copy of it
    secrets: dict[str, Entry] = field(default_factory=dict)  # by the name of the secret
    public: dict[str, Entry] = field(default_factory=dict)  # by kid

    @classmethod
    def of(cls, known: Mapping[str, str]) -> State:
        """That of a store. Raises RotationError."""
        if ROTATIONS not in known:
            return cls()
        try:
            said = json.loads(known[ROTATIONS])
            state = cls(
                said["count"],
                {name: Entry(**each) for name, each in said["secrets"].items()},
                {kid: Entry(**each) for kid, each in said["public"].items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            state = None
        entries = [*state.secrets.values(), *state.public.values()] if state else []
        if (
            not state
            or type(state.count) is not int
            or not all(each.stage in _STAGES for each in entries)
            or not all(each.until is None or type(each.until) is int for each in entries)
        ):
            raise RotationError(
                f"The secrets have a line {ROTATIONS} that playbooks/rotate.yml did not write so."
                " Restore the file from a backup."
            )
        return state

    def put(self, known: dict[str, str], count: int = 0) -> None:
        """Write it into a store; with another count than before, unless it is given."""
        self.count = count or self.count + 1
        said = {
            "count": self.count,
            "secrets": {name: _plain(each) for name, each in self.secrets.items()},
            "public": {kid: _plain(each) for kid, each in self.public.items()},
        }
        known[ROTATIONS] = json.dumps(said)


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in vars(entry).items() if value}


@dataclass(frozen=True)
class Rotations:
    """What a deployment has beside the secrets under their own names."""

    count: int = 0
    app_secret: str = field(default="", repr=False)  # empty: what signs tokens
    # By the name of the secret, others that verify tokens, with the time until which they count
    verifying: Mapping[str, Sequence[tuple[str, int | None]]] = field(
        default_factory=dict, repr=False
    )
    withdrawn: Mapping[str, int] = field(default_factory=dict)  # kids of public keys, until when
    turn_former: str = field(default="", repr=False)
    changing: Sequence[str] = field(default=(), repr=False)  # what the host may still have


NO_ROTATIONS: Final = Rotations()


def rotations_of(known: Mapping[str, str], now: float) -> Rotations:
    """What a deployment makes of a store at that time. Raises RotationError."""
    state = State.of(known)
    verifying: dict[str, list[tuple[str, int | None]]] = {}
    for name, entry in state.secrets.items():
        if name.startswith("token_"):
            others = ((known.get(name + NEXT), None), (known.get(name + FORMER), entry.until))
            verifying[name] = [(text, until) for text, until in others if text]
    turn = state.secrets.get(TURN_SECRET)
    counts = turn is not None and turn.until is not None and turn.until > now
    return Rotations(
        state.count,
        known.get(APP_SECRET, ""),
        verifying,
        {kid: each.until for kid, each in state.public.items() if each.until is not None},
        known.get(TURN_SECRET + FORMER, "") if counts else "",
        [
            known[name + FORMER]
            for name, entry in state.secrets.items()
            if entry.stage == CHANGING and name + FORMER in known
        ],
    )


def with_rotations(
    keys: Sequence[Mapping[str, Any]], secrets: Mapping[str, str], rotations: Rotations
) -> list[dict[str, Any]]:
    """The keys by which tokens are verified, each with what verifies: what mints first.

    ``keys`` are those of the model, with the one secret as one without a kid; ``secrets`` are by
    kid.
    """
    found = []
    for key in keys:
        kid = key.get("kid")
        until = rotations.withdrawn.get(kid or "") if key.get("public_key") else None
        found.append({**key, "not_after": _earlier(key.get("not_after"), until)})
        if not key.get("public_key"):
            found[-1]["secret"] = secrets[kid or ""]
        for secret, ends in rotations.verifying.get(key.get("secret_name") or "", ()):
            end = _earlier(key.get("not_after"), ends)
            found.append({**key, "secret": secret, "not_after": end})
    return found


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)

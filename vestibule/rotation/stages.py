"""Which stage a rotation is in, what comes next, and how the store of secrets changes for it."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vestibule.model.token_keys import COUNTS
from vestibule.rotation import RotationError
from vestibule.rotation.request import BRIDGES, FOCUS, TOKENS, TURN, Request
from vestibule.rotation.state import (
    APP_SECRET,
    CHANGING,
    CREDENTIALS_LIVE,
    FORMER,
    MADE,
    NEXT,
    SERVED,
    TOKEN_SECRET,
    TURN_SECRET,
    USED,
    WITHDRAWN,
    Entry,
    State,
)
from vestibule.secret_store import SECRET_BYTES
from vestibule.tokens.times import moment

_PASSWORDS = {FOCUS: "focus_password", BRIDGES: "bridge_password"}
# What people notice of each, which a test of servers measures
_NOTICED = (
    "Prosody, Jicofo, bridges and TURN whose secret changes are restarted: every meeting is"
    " interrupted once, and people are back by themselves after some seconds. Choose a quiet hour."
)

Change = Callable[[dict[str, str], State], None]


@dataclass(frozen=True)
class Deployment:
    """What a rotation has to know of a deployment."""

    options: Mapping[str, Any]  # of its model
    accounts: Mapping[str, str]  # names of secrets by address
    has_turn: bool
    has_own_secret: bool  # jitsi_token_secret
    life: int  # seconds for which a token may be accepted that is signed now
    store: str  # path of the secrets


@dataclass(frozen=True)
class Stage:
    """What a run does."""

    before: tuple[str, ...]  # sentences
    after: tuple[str, ...] = ()
    change: Change | None = None  # of the store, with which it begins
    names: tuple[str, ...] = ()  # of what is noted once it is deployed: secrets, or a public key
    kid: str = ""
    proof: str = ""  # name of the secret that has to be accepted; empty: what mints


def stage_of(request: Request, known: Mapping[str, str], of: Deployment, now: float) -> Stage:
    """What this run has to do. Raises RotationError."""
    state = State.of(known)
    if TOKENS not in request.what:
        return _passwords(request, known, state, of, now)
    key = _key(request, state, of)
    if key["public_key"]:
        return _public(request, state, key, of, now)
    if request.successor:
        raise RotationError(
            "successor is for public keys, whose private half is elsewhere. A secret gets another"
            " one by itself: leave successor out."
        )
    return _shared(request, known, state, key, of, now)


def status_of(known: Mapping[str, str], now: float) -> list[str]:
    """One sentence for each rotation that has begun."""
    state = State.of(known)
    entries = {**state.secrets, **{f"the public key {kid}": it for kid, it in state.public.items()}}
    return [f"{name}: {_told(entry, now)}" for name, entry in entries.items()] or [
        "No rotation has begun."
    ]


def _told(entry: Entry, now: float) -> str:
    until = moment(entry.until or 0, now)
    is_over = entry.until is not None and now >= entry.until
    return {
        MADE: "the new one is there, and was not yet seen to be accepted. Run this again.",
        SERVED: "stage 1 of 3, both are accepted, and the former one signs. Run this again when"
        " whoever signs has the new one.",
        USED: f"stage 3 is due: the former one ended {until}. Run this again."
        if is_over
        else f"stage 2 of 3, the new one signs; the former one ends {until}.",
        WITHDRAWN: "the former one is withdrawn.",
        CHANGING: "the new one is there, and not yet deployed. Run this again.",
    }[entry.stage]


# Keys of tokens


def _key(request: Request, state: State, of: Deployment) -> Mapping[str, Any]:
    """The key to rotate, as in the model; the one secret as one without a kid."""
    keys = {key["kid"]: key for key in of.options["token_keys"]}
    if not keys:
        if request.kid or request.successor:
            raise RotationError(
                "kid and successor name keys of jitsi_token_keys, and there are none. Leave them"
                " out to rotate token_secret."
            )
        if of.has_own_secret:
            raise RotationError(
                "jitsi_token_secret is set in the inventory, where no playbook writes. Move its"
                f" text to {of.store} as token_secret, remove the variable, and run this again:"
                " nobody notices that."
            )
        return {"kid": "", "public_key": None, "secret_name": TOKEN_SECRET}
    kid = request.kid or _begun(keys, state) or of.options["token_mint_kid"]
    names = ", ".join(keys)
    if not kid:
        raise RotationError(f"Several keys could be meant. Say -e kid= and one of {names}.")
    if kid not in keys:
        raise RotationError(f"kid is {kid}, which is not in jitsi_token_keys. There are {names}.")
    key: Mapping[str, Any] = keys[kid]
    if not key["public_key"] and not key["secret_name"]:
        raise RotationError(
            f"The key {kid} has its secret in the inventory, where no playbook writes. Move its"
            f" text to {of.store} under a name such as token_key_1, name that in secret_name in"
            " place of secret, and run this again: nobody notices that."
        )
    return key


def _begun(keys: Mapping[str, Mapping[str, Any]], state: State) -> str:
    """The kid whose rotation goes on, if there is one; several have to be told apart by kid."""
    begun = [
        kid
        for kid, key in keys.items()
        if key["secret_name"] in state.secrets
        or (kid in state.public and state.public[kid].stage != WITHDRAWN)
    ]
    if len(begun) > 1:
        raise RotationError(
            f"Several rotations have begun. Say -e kid= and one of {', '.join(begun)}."
        )
    return begun[0] if begun else ""


def _shared(
    request: Request,
    known: Mapping[str, str],
    state: State,
    key: Mapping[str, Any],
    of: Deployment,
    now: float,
) -> Stage:
    name = key["secret_name"]
    if name not in known:
        raise RotationError(
            f"{of.store} has no {name}, so there is nothing to rotate. Deploy with"
            " playbooks/site.yml first."
        )
    entry = state.secrets.get(name, Entry(""))
    given = (
        f"Applications that sign with {name} have to be given {name}{NEXT} of {of.store} now. Run"
        " this again when all of them sign with it, or at once where none does: from then on the"
        f" former one counts for {_life(of)} more."
    )
    if request.now and entry.stage != WITHDRAWN:
        return Stage(
            (
                f"The former {name} is withdrawn at once. Refused from now on: every link and"
                " token that is signed with it, also at the next login of people who are inside,"
                " and whatever applications sign until they have the new one. Open sessions stay;"
                " jitsi_token_revoked (issued_before) closes them.",
            ),
            (f"{name} of {of.store} is the new key. Give it to your applications.",),
            lambda store, it: _promote(store, it, name, None),
            (name,),
            key["kid"],
            name,
        )
    if entry.stage in ("", MADE):
        return Stage(
            (
                "Stage 1 of 3: the server takes tokens of a new key as well. Nothing is signed with"
                " it yet, and nobody notices.",
            ),
            (given,),
            None if entry.stage else lambda store, it: _make(store, it, name),
            (name,),
            key["kid"],
            name + NEXT,
        )
    if entry.stage == SERVED:
        until = int(now) + of.life
        return Stage(
            (
                "Stage 2 of 3: links are signed with the new key. Tokens of the former one count"
                " until the last of them has ended, and what is signed with it after that is"
                " refused. Nobody notices.",
            ),
            (_ends(name, until, now),),
            lambda store, it: _promote(store, it, name, until),
            (name,),
            key["kid"],
            name,
        )
    if entry.stage == USED and entry.until is not None and now < entry.until:
        return Stage((_ends(name, entry.until, now),), (), None, (name,), key["kid"], name)
    return Stage(
        (f"Stage 3 of 3: the former {name} is withdrawn. The last of its tokens has ended.",),
        ("The rotation is complete.",),
        None if entry.stage == WITHDRAWN else lambda store, it: _withdraw(store, it, name),
        (name,),
        key["kid"],
        name,
    )


def _life(of: Deployment) -> str:
    return f"{of.life} seconds" if of.life < 7200 else f"{of.life // 3600} hours"


def _ends(name: str, until: int, now: float) -> str:
    return (
        f"The former {name} ends {moment(until, now)}. It counts no more from then on, also where"
        " nobody runs this again; a run after that removes it."
    )


def _make(store: dict[str, str], state: State, name: str) -> None:
    store[name + NEXT] = random.token_urlsafe(SECRET_BYTES)
    state.secrets[name] = Entry(MADE)


def _promote(store: dict[str, str], state: State, name: str, until: int | None) -> None:
    """Have the next one sign, made now where there is none; the former one counts until then."""
    if name == TOKEN_SECRET:
        store.setdefault(APP_SECRET, store[name])
    used = state.secrets.get(name, Entry("")).stage == USED
    former, store[name] = (
        store[name],
        store[name] if used else store.pop(name + NEXT, random.token_urlsafe(SECRET_BYTES)),
    )
    if until is None:
        store.pop(name + FORMER, None)
        state.secrets[name] = Entry(WITHDRAWN)
    else:
        store[name + FORMER] = former
        state.secrets[name] = Entry(USED, until)


def _withdraw(store: dict[str, str], state: State, name: str) -> None:
    store.pop(name + FORMER, None)
    state.secrets[name] = Entry(WITHDRAWN)


def finish(store: dict[str, str], state: State, names: Iterable[str]) -> None:
    """Note of these that they are deployed and proven."""
    for name in names:
        for entries in (state.secrets, state.public):
            entry = entries.get(name, Entry(""))
            if entry.stage == MADE:
                entry.stage = SERVED
            elif entry.stage == CHANGING and entry.until is not None:
                entry.stage = USED
            elif entry.stage in (CHANGING, WITHDRAWN) and entries is state.secrets:
                store.pop(name + FORMER, None)
                del entries[name]


def tidy(state: State, options: Mapping[str, Any]) -> None:
    """Forget withdrawn keys that are no longer in the inventory."""
    there = [key["kid"] for key in options["token_keys"]]
    for kid in [kid for kid, each in state.public.items() if each.stage == WITHDRAWN]:
        if kid not in there:
            del state.public[kid]


# Public keys


def _public(
    request: Request, state: State, key: Mapping[str, Any], of: Deployment, now: float
) -> Stage:
    kid = key["kid"]
    entry = state.public.get(kid, Entry("", successor=request.successor))
    if entry.stage == WITHDRAWN:
        return Stage((f"{kid} is withdrawn. Remove it from jitsi_token_keys.",))
    if request.successor and entry.successor != request.successor:
        raise RotationError(
            f"The rotation of {kid} to {entry.successor} has begun. Leave successor out to go on."
        )
    successor = _successor(kid, entry.successor, key, of)

    def moved(stage: str, until: int | None = None) -> Change:
        def change(_: dict[str, str], it: State) -> None:
            it.public[kid] = Entry(stage, until, successor)

        return change

    removed = f"Remove {kid} from jitsi_token_keys now; until then it is left out by itself."
    if request.now:
        return Stage(
            (
                f"{kid} is withdrawn at once. Refused from now on: every token that is signed with"
                f" it, also at the next login of people who are inside. Tokens of {successor}"
                " count. Open sessions stay; jitsi_token_revoked (kids) closes them.",
            ),
            (removed,),
            moved(WITHDRAWN, int(now)),
            (kid,),
        )
    if entry.stage in ("", MADE):
        return Stage(
            (f"Stage 1 of 3: the server takes tokens of {successor} as well. Nobody notices.",),
            (
                f"Have your application sign with the private key of {successor}, and write that"
                " kid into the header. Nobody here has that key: join a meeting with such a token."
                f" Run this again when none signs with {kid} any more: it counts for"
                f" {_life(of)} from then on.",
            ),
            None if entry.stage else moved(MADE),
            (kid,),
        )
    if entry.stage == SERVED:
        until = int(now) + of.life
        return Stage(
            (f"Stage 2 of 3: {kid} counts until the last of its tokens has ended.",),
            (_ends(kid, until, now),),
            moved(USED, until),
            (kid,),
        )
    if entry.until is not None and now < entry.until:
        return Stage((_ends(kid, entry.until, now),))
    return Stage(
        (f"Stage 3 of 3: {kid} is withdrawn. The last of its tokens has ended.",),
        (removed,),
        moved(WITHDRAWN, entry.until),
        (kid,),
    )


def _successor(kid: str, successor: str, key: Mapping[str, Any], of: Deployment) -> str:
    """The kid that takes its place, where all tokens of one would be accepted of the other."""
    keys = {each["kid"]: each for each in of.options["token_keys"]}
    if not successor:
        raise RotationError(
            f"{kid} is a public key, and its private half is with whoever signs. Make a new pair"
            " there, add the new public key to jitsi_token_keys beside it, with a kid of its own,"
            " and say that with -e successor=."
        )
    other = keys.get(successor)
    if successor == kid or other is None or not other["public_key"]:
        raise RotationError(
            f"successor is {successor}, and has to be another public key of jitsi_token_keys. Add"
            " it there, with a kid of its own."
        )
    if other["state"] != COUNTS or other["not_after"] is not None:
        raise RotationError(
            f"{successor} does not count now, or ends. Correct its not_before and not_after in"
            " jitsi_token_keys."
        )
    for member in ("issuers", "tenants"):
        mine, its = set(key[member]), set(other[member])
        if its and not (mine and mine <= its):
            raise RotationError(
                f"{successor} may not sign for all {member} of {kid}, so tokens would be refused."
                f" Give both the same {member} in jitsi_token_keys."
            )
    return successor


# Passwords, and the secret of TURN


def _passwords(
    request: Request, known: Mapping[str, str], state: State, of: Deployment, now: float
) -> Stage:
    names = [
        name
        for what in request.what
        for name in (
            [TURN_SECRET]
            if what == TURN
            else [each for each in of.accounts.values() if each.startswith(_PASSWORDS[what])]
        )
    ]
    for what in request.what:
        if (
            not of.has_turn
            if what == TURN
            else not any(each.startswith(_PASSWORDS[what]) for each in names)
        ):
            raise RotationError(f"This deployment has no {what}. Leave that out of rotate.")
    for name in names:
        if name not in known:
            raise RotationError(
                f"{of.store} has no {name}, so there is nothing to rotate. Deploy with"
                " playbooks/site.yml first."
            )
    changing = [name for name, each in state.secrets.items() if each.stage == CHANGING]
    turn = state.secrets.get(TURN_SECRET)
    ends = turn.until if turn and turn.stage == USED and TURN_SECRET in names else None
    if ends and now < ends and not request.now:
        raise RotationError(
            f"The former turn_secret counts until {moment(ends, now)}. Run this after that; or with"
            " -e now=true, which ends it."
        )
    until = None if request.now else int(now) + CREDENTIALS_LIVE

    def change(store: dict[str, str], it: State) -> None:
        for name in names:
            if name not in changing:
                store[name + FORMER] = store[name]
                store[name] = random.token_urlsafe(SECRET_BYTES)
                it.secrets[name] = Entry(CHANGING, until if name == TURN_SECRET else None)
        if request.now and TURN_SECRET in names:
            it.secrets[TURN_SECRET].until = None  # also where a run was cut off that kept it

    after = (
        f"TURN takes credentials of the former secret until {moment(until or 0, now)}; the first"
        " run of playbooks/site.yml after that removes it, and restarts TURN.",
    )
    return Stage(
        (f"New: {', '.join(names)}. {_NOTICED}",),
        after if TURN in request.what and until else (),
        change if request.now or set(names) - set(changing) else None,
        tuple({*names, *changing}),
    )

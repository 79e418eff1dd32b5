"""Plays the chosen cases over the transports, several at a time, and judges what comes back."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .attempts import Attempt
from .cases import Case
from .participant import Participant
from .scene import Entrance, Scene
from .tokens import MintError, SecretUnknownError
from .xmpp import AccessError, Broken, NoAnswer, Refused, Room

_AT_ONCE = 8  # cases: enough to hide the waiting for answers, too few to crowd two cores
EXPLAINED = 3  # wrong verdicts that are shown in full
QUIET = 0.5  # seconds of silence between two cases that are played again
_RETRY = 0.5  # seconds between questions to a Jicofo that is still starting


@dataclass(frozen=True)
class Verdict:
    """What became of one case over one transport."""

    case: Case
    transport: str
    got: str
    ok: bool
    ms: int  # milliseconds that the attempts took, without the control
    began: float  # seconds since the epoch, control included
    ended: float
    left_out: tuple[str, ...] = ()  # ways that take a secret which only a command knows


class FocusAbsent(Exception):
    """Jicofo answers nobody."""


async def wait_for_focus(entrances: Sequence[Entrance], patience: float) -> None:
    """Return once Jicofo opens a room, for it may still be starting.

    Returns early when a valid token is refused: that is for the cases to show.

    Raises FocusAbsent when it did not within ``patience`` seconds, Broken or NoAnswer when the
    server cannot be reached over any of the transports.
    """
    deadline = time.monotonic() + patience
    unreachable: AccessError | None = None
    for entrance in entrances:
        room = entrance.room()
        try:
            async with entrance.login(room, entrance.issuer.token(room=room.name)) as somebody:
                await _ask_until(deadline, somebody, room)
                return
        except Refused:
            return
        except (Broken, NoAnswer) as error:
            unreachable = error
    if unreachable:
        raise unreachable


async def wait_for_bridge(entrance: Entrance, patience: float) -> None:
    """Return once two people are given places on a bridge, or after ``patience`` seconds.

    The first place of a bridge that has just started can take so long that Jicofo lets the bridge
    rest for a minute. Whether there is one at all is for the cases to show.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        room = entrance.room()
        token = entrance.issuer.token(room=room.name)
        try:
            async with entrance.enter(room, token) as first, entrance.enter(room, token) as second:
                await first.place(room)
                await second.place(room)
                return
        except (Refused, NoAnswer) as error:
            if isinstance(error, Refused) and error.condition != "no-bridge":
                return
            await asyncio.sleep(_RETRY)
        except Broken:
            return


async def _ask_until(deadline: float, somebody: Participant, room: Room) -> None:
    while True:
        try:
            await somebody.request_conference(room)
        except (Refused, NoAnswer) as error:
            if time.monotonic() > deadline:
                raise FocusAbsent(str(error)) from None
            await asyncio.sleep(_RETRY)
        else:
            return


async def play(
    cases: Sequence[Case], entrances: Sequence[Entrance], announce: Callable[[Verdict], None]
) -> list[Verdict]:
    """Play every case through every entrance. ``announce`` hears of each verdict, in this order.

    There is none of a case whose every way takes a secret that only a command knows.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def judge_if_known(case: Case, entrance: Entrance) -> Verdict | None:
        try:
            return await judge(case, entrance)
        except SecretUnknownError:
            return None

    async def judge_in_turn(case: Case, entrance: Entrance) -> Verdict | None:
        async with places:
            return await judge_if_known(case, entrance)

    verdicts = []
    async with asyncio.TaskGroup() as group:
        # What waits for the server's clock begins at once and takes nobody's place
        games = {
            (case.name, entrance.kind.name): group.create_task(
                judge_if_known(case, entrance) if case.slow else judge_in_turn(case, entrance)
            )
            for case in sorted(cases, key=lambda case: not case.slow)
            for entrance in entrances
            if case.only_over in ("", entrance.kind.name)
        }
        for case in cases:
            for entrance in entrances:
                game = games.get((case.name, entrance.kind.name))
                if game and (verdict := await game):
                    verdicts.append(verdict)
                    announce(verdict)
    return verdicts


async def play_again(
    wrong: Sequence[Verdict], entrances: Sequence[Entrance]
) -> list[tuple[Verdict, Verdict]]:
    """Play the first wrong ones once more, each alone, so that the server's log is about it."""
    by_transport = {entrance.kind.name: entrance for entrance in entrances}
    pairs = []
    for verdict in wrong[:EXPLAINED]:
        await asyncio.sleep(QUIET)
        pairs.append((verdict, await judge(verdict.case, by_transport[verdict.transport])))
    return pairs


async def judge(case: Case, entrance: Entrance) -> Verdict:
    """Play one case: its control, then its attempts while what the control built still stands.

    Where it has several places, all of them, up to the first that is wrong.

    Raises SecretUnknownError where a command mints and no attempt can do without what it signs
    with, MintError where it does not mint.
    """
    began, started = time.time(), time.perf_counter()
    got, ok, ms = "nowhere to try it", False, 0
    left_out: tuple[str, ...] = ()
    places = case.places(entrance)
    for place in places:
        try:
            async with case.control(place) as scene:
                started = time.perf_counter()
                got, ok, here = await _try_all(case, scene)
                left_out = tuple(dict.fromkeys((*left_out, *here)))
                ms += _milliseconds_since(started)
        except AccessError as error:
            got, ok, ms = f"control failed: {error}", False, _milliseconds_since(started)
        except (SecretUnknownError, MintError):
            raise
        except Exception as error:
            got, ok, ms = f"the case broke: {_place_of(error)}", False, _milliseconds_since(started)
        if not ok:
            got += f" at {place.turn.door.domain}" if place.turn else ""
            break
    got += f", {len(places)} servers" if ok and len(places) > 1 else ""
    return Verdict(case, entrance.kind.name, got, ok, ms, began, time.time(), left_out)


async def _try_all(case: Case, scene: Scene) -> tuple[str, bool, tuple[str, ...]]:
    """The first wrong outcome, or that of the first attempt where all are right; what is left out.

    Raises SecretUnknownError where all is.
    """
    outcomes: list[str] = []
    left_out: list[str] = []
    for way, attempt in case.attempts_with(scene.entrance.features).items():
        try:
            outcome, ok = await attempt_once(case, attempt, scene)
        except SecretUnknownError:
            left_out.append(way)
            continue
        if not ok:
            return f"{outcome} [{way}]", False, tuple(left_out)
        outcomes.append(outcome)
    if not outcomes:
        raise SecretUnknownError
    ways = f", {len(outcomes)} ways" if len(outcomes) > 1 else ""
    return outcomes[0] + ways, True, tuple(left_out)


async def attempt_once(case: Case, attempt: Attempt, scene: Scene) -> tuple[str, bool]:
    """What came of one attempt, and whether the case expects that."""
    try:
        outcome = await attempt(scene)
    except Refused as refused:
        return str(refused), any(refusal.covers(refused) for refusal in case.refusals)
    except (Broken, NoAnswer) as error:
        return str(error), False
    return outcome, not case.refusals and outcome == case.outcome


def _place_of(error: Exception) -> str:
    """What an error is and where it came from; its words may know a token."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


def _milliseconds_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)

"""No meeting is left to people without power: a search over every state that a meeting can reach.

A small model of the doors of a meeting, of what people do at them and inside, and of what Jitsi's
plugins, Jicofo and our modules make of it. Each of our rules can be switched off, and then the
search finds the shortest way into a state that nobody gets out of: that shows both that the rule is
needed and that the search sees.

The model says what was seen on servers, with Jitsi's plugins of August 2026; tests/servers and the
access cases play its turning points. What no transition depends on is not in its state: silence
(av_moderation) may be on in any state, so it is asked about in all of them.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import NamedTuple

import pytest


class Place(IntEnum):
    """Where somebody is, and whether they own the meeting. Who comes from outside is new."""

    OUT = 0
    LOBBY = 1
    MAIN = 2
    BESIDE = 3  # in a breakout room
    LOST = 4  # the connection is cut, and may still be resumed
    MAIN_OWNER = 5
    BESIDE_OWNER = 6
    LOST_OWNER = 7

    __hash__ = int.__hash__  # that of enums is several times slower


INSIDE = frozenset(range(Place.MAIN, Place.LOST_OWNER + 1))
SEATED = frozenset({Place.MAIN, Place.LOST, Place.MAIN_OWNER, Place.LOST_OWNER})
CONNECTED = INSIDE - {Place.LOST, Place.LOST_OWNER}
OWNING = frozenset({Place.MAIN_OWNER, Place.BESIDE_OWNER, Place.LOST_OWNER})
ACTING = frozenset({Place.MAIN_OWNER, Place.BESIDE_OWNER})
PROMOTED = {each: Place(each + 3) for each in (Place.MAIN, Place.BESIDE, Place.LOST)}
DEMOTED = {owner: place for place, owner in PROMOTED.items()}


class Lobby(IntEnum):
    """What keeps newcomers out of the room."""

    OFF = 0
    ON = 1
    FOR_HOST = 2  # people wait for somebody who opens the meeting
    LOST = 3  # for members only, and there is no lobby in which others could wait

    __hash__ = int.__hash__


@dataclass(frozen=True)
class Features:
    """What decides over doors and power."""

    moderation: str  # token (affiliation), presence (first_is_owner), login (jicofo_login)
    guests: bool = False
    lobby_always: bool = False
    owner_party: bool = False
    max_occupants: bool = False
    breakout: bool = False
    av_moderation: bool = False


@dataclass(frozen=True)
class Rules:
    """What our modules add to upstream's."""

    members_first: bool = True  # who is inside becomes a member before the lobby comes on
    form_keeps_lobby: bool = True  # a form without the field leaves it as it is
    travellers_pass: bool = True  # nobody needs a password to return from a breakout room
    no_host_bans: bool = True
    token_passes_lobby: bool = True
    token_passes_password: bool = True
    one_more_place: bool = True  # for somebody who can moderate, where nobody in the meeting can
    places_are_kept: bool = True  # of those in breakout rooms
    may_speak: bool = True  # whoever comes as a moderator
    elects: bool = True  # where nobody has power, and token or login do not say who has it
    ends_empty: bool = True  # a meeting in which Jicofo alone is left


class State(NamedTuple):
    """A meeting, or none: then nobody is in it and Jicofo is not either."""

    places: tuple[Place, ...]
    lobby: Lobby = Lobby.OFF
    password: bool = False
    elected: int = -1  # whom Jicofo made owner and sees in the room, -1 for nobody
    host_banned: bool = False
    stranded: bool = False  # Jicofo stays in the room, whether people do or not
    moderated: bool = False  # an owner was there
    sent_out: str = ""  # whom the server sent out of the meeting, though nobody wanted that


PLACES = 2  # of a meeting with max_occupants
NOBODY = -1


class Person(NamedTuple):
    """Somebody of the cast, and what their token says."""

    name: str
    has_token: bool = False
    owner_token: bool = False


HOST = Person("the host", has_token=True, owner_token=True)
MEMBER = Person("a member", has_token=True)
OTHER = Person("another member", has_token=True)
GUEST = Person("a guest")

Move = tuple[str, State]


class Meeting:
    """The transitions of a meeting with these features, under these rules."""

    def __init__(self, features: Features, rules: Rules) -> None:
        self.features = features
        self.rules = rules
        self.cast: tuple[Person, ...] = (HOST, MEMBER, GUEST if features.guests else OTHER)
        self.start = State((Place.OUT,) * len(self.cast))

    # Doors

    def can_moderate(self, person: Person, place: Place) -> bool:
        """Whether somebody inside is an owner, or is made one when it matters."""
        return place in OWNING or (
            self.features.moderation != "token" and person.has_token and place in INSIDE
        )

    def somebody_can(self, state: State, among: frozenset[int] = INSIDE) -> bool:
        """Whether anybody there can moderate."""
        return any(
            place in among and self.can_moderate(person, place)
            for person, place in zip(self.cast, state.places, strict=True)
        )

    def is_awaited(self, state: State, person: Person) -> bool:
        """Whether this token opens what is closed, as mod_moderator_returns has it."""
        if self.features.moderation == "token":
            return person.owner_token
        return person.has_token and not self.somebody_can(state)

    def door(
        self, state: State, person: Person, *, password: bool = False, returns: bool = False
    ) -> Place:
        """Where somebody gets who joins the room. OUT for a refusal."""
        rules, features = self.rules, self.features
        awaited = self.is_awaited(state, person)
        if state.host_banned and person.has_token:
            return Place.OUT
        if features.max_occupants and not self.finds_place(state, awaited=awaited, returns=returns):
            return Place.OUT
        knows = state.password and password
        member = returns  # who was inside when the lobby came on, or came in through it
        if features.owner_party and not returns and not person.owner_token and not owned(state):
            return Place.LOBBY
        if state.lobby != Lobby.OFF and not member and not knows:
            waits = state.lobby != Lobby.LOST
            if not (awaited and rules.token_passes_lobby):
                return Place.LOBBY if waits else Place.OUT
        passes = (awaited and rules.token_passes_password) or (returns and rules.travellers_pass)
        # muc_lobby_rooms spares members the password where there is a lobby
        spared = state.lobby != Lobby.OFF and member
        if state.password and not (knows or passes or spared):
            return Place.OUT
        is_owner = (
            person.owner_token
            if features.moderation == "token"
            else features.moderation == "login" and person.has_token
        ) or (awaited and is_closed(state) and rules.token_passes_lobby)
        return Place.MAIN_OWNER if is_owner else Place.MAIN

    def finds_place(self, state: State, *, awaited: bool, returns: bool) -> bool:
        """Whether a meeting of a limited size takes somebody."""
        if returns and self.rules.places_are_kept:
            return True
        counted = INSIDE if self.rules.places_are_kept else SEATED
        free = PLACES - sum(place in counted for place in state.places)
        if self.rules.one_more_place and awaited and not self.somebody_can(state, CONNECTED):
            free += 1
        return free > 0

    def enter(self, state: State, index: int, **how: bool) -> Iterator[Move]:
        """Somebody joins the room from outside, from its lobby or from a breakout room."""
        person, before = self.cast[index], state.places[index]
        arrives = not exists(state)
        opens = person.has_token and (not self.features.owner_party or person.owner_token)
        if arrives and self.features.lobby_always:
            state = state._replace(lobby=Lobby.ON)
        elif arrives and not opens and (self.features.guests or self.features.owner_party):
            state = state._replace(lobby=Lobby.FOR_HOST)
        elif state.lobby == Lobby.FOR_HOST and opens:
            # Those who wait are sent to the room
            state = state._replace(lobby=Lobby.OFF, places=emptied(state.places, Place.LOBBY))
        place = self.door(state, person, **how)
        if before == Place.BESIDE_OWNER and place == Place.MAIN:
            place = Place.MAIN_OWNER  # affiliations outlast a change of rooms
        state = moved(state, index, place)
        if how.get("returns") and place not in INSIDE:
            state = state._replace(sent_out=person.name)
        suffix = " with the password" if how.get("password") else ""
        yield f"{person.name} {words_of(place)}{suffix}", self.after(state)

    # What everybody does

    def moves(self, state: State) -> Iterator[Move]:
        """Everything that can happen next, in words."""
        for index, (person, place) in enumerate(zip(self.cast, state.places, strict=True)):
            if place in (Place.OUT, Place.LOBBY):
                yield from self.enter(state, index)
                if state.password:
                    yield from self.enter(state, index, password=True)
            if place == Place.LOBBY:
                yield f"{person.name} leaves the lobby", self.after(moved(state, index, Place.OUT))
            elif place in INSIDE:
                yield from self.inside(state, index, person, place)
            if place in ACTING:
                yield from self.moderates(state, index, person.name)
        yield "time passes", self.settled(state)

    def inside(self, state: State, index: int, person: Person, place: Place) -> Iterator[Move]:
        """What somebody in a room of the meeting may do, with or without power."""
        is_owner = place in OWNING
        if place in (Place.LOST, Place.LOST_OWNER):
            back = Place.MAIN_OWNER if is_owner else Place.MAIN
            yield f"{person.name} resumes", moved(state, index, back)
            return
        gone = moved(state, index, Place.OUT)
        yield f"{person.name} leaves", self.after(gone)
        if INSIDE.isdisjoint(gone.places):
            yield f"{person.name} leaves, and a recorder stays", gone._replace(stranded=True)
        if place in (Place.MAIN, Place.MAIN_OWNER):
            lost = Place.LOST_OWNER if is_owner else Place.LOST
            if person.owner_token:  # one is enough
                yield f"{person.name} is cut off", moved(state, index, lost)
            if self.features.breakout:
                beside = Place.BESIDE_OWNER if is_owner else Place.BESIDE
                words = f"{person.name} goes to a breakout room"
                yield words, self.after(moved(state, index, beside))
        else:
            for _, after in self.enter(state, index, returns=True):
                yield f"{person.name} comes back from the breakout room", after

    def moderates(self, state: State, index: int, name: str) -> Iterator[Move]:
        """What an owner may do to the meeting and to others."""
        if state.lobby in (Lobby.OFF, Lobby.LOST):
            yield f"{name} turns the lobby on", self.after(self.lobby_on(state))
        if state.lobby in (Lobby.ON, Lobby.LOST):
            opened = state._replace(lobby=Lobby.OFF, places=emptied(state.places, Place.LOBBY))
            yield f"{name} turns the lobby off", self.after(opened)
        changed = state._replace(password=not state.password)
        yield f"{name} {'removes' if state.password else 'sets'} a password", changed
        if state.lobby == Lobby.ON and not self.rules.form_keeps_lobby:
            lost = state._replace(lobby=Lobby.LOST, places=emptied(state.places, Place.LOBBY))
            yield f"{name} changes the subject by a form without the lobby", self.after(lost)
        if not self.rules.no_host_bans:
            places = tuple(
                Place.OUT if person.has_token and place in INSIDE else place
                for person, place in zip(self.cast, state.places, strict=True)
            )
            banned = state._replace(places=places, host_banned=True)
            yield f"{name} bans the host of those with a token", self.after(banned)
        for other, (person, place) in enumerate(zip(self.cast, state.places, strict=True)):
            whom = "nobody else" if other == index else person.name
            if place == Place.LOBBY:
                yield f"{name} admits {whom}", self.after(moved(state, other, Place.MAIN))
            elif place in DEMOTED:
                words = f"{name} steps down" if other == index else f"{name} demotes {whom}"
                yield words, self.after(moved(state, other, DEMOTED[place]))
            elif place in PROMOTED:
                yield f"{name} promotes {whom}", self.after(moved(state, other, PROMOTED[place]))
            if other != index and place in INSIDE:
                yield f"{name} throws {whom} out", self.after(moved(state, other, Place.OUT))

    def lobby_on(self, state: State) -> State:
        """Prosody sends out who is no member, and tells nobody."""
        stranded, sent_out, places = state.stranded, state.sent_out, list(state.places)
        if not self.rules.members_first:
            for index, person in enumerate(self.cast):
                # token_affiliation makes members of those with a token
                is_member = self.features.moderation == "token" and person.has_token
                if places[index] in PROMOTED and not is_member:
                    stranded = stranded or places[index] in SEATED
                    places[index], sent_out = Place.OUT, person.name
        return state._replace(
            lobby=Lobby.ON, places=tuple(places), stranded=stranded, sent_out=sent_out
        )

    # What Jicofo and the server do

    def after(self, state: State) -> State:
        """What follows at once: Jicofo elects, or leaves a room without people."""
        if not state.moderated and owned(state):
            state = state._replace(moderated=True)
        if self.features.moderation == "presence":
            state = self.elected(state)
        if INSIDE.isdisjoint(state.places) and not state.stranded:
            return self.ended(state)
        return state

    def elected(self, state: State) -> State:
        """Jicofo makes somebody owner when whom it made one has left, and not before."""
        main = (Place.MAIN, Place.MAIN_OWNER, Place.LOST, Place.LOST_OWNER)
        if state.elected != NOBODY and state.places[state.elected] in main:
            return state
        there = [index for index, place in enumerate(state.places) if place in main]
        owners = [index for index in there if state.places[index] in OWNING]
        # mod_guest_roles chooses among those with a token
        rest = [index for index in there if self.cast[index].has_token]
        for index in [*owners, *rest]:
            place = state.places[index]
            return moved(state, index, PROMOTED.get(place, place))._replace(elected=index)
        return state._replace(elected=NOBODY)

    def ended(self, state: State) -> State:
        """The meeting is over. Its lobby goes with it, unless people wait for a host."""
        waits = self.features.lobby_always or state.lobby == Lobby.FOR_HOST
        if waits and Place.LOBBY in state.places:
            lobby = Lobby.ON if self.features.lobby_always else Lobby.FOR_HOST
            kept = emptied(state.places, *INSIDE)
            return State(kept, lobby=lobby)
        return self.start

    def settled(self, state: State) -> State:
        """What time does: lost connections end, and then the server sees to the meeting."""
        state = self.after(
            state._replace(places=emptied(state.places, Place.LOST, Place.LOST_OWNER))
        )
        people = not INSIDE.isdisjoint(state.places)
        if not people and state.stranded and self.rules.ends_empty:
            return self.ended(state)
        if not people or owned(state):
            return state
        if self.features.owner_party:
            return self.start
        if self.features.moderation != "token" and self.rules.elects:
            for index, (person, place) in enumerate(zip(self.cast, state.places, strict=True)):
                if person.has_token and place in PROMOTED:
                    return moved(state, index, PROMOTED[place])
            for index, (person, place) in enumerate(zip(self.cast, state.places, strict=True)):
                if person.has_token and place == Place.LOBBY:  # is asked in
                    return next(self.enter(state, index))[1]
        return state

    # What must not be

    def fault(self, state: State) -> str:
        """What is wrong for good with a state, or nothing."""
        if state.sent_out:
            return f"{state.sent_out} is outside, and nobody threw them out"
        if state.lobby == Lobby.LOST:
            return "the room takes members only, and nobody can wait to become one"
        before, state = state, self.settled(state)
        if self.is_lifted(before, state):
            return "the server has opened what a moderator closed"
        if (newcomer := self.intruder(state)) is not None:
            return f"{newcomer.name} passes the lobby, and nobody let them in"
        if state.stranded and INSIDE.isdisjoint(state.places):
            return "Jicofo stays in an empty room for ever"
        if INSIDE.isdisjoint(state.places):
            return ""
        if not ACTING.isdisjoint(state.places):
            return ""
        # Somebody with a host's token comes, or had one all the time and joins anew
        ways = [
            moved(state, index, Place.OUT)
            for index, (person, place) in enumerate(zip(self.cast, state.places, strict=True))
            if person.owner_token and place in CONNECTED
        ]
        arrivals = [(way, self.door(way, HOST)) for way in (state, *ways)]
        if not any(at in OWNING or self.gains_power(way, at) for way, at in arrivals):
            return f"a host's token {words_of(arrivals[0][1])}, and nobody has power"
        if state.moderated and self.features.av_moderation and not self.rules.may_speak:
            return "a host who comes back has power and may not speak"
        return ""

    def is_lifted(self, before: State, after: State) -> bool:
        """Whether time alone opened a meeting that goes on."""
        goes_on = not INSIDE.isdisjoint(after.places)
        closed = (before.lobby, before.password)
        return goes_on and closed != (after.lobby, after.password)

    def intruder(self, state: State) -> Person | None:
        """Somebody whom the lobby lets pass though the token says nothing of power over others."""
        if state.lobby != Lobby.ON:
            return None
        by_token = self.features.moderation == "token"
        for person in self.cast:
            has_power = person.owner_token if by_token else person.has_token and not owned(state)
            if not has_power and self.door(state, person) in INSIDE:
                return person
        return None

    def gains_power(self, state: State, place: Place) -> bool:
        """Whether anybody has power once Jicofo and the server have seen a newcomer there."""
        grown = Meeting(self.features, self.rules)
        grown.cast = (*self.cast, HOST)
        after = grown.settled(grown.after(state._replace(places=(*state.places, place))))
        return not ACTING.isdisjoint(after.places)


def words_of(place: Place) -> str:
    """What the door did."""
    return {Place.OUT: "is refused", Place.LOBBY: "waits in the lobby"}.get(place, "enters")


def exists(state: State) -> bool:
    """Whether there is a room."""
    return state.lobby != Lobby.OFF or any(place != Place.OUT for place in state.places)


def owned(state: State) -> bool:
    """Whether an owner is in the meeting."""
    return not OWNING.isdisjoint(state.places)


def is_closed(state: State) -> bool:
    """Whether newcomers are kept out."""
    return state.lobby != Lobby.OFF or state.password


def moved(state: State, index: int, place: Place) -> State:
    """The state with somebody elsewhere."""
    places = (*state.places[:index], place, *state.places[index + 1 :])
    return state._replace(places=places)


def emptied(places: tuple[Place, ...], *left: int) -> tuple[Place, ...]:
    """The places when everybody has left these."""
    return tuple(Place.OUT if place in left else place for place in places)


class Trace(NamedTuple):
    """The shortest way into a faulty state."""

    features: Features
    steps: tuple[str, ...]
    fault: str

    def __str__(self) -> str:
        chosen = [f"moderation by {self.features.moderation}"]
        chosen += [
            each.name for each in fields(self.features) if getattr(self.features, each.name) is True
        ]
        return f"With {', '.join(chosen)}: {'; '.join(self.steps)}. Then {self.fault}."


def search(features: Features, rules: Rules) -> tuple[Trace | None, int]:
    """The shortest trace to a fault, if there is one, and how many states were seen."""
    meeting = Meeting(features, rules)
    came: dict[State, tuple[State, str] | None] = {meeting.start: None}
    queue = deque([meeting.start])
    while queue:
        state = queue.popleft()
        fault = meeting.fault(state)
        if fault:
            steps: list[str] = []
            while (step := came[state]) is not None:
                state, words = step
                steps.insert(0, words)
            return Trace(features, tuple(steps), fault), len(came)
        for words, after in meeting.moves(state):
            if after not in came:
                came[after] = state, words
                queue.append(after)
    return None, len(came)


def feature_sets() -> list[Features]:
    """Every set that the features allow."""
    sets = []
    for max_occupants, breakout in itertools.product((False, True), repeat=2):
        # No transition depends on av_moderation, and with it there are more faults than without
        common = {"max_occupants": max_occupants, "breakout": breakout, "av_moderation": True}
        for guests, always, party in itertools.product((False, True), repeat=3):
            sets.append(Features("token", guests, lobby_always=always, owner_party=party, **common))
        sets += [Features("presence", guests, **common) for guests in (False, True)]
        sets.append(Features("login", guests=True, **common))
    return sets


SETS = feature_sets()

# The shortest way into a fault without one rule. Each was seen on servers.
TOKEN = Features("token", av_moderation=True)
WITHOUT = {
    "members_first": (
        replace(TOKEN, guests=True),
        "the host enters; a guest enters; the host turns the lobby on",
        "a guest is outside",
    ),
    "form_keeps_lobby": (
        replace(TOKEN, lobby_always=True),
        "the host enters; the host changes the subject by a form without the lobby",
        "nobody can wait to become one",
    ),
    "travellers_pass": (
        replace(TOKEN, breakout=True),
        "the host enters; the host sets a password; a member enters with the password; "
        "a member goes to a breakout room; a member comes back from the breakout room",
        "a member is outside",
    ),
    "no_host_bans": (
        replace(TOKEN, guests=True),
        "the host enters; a guest enters; the host bans the host of those with a token",
        "a host's token is refused",
    ),
    "token_passes_lobby": (
        TOKEN,
        "the host enters; the host turns the lobby on; the host steps down",
        "a host's token waits in the lobby",
    ),
    "token_passes_password": (
        TOKEN,
        "the host enters; the host sets a password; the host steps down",
        "a host's token is refused",
    ),
    "one_more_place": (
        replace(TOKEN, max_occupants=True),
        "a member enters; another member enters",
        "a host's token is refused",
    ),
    "places_are_kept": (
        replace(TOKEN, max_occupants=True, breakout=True),
        "the host enters; the host goes to a breakout room; a member enters; "
        "another member enters; the host comes back from the breakout room",
        "the host is outside",
    ),
    "may_speak": (TOKEN, "the host enters; the host steps down", "may not speak"),
    "elects": (Features("presence"), "a member enters; a member steps down", "nobody has power"),
    "ends_empty": (
        TOKEN,
        "the host enters; the host leaves, and a recorder stays",
        "Jicofo stays",
    ),
}


def test_every_feature_set_is_searched() -> None:
    assert len(set(SETS)) == len(SETS) == 44
    assert {each.moderation for each in SETS} == {"token", "presence", "login"}


@pytest.mark.parametrize("features", SETS, ids=str)
def test_no_state_leaves_only_people_without_power(features: Features) -> None:
    trace, states = search(features, Rules())
    assert trace is None, str(trace)
    assert states > 50


def test_every_rule_has_its_fault() -> None:
    assert set(WITHOUT) == {each.name for each in fields(Rules)}


@pytest.mark.parametrize("rule", WITHOUT)
def test_without_a_rule_the_search_finds_the_way_into_a_fault(rule: str) -> None:
    features, steps, fault = WITHOUT[rule]
    assert search(features, Rules())[0] is None
    trace, _ = search(features, replace(Rules(), **{rule: False}))
    assert trace is not None
    assert "; ".join(trace.steps) == steps
    assert fault in trace.fault


def test_a_trace_reads_as_a_story() -> None:
    features = Features("token", guests=True)
    trace, _ = search(features, replace(Rules(), members_first=False))
    assert str(trace) == (
        "With moderation by token, guests: the host enters; a guest enters; "
        "the host turns the lobby on. Then a guest is outside, and nobody threw them out."
    )

"""The server as a case sees it, and the controls that set the scene for its attempts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .chromium import Chromium
from .participant import Participant
from .tokens import Issuer, Key, SecretUnknownError, context
from .transports import Door, Transport
from .turn import Service
from .xmpp import MUC_OWNER, Refused, Room, Stage, element, fresh_name

MODERATES = "moderates"
ON_443 = "turn_on_443"  # the feature by which the port of HTTPS leads to TURN as well

TENANT, OTHER_TENANT = "tenant-a", "tenant-b"


@dataclass(frozen=True)
class TurnServer:
    """A TURN server by a name of its own, on another host than the pages."""

    door: Door
    options: Mapping[str, Any]  # those of TURN, by their names without jitsi_
    has_bridge: bool  # on its host
    bridge_addresses: tuple[str, ...]  # where relays reach bridges


@dataclass(frozen=True)
class Entrance:
    """One server as reached over one transport, what it has, and whose tokens it accepts."""

    door: Door
    kind: type[Transport]
    issuer: Issuer
    patience: float  # seconds that the server has for each answer
    features: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)  # jitsi_x of the inventory, by x
    browser: Chromium | None = None
    turn_secret: str = field(default="", repr=False)
    turn_beside: bool = True  # whether a TURN server has the name of the pages
    turn_servers: tuple[TurnServer, ...] = ()
    turn: TurnServer | None = None  # the one of these that is asked; None for the one beside
    keys: tuple[Key, ...] = ()
    bridges: tuple[str, ...] = ()  # names in the addresses of their channels
    bridge_addresses: tuple[str, ...] = ()  # where they are on other hosts
    login_port: int = 5222  # where bridges on other hosts log in

    @property
    def domain(self) -> str:
        """The server's main domain."""
        return self.door.domain

    def at_each_turn_server(self) -> tuple[Entrance, ...]:
        """The same for each TURN server that there is, with what is said of it alone."""
        elsewhere = (
            replace(
                self,
                turn=server,
                options={**self.options, **server.options},
                features=self.features - {ON_443},
                bridge_addresses=server.bridge_addresses,
            )
            for server in self.turn_servers
        )
        return (*([self] if self.turn_beside else []), *elsewhere)

    @property
    def tenant(self) -> str:
        """A tenant whose rooms are open here."""
        return self.tenants[0]

    @property
    def other_tenant(self) -> str:
        """Another one. It is not listed where the operator lists only one."""
        return self.tenants[1]

    @property
    def tenants(self) -> list[str]:
        """Names of tenants, those that the operator lists first."""
        listed: list[str] = self.options.get("tenants", [])
        return [*listed, *(name for name in (TENANT, OTHER_TENANT) if name not in listed)]

    def room(self, name: str = "", tenant: str = "", component: str = "conference") -> Room:
        """A room, of a name never used before where none is given."""
        return Room(name or fresh_name(), self.domain, tenant, component)

    @property
    def guest_host(self) -> str:
        """The XMPP host on which guests log in."""
        return f"guest.{self.domain}"

    def token(self, room: Room, **changes: Any) -> str:
        """An owner's token for ``room``, with changed claims."""
        return self.issuer.token(
            **{"room": room.name, "sub": room.tenant or self.domain, **changes}
        )

    def member_token(self, room: Room, **changes: Any) -> str:
        """The token of somebody who shall not moderate ``room``."""
        return self.token(room, **{"context": context("member"), **changes})

    def approach(
        self,
        room: Room,
        token: str | None = None,
        header: str | None = None,
        previous: str | None = None,
    ) -> contextlib.AbstractAsyncContextManager[Participant]:
        """Somebody on the way to ``room`` with a token in the URL, a header, both or none.

        ``previous`` names the session that they say to have had before.
        """
        query = {"room": room.name, "prefix": room.tenant}
        if previous is not None:
            query["previd"] = previous
        if token is not None:
            query["token"] = token
        headers = {} if header is None else {"Authorization": header}
        return Participant.connect(self.kind, self.door, self.patience, query, headers)

    @contextlib.asynccontextmanager
    async def login(
        self,
        room: Room,
        token: str | None = None,
        header: str | None = None,
        *,
        host: str = "",
        previous: str | None = None,
    ) -> AsyncIterator[Participant]:
        """Somebody who has logged in and stands before ``room``."""
        async with self.approach(room, token, header, previous) as participant:
            await participant.login(host)
            yield participant

    def guest(
        self, room: Room, token: str | None = None, previous: str | None = None
    ) -> contextlib.AbstractAsyncContextManager[Participant]:
        """A guest who has logged in and stands before ``room``."""
        return self.login(room, token, host=self.guest_host, previous=previous)

    @contextlib.asynccontextmanager
    async def enter(
        self, room: Room, token: str | None = None, header: str | None = None
    ) -> AsyncIterator[Participant]:
        """Somebody who has come into ``room`` as clients do: login, Jicofo, join."""
        async with self.login(room, token, header) as participant:
            await participant.request_conference(room)
            await participant.join(room)
            yield participant

    @contextlib.asynccontextmanager
    async def follow(self, room: Room, token: str, path: str) -> AsyncIterator[Participant]:
        """Somebody who has come into ``room`` by the path that the client's configuration names."""
        query = {"room": room.name, "token": token}
        way = Participant.connect(self.kind, self.door, self.patience, query, {}, path)
        async with way as participant:
            await participant.login()
            await participant.request_conference(room)
            await participant.join(room)
            yield participant

    @contextlib.asynccontextmanager
    async def subordinate(self, room: Room, moderator: Participant) -> AsyncIterator[Participant]:
        """Somebody who is in ``room`` beside its moderator, and does not moderate it.

        Where every token makes a moderator, that takes a guest.
        """
        guest = "jicofo_login" in self.features
        arrival = self.guest(room) if guest else self.login(room, self.member_token(room))
        async with arrival as somebody:
            await bring_in(somebody, room, moderator)
            yield somebody


async def bring_in(somebody: Participant, room: Room, moderator: Participant) -> None:
    """Join ``room``, through its lobby where that is on. ``moderator`` is in the room."""
    try:
        await somebody.join(room)
    except Refused as refused:
        if "lobbyroom" not in refused.details:
            raise
        await somebody.wait_in_lobby(room)
        await moderator.invite(room, somebody.jid)
        await somebody.wait_for_invitation(room)
        await somebody.join(room)


async def judged_by_role(somebody: Participant, room: Room) -> str:
    """Whether ``somebody`` moderates ``room``. Raises Refused with the role they have instead."""
    await somebody.settle(room)
    standing = somebody.standing(room)
    if standing.moderates:
        return MODERATES
    raise Refused(Stage.ROLE, standing.role, f"affiliation {standing.affiliation}")


@dataclass(frozen=True)
class Scene:
    """What an attempt finds: a room, and the people whom the control has brought into it."""

    entrance: Entrance
    room: Room
    people: tuple[Participant, ...] = ()
    beside: Room | None = None  # a breakout room, where the control has opened one
    services: tuple[Service, ...] = ()  # where the control has asked for them

    @property
    def first(self) -> Participant:
        """Who came first with an owner's token, and so moderates the room."""
        return self.people[0]

    @property
    def second(self) -> Participant:
        """Who came next, and does not."""
        return self.people[1]

    @property
    def secret(self) -> str:
        """What signs tokens here. Raises SecretUnknownError where a command does."""
        if self.entrance.issuer.command:
            raise SecretUnknownError
        return self.entrance.issuer.secret

    def token(self, **changes: Any) -> str:
        """An owner's token for the room, with changed claims. Its sub is the main domain."""
        return self.entrance.issuer.token(**{"room": self.room.name, **changes})

    def member_token(self, **changes: Any) -> str:
        """The token of somebody who shall not moderate the room, with changed claims."""
        return self.token(**{"context": context("member"), **changes})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of such a token."""
        return self.entrance.issuer.claims(**{"room": self.room.name, **changes})


Control = Callable[[Entrance], contextlib.AbstractAsyncContextManager[Scene]]


@contextlib.asynccontextmanager
async def nothing(entrance: Entrance) -> AsyncIterator[Scene]:
    """A room that nobody has opened. Enough where people have to succeed."""
    yield Scene(entrance, entrance.room())


@contextlib.asynccontextmanager
async def token_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A valid token is accepted."""
    scene = Scene(entrance, entrance.room())
    async with entrance.login(scene.room, scene.token()):
        yield scene


@contextlib.asynccontextmanager
async def header_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A valid token is accepted from the URL, and from the Authorization header as well."""
    async with (
        token_is_accepted(entrance) as scene,
        entrance.login(scene.room, header=f"Bearer {scene.token()}"),
    ):
        yield scene


@contextlib.asynccontextmanager
async def large_token_is_accepted(entrance: Entrance) -> AsyncIterator[Scene]:
    """A token of a kilobyte, larger than usual, is accepted."""
    scene = Scene(entrance, entrance.room())
    async with entrance.login(scene.room, scene.token(padding="x" * 1024)):
        yield scene


@contextlib.asynccontextmanager
async def room_is_open(entrance: Entrance) -> AsyncIterator[Scene]:
    """Somebody with the right token has entered the room and stays there."""
    scene = Scene(entrance, entrance.room())
    async with entrance.enter(scene.room, scene.token()) as first:
        yield Scene(entrance, scene.room, (first,))


@contextlib.asynccontextmanager
async def tenants_room_is_open(entrance: Entrance) -> AsyncIterator[Scene]:
    """Somebody with a token of the room's own tenant has entered it and stays there."""
    scene = Scene(entrance, entrance.room(tenant=entrance.tenant))
    async with entrance.enter(scene.room, scene.token(sub=entrance.tenant)) as first:
        yield Scene(entrance, scene.room, (first,))


@contextlib.asynccontextmanager
async def presence_is_heard(entrance: Entrance) -> AsyncIterator[Scene]:
    """Two are in the room, and the second updates the presence under the own nick."""
    async with (
        room_is_open(entrance) as scene,
        entrance.enter(scene.room, scene.token()) as second,
    ):
        await second.show_presence(scene.room, second.nick)
        yield Scene(entrance, scene.room, (scene.first, second))


@contextlib.asynccontextmanager
async def owner_configures(entrance: Entrance) -> AsyncIterator[Scene]:
    """Two are in the room, and the owner is given its configuration."""
    async with room_is_open(entrance) as scene:
        await scene.first.wait_for_affiliation(scene.room, "owner")
        await scene.first.request("get", scene.room.address, element("query", {"xmlns": MUC_OWNER}))
        async with entrance.subordinate(scene.room, scene.first) as second:
            yield Scene(entrance, scene.room, (scene.first, second))

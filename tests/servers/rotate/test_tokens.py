"""Keys of tokens are replaced while people come without pause: nobody is refused or dropped."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers.keys.test_keys import entrance_of, starts
from tests.servers.prosody_modules.people import log_in
from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.xmpp import AccessError, Refused, Room
from vestibule.secret_store import parse

STORE = ROOT / "molecule/rotate/.secrets/rotate.yml"
LIFE = 60  # seconds, as short as tokens may be bounded
LEEWAY, TOLERANCE = 2, 30
UNTIL = LIFE + 2 * LEEWAY + TOLERANCE  # for which a key counts that signs no more
WISH: dict[str, Any] = {
    "jitsi_features": ["affiliation"],
    "jitsi_token_max_lifetime": LIFE,
    "jitsi_token_leeway": LEEWAY,
    "jitsi_verify_cases": ["valid_token_enters"],
}
LEAST = 5  # arrivals of each kind between two runs: more than one, on a slow machine too

Make = Callable[[], str]


def secret_of(name: str) -> str:
    """A secret of the store, as it is now."""
    return parse(STORE, STORE.read_bytes())[name]


@dataclass
class Crowd:
    """People who come with tokens that several sign, as long as it is asked for."""

    entrance: Entrance
    room: Room
    makers: dict[str, Make] = field(default_factory=dict)
    came: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)  # the first token of each, until it ends
    is_over: bool = False

    def token(self, issuer: Issuer) -> str:
        """For the room."""
        return replace(self.entrance, issuer=issuer).token(self.room)

    async def arrive(self, name: str) -> None:
        """Come once with a new token, and once with one that was signed before."""
        token = self.makers[name]()
        old = self.last.setdefault(name, token)
        if jwt.decode(old, options={"verify_signature": False})["exp"] < time.time() + 20:
            old = self.last[name] = token
        for each, what in ((token, name), (old, f"{name}, signed before")):
            try:
                async with self.entrance.enter(self.room, each):
                    self.came[what] += 1
            except AccessError as error:
                self.refused.append(f"{what}: {error}")

    async def come(self) -> None:
        """Until it is over."""
        while not self.is_over:
            for name in list(self.makers):
                await self.arrive(name)

    async def some_come(self) -> None:
        """Until some more of each have come."""
        before = Counter(self.came)
        while any(self.came[name] - before[name] < LEAST for name in self.makers):
            assert not self.refused, self.refused
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def crowd_of(
    server: Server, makers: Callable[[Crowd], dict[str, Make]]
) -> AsyncIterator[Crowd]:
    """People who come, and two who are inside from the beginning and still are in the end."""
    nobody = Issuer("", "vestibule", "jitsi", DOMAIN, LIFE)
    async with entrance_of(server, nobody) as entrance, contextlib.AsyncExitStack() as stack:
        crowd = Crowd(entrance, entrance.room())
        crowd.makers = makers(crowd)
        inside = [
            await stack.enter_async_context(entrance.enter(crowd.room, make()))
            for make in crowd.makers.values()
        ]
        coming = asyncio.create_task(crowd.come())
        try:
            yield crowd
        finally:
            crowd.is_over = True
            await coming
        for each in inside:
            await each.settle(crowd.room)
        print(f"\n{dict(crowd.came)}, {len(crowd.refused)} refused")
        assert crowd.refused == []


async def run(controller: Controller, *flags: str, **variables: Any) -> Deployment:
    """The next stage, which has to go well."""
    given = {"jitsi_domain": DOMAIN, **WISH, **variables}
    del given["jitsi_verify_cases"]  # it has its own
    done = await asyncio.to_thread(controller.play, "rotate.yml", *flags, **given)
    assert done.returncode == 0, done.output[-4000:]
    return done


async def minted(controller: Controller, **variables: Any) -> str:
    """The token in the link that mint.yml prints."""
    given = {"jitsi_domain": DOMAIN, **WISH, "room": "standup", **variables}
    done = await asyncio.to_thread(controller.play, "mint.yml", **given)
    assert done.returncode == 0, done.output[-4000:]
    found = re.search(r"jwt=([\w.-]+)", done.output)
    assert found, done.output
    return found[1]


def signed_with(token: str, secret: str) -> bool:
    with contextlib.suppress(jwt.InvalidSignatureError):
        return bool(jwt.decode(token, secret, ["HS256"], audience="jitsi"))
    return False


@pytest.fixture(scope="module")
def deployed(controller: Controller) -> None:
    """The server with one secret."""
    run = controller.deploy(**WISH)
    assert run.returncode == 0, run.output[-4000:]


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"rotate": "focus,tokens"}, "Rotate one after the other"),
        ({"kidd": "x"}, "Did you mean kid"),
        ({"kid": "x"}, "there are none"),
    ],
)
def test_what_makes_no_sense_is_said(
    controller: Controller, asked: dict[str, str], sentence: str
) -> None:
    before = STORE.read_bytes()
    done = controller.play("rotate.yml", jitsi_domain=DOMAIN, **WISH, **asked)
    assert done.returncode != 0
    assert sentence in " ".join(done.output.split())
    assert STORE.read_bytes() == before


@pytest.mark.usefixtures("deployed")
def test_the_one_secret(server: Server, controller: Controller) -> None:
    """By default, with an application that switches in time."""
    old, before = secret_of("token_secret"), starts(server)

    async def played() -> None:
        of_application = old

        def makers(crowd: Crowd) -> dict[str, Make]:
            issuer = crowd.entrance.issuer
            return {
                "minted here": lambda: crowd.token(
                    replace(issuer, secret=secret_of("token_secret"))
                ),
                "of an application": lambda: crowd.token(replace(issuer, secret=of_application)),
            }

        async with crowd_of(server, makers) as crowd:
            dry = await run(controller, "--check")
            assert "Stage 1 of 3" in dry.output
            assert "token_secret_next" not in STORE.read_text(encoding="utf-8")

            told = await run(controller)
            assert "Stage 1 of 3" in told.output
            new = secret_of("token_secret_next")
            assert secret_of("token_secret") == old
            assert new not in told.output
            await crowd.some_come()
            of_application = new
            await crowd.some_come()

            told = await run(controller)
            assert "Stage 2 of 3" in told.output
            assert secret_of("token_secret") == new
            assert secret_of("token_secret_former") == old
            assert signed_with(await minted(controller), new)
            await crowd.some_come()

    asyncio.run(played())
    assert starts(server) == before


@pytest.mark.usefixtures("deployed")
def test_a_deployment_in_between_changes_nothing(controller: Controller) -> None:
    again = controller.deploy(**WISH)
    assert again.returncode == 0, again.output[-4000:]
    assert again.recap["changed"] == 0


@pytest.mark.usefixtures("deployed")
def test_a_copy_of_the_secrets_from_before_is_refused(controller: Controller) -> None:
    now = STORE.read_text(encoding="utf-8")
    try:
        STORE.write_text(re.sub("(?m)^rotations:.*\n", "", now), encoding="utf-8")
        runs = [controller.deploy(**WISH), controller.play("rotate.yml", jitsi_domain=DOMAIN)]
    finally:
        STORE.write_text(now, encoding="utf-8")
    for each in runs:
        assert each.returncode != 0
        assert "rotate has other secrets than" in " ".join(each.output.split())


@pytest.mark.usefixtures("deployed")
def test_after_a_leak_what_is_old_is_refused_at_once(
    server: Server, controller: Controller
) -> None:
    """And who is inside stays."""
    before = starts(server)
    old = secret_of("token_secret")

    async def played() -> None:
        async with entrance_of(server, Issuer(old, "vestibule", "jitsi", DOMAIN, LIFE)) as entrance:
            room = entrance.room()
            token = entrance.token(room)
            async with entrance.enter(room, token) as stays:
                # The rotation that has begun ends with the secret that is used already
                told = await run(controller, now=True)
                assert "Refused from now on" in told.output
                assert await log_in(entrance, room, entrance.token(room)) == ""
                told = await run(controller, now=True)
                assert await log_in(entrance, room, entrance.token(room)) == "Invalid signature"
                new = replace(entrance.issuer, secret=secret_of("token_secret"))
                entering = replace(entrance, issuer=new)
                assert await log_in(entering, room, entering.token(room)) == ""
                await stays.settle(room)

    asyncio.run(played())
    assert starts(server) == before
    assert secret_of("app_secret") not in server.run("cat /etc/vestibule/tokens/keys.json")


def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="module")
def pairs() -> dict[str, rsa.RSAPrivateKey]:
    """Keys of whoever mints elsewhere."""
    return {kid: rsa.generate_private_key(65537, 2048) for kid in ("idp-1", "idp-2")}


@pytest.fixture(scope="module")
def several(controller: Controller, pairs: dict[str, rsa.RSAPrivateKey]) -> dict[str, Any]:
    """The server with a secret by reference and public keys, and what was wished for."""
    public = [{"kid": k, "algorithm": "RS256", "public_key": pem(p)} for k, p in pairs.items()]
    app = {"kid": "app", "algorithm": "HS256", "secret_name": "token_key_1"}
    # As in a flood: who has no token of one of the keys begins no session at all
    flood = {"main": {"login_guard_refusals": 0.001}}
    wish = {**WISH, "jitsi_token_keys": [app, *public], "jitsi_extra_settings": flood}
    done = controller.deploy(**wish)
    assert done.returncode == 0, done.output[-4000:]
    return wish


def test_a_deployment_with_several_keys(several: dict[str, Any]) -> None:
    assert several


def test_keys_of_both_kinds_to_the_end(
    server: Server,
    controller: Controller,
    several: dict[str, Any],
    pairs: dict[str, rsa.RSAPrivateKey],
) -> None:
    """Side by side, in a flood, until the old ones are gone."""
    wish = several
    old, before = secret_of("token_key_1"), starts(server)

    def rs256(crowd: Crowd, kid: str) -> str:
        claims = crowd.entrance.issuer.claims(room=crowd.room.name)
        return jwt.encode(claims, pairs[kid], "RS256", {"kid": kid})

    async def played() -> None:
        kid, named = "idp-1", True

        def makers(crowd: Crowd) -> dict[str, Make]:
            issuer = crowd.entrance.issuer

            def mint() -> str:
                by = replace(issuer, secret=secret_of("token_key_1"), kid="app" if named else "")
                return crowd.token(by)

            return {"minted here": mint, "RS256": lambda: rs256(crowd, kid)}

        async with crowd_of(server, makers) as crowd:
            await run(controller, **wish, kid="idp-1", successor="idp-2")
            await run(controller, **wish, kid="app")
            await crowd.some_come()
            kid = "idp-2"
            told = await run(controller, **wish, kid="idp-1")
            assert "Stage 2 of 3" in told.output
            await run(controller, **wish, kid="app")
            began = time.monotonic()
            named = False
            await crowd.some_come()
            # For an event that nobody announces: the end of a time
            while time.monotonic() < began + UNTIL + 2:
                await crowd.some_come()
            for each in ("idp-1", "app"):
                told = await run(controller, **wish, kid=each)
                assert "Stage 3 of 3" in told.output
            await crowd.some_come()
            gone = replace(crowd.entrance.issuer, secret=old, kid="app")
            for token in (crowd.token(gone), rs256(crowd, "idp-1")):
                with pytest.raises(Refused, match="429"):
                    await log_in(crowd.entrance, crowd.room, token)

    asyncio.run(played())
    assert starts(server) == before
    assert "token_key_1_former" not in STORE.read_text(encoding="utf-8")
    assert old not in server.run("cat /etc/vestibule/tokens/keys.json")

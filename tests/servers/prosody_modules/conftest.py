"""A deployed server, from inside over SSH and from its front door.

Options are set in the running Prosody and never in a file, so a restart forgets them.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
from testinfra.host import Host

from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import TRANSPORTS, BoshTransport, WebSocketTransport, front_door

DOMAIN = "meet.example.org"
_PATIENCE = 30.0  # seconds


class Setting(NamedTuple):
    """An option of a module on a host."""

    host: str
    module: str
    option: str
    value: str  # a Lua expression


@dataclass(frozen=True)
class Server:
    """The server, as its administrator sees it."""

    host: Host

    def shell(self, *words: str) -> str:
        """What a command of Prosody's administration shell prints. Fails where it fails."""
        printed: str = self.host.check_output(shlex.join(["prosodyctl", "shell", *words]))
        return printed

    def setting(self, name: str) -> str:
        """A string of Prosody's configuration, the first one where it is a list."""
        files = self.host.check_output(f"cat /etc/prosody/conf.d/{DOMAIN}*.cfg.lua")
        found = re.search(rf'\b{name} = (?:{{ )?"([^"]+)"', files)
        assert found, name
        return found[1]

    def configure(self, *settings: Setting) -> None:
        """Let running modules start anew, each with an option."""
        orders = [
            f'require "core.configmanager".set("{each.host}", "{each.option}", {each.value});'
            f'assert(require "core.modulemanager".reload("{each.host}", "{each.module}"));'
            for each in settings
        ]
        self.shell(f"> {' '.join(orders)}")

    @contextlib.contextmanager
    def configured(self, *settings: Setting) -> Iterator[None]:
        """Running modules with options, until it ends."""
        self.configure(*settings)
        try:
            yield
        finally:
            self.forget(*settings)

    def forget(self, *settings: Setting) -> None:
        """Let running modules start anew with what the files say."""
        orders = [
            f'assert(require "core.modulemanager".reload("{each.host}", "{each.module}"));'
            for each in settings
        ]
        self.shell(f"> prosody.reload_config(); {' '.join(orders)}")


def configured(
    server: Server, option: str, value: float
) -> contextlib.AbstractContextManager[None]:
    """For a while, ``option`` of mod_login_guard has this value; it starts anew with it."""
    return server.configured(Setting(DOMAIN, "login_guard", option, str(value)))


@pytest.fixture(scope="module")
def server(host: Host) -> Server:
    return Server(host)


@pytest.fixture(scope="module", name="settings")
def _settings(request: pytest.FixtureRequest, server: Server) -> Iterator[None]:
    """The SETTINGS of a file, for all of its tests: short times, and no queue to wait in."""
    with server.configured(*request.module.SETTINGS):
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def front(server: Server) -> tuple[str, str, Issuer]:
    """The server's address, its certificate, and whose tokens it accepts."""
    address = server.host.check_output("hostname -I").split()[0]
    certificate = server.host.file(f"/etc/vestibule/web/{DOMAIN}.crt").content_string
    issuer = Issuer(
        secret=server.setting("app_secret"),
        issuer=server.setting("app_id"),
        audience=server.setting("asap_accepted_audiences"),
        domain=DOMAIN,
    )
    return address, certificate, issuer


@pytest.fixture
async def entrance(front: tuple[str, str, Issuer]) -> AsyncIterator[Entrance]:
    """The way in for people, over WebSocket."""
    address, certificate, issuer = front
    async with front_door(DOMAIN, address, 443, certificate) as door:
        yield Entrance(door, WebSocketTransport, issuer, _PATIENCE)


@pytest.fixture(params=["websocket", "bosh"])
def way_in(request: pytest.FixtureRequest, entrance: Entrance) -> Entrance:
    """The way in over either transport."""
    return replace(entrance, kind=TRANSPORTS[request.param])


@pytest.fixture
def bosh(entrance: Entrance) -> Entrance:
    """The way in from which upstream's mod_rate_limit reads at once."""
    return replace(entrance, kind=BoshTransport)

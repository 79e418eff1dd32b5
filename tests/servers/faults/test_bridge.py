"""The bridge: run empty, taken away and brought back, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server
from vestibule.access.participant import Participant
from vestibule.access.transports import WebSocketTransport, front_door
from vestibule.access.xmpp import Room

pytestmark = pytest.mark.usefixtures("deployed")

_UNIT = "jitsi-videobridge2"
_UP = "--skip-tags=jitsi_verify"
_PATIENCE = 20  # seconds for one answer: the rig shares its processors
# Says to systemd when it has the port
_THIEF = """
import os, socket, time
taken = socket.socket(socket.AF_INET, socket.{})
taken.bind(("0.0.0.0", {}))
if taken.type == socket.SOCK_STREAM:
    taken.listen()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
    systemd.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(600)
"""
_MEETING = {"jitsi_domain": DOMAIN, "jitsi_verify_cases": ["two_people_meet"]}


def ask(server: Server, path: str) -> str:
    """What the private HTTP of the bridge answers, on a server that has no HTTP client."""
    request = f"GET {path} HTTP/1.0\\r\\n\\r\\n"
    said = server.run(
        f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf \"{request}\" >&3; cat <&3'"
    )
    return said.partition("\n\n")[2]  # newlines of any kind are read as one


def drains(server: Server) -> bool:
    return bool(json.loads(ask(server, "/colibri/drain"))["drain"])


def prove(controller: Controller) -> Deployment:
    """Two people meet."""
    run = controller.play("verify.yml", **_MEETING)
    assert run.returncode == 0, run.output[-3000:]
    return run


@contextlib.asynccontextmanager
async def two_meet(server: Server, controller: Controller) -> AsyncIterator[None]:
    """Two people with places on the bridge."""
    minted = controller.play("mint.yml", jitsi_domain=DOMAIN, room="standup")
    link = re.search(r"https://\S+", minted.output)
    assert link, minted.output[-3000:]
    [token] = parse_qs(urlsplit(link[0]).query)["jwt"]
    certificate = server.run(f"cat /etc/vestibule/web/{DOMAIN}.crt")
    address = Path(f"build/rig/hosts/{server.name}/address").read_text(encoding="utf-8").strip()
    room = Room("standup", DOMAIN)
    query = {"room": room.name, "token": token}
    async with (
        front_door(DOMAIN, address, 443, certificate) as door,
        Participant.connect(WebSocketTransport, door, _PATIENCE, query, {}) as first,
        Participant.connect(WebSocketTransport, door, _PATIENCE, query, {}) as second,
    ):
        for somebody in (first, second):
            await somebody.login()
            await somebody.request_conference(room)
            await somebody.join(room)
        for somebody in (first, second):
            await somebody.place(room)
        yield


@pytest.fixture(name="taking")
def _taking(controller: Controller) -> Iterator[None]:
    """The bridge takes meetings again, whatever came of a test."""
    yield
    run = controller.play("drain.yml", jitsi_domain=DOMAIN, drain=False)
    assert run.returncode == 0, run.output[-3000:]


@pytest.mark.usefixtures("taking")
def test_a_bridge_with_people_is_waited_for_and_no_longer_than_allowed(
    server: Server, controller: Controller
) -> None:
    async def watched() -> Deployment:
        async with two_meet(server, controller):
            return await asyncio.to_thread(
                controller.play, "drain.yml", jitsi_domain=DOMAIN, limit=1
            )

    run = asyncio.run(watched())
    assert run.returncode != 0
    assert f"  {server.name}: 2 people in 1 meeting, waiting for 1 s at most" in run.output
    assert "There are still 2 people in 1 meeting after 1 s." in " ".join(run.messages[-1].split())
    assert drains(server)


@pytest.mark.usefixtures("taking")
def test_a_bridge_is_empty_when_people_have_left(server: Server, controller: Controller) -> None:
    asked = "journalctl --output cat | grep -c '^ansible-bridge_drain\\|Invoked with address='"
    before = int(server.run(asked, ok=(0, 1)))

    async def watched() -> Deployment:
        async with two_meet(server, controller):
            run = asyncio.create_task(
                asyncio.to_thread(controller.play, "drain.yml", jitsi_domain=DOMAIN, limit=120)
            )
            while int(server.run(asked, ok=(0, 1))) < before + 2:  # it has asked once more
                assert not run.done(), run.result().output[-3000:]
                await asyncio.sleep(0.2)
        return await run

    run = asyncio.run(watched())
    assert run.returncode == 0, run.output[-3000:]
    assert "2 people in 1 meeting, waiting for" in run.output
    assert f"Nobody is on the bridge of {server.name}" in " ".join(run.output.split())
    # The only one, so that Jicofo gives it meetings all the same
    prove(controller)


def test_a_restart_ends_the_draining(server: Server, controller: Controller) -> None:
    run = controller.play("drain.yml", jitsi_domain=DOMAIN, limit=120)
    assert run.returncode == 0, run.output[-3000:]
    assert drains(server)
    server.run(f"systemctl restart {_UNIT}")
    server.wait_for_listener(8080)
    assert not drains(server)


def test_a_bridge_that_does_not_answer_is_said(server: Server, controller: Controller) -> None:
    server.run(f"systemctl stop {_UNIT}")
    try:
        run = controller.play("drain.yml", jitsi_domain=DOMAIN)
    finally:
        server.run(f"systemctl start {_UNIT}")
    assert run.returncode != 0
    assert "The bridge does not answer at 127.0.0.1 port 8080" in run.messages[-1]


def test_a_bridge_comes_back_when_prosody_was_away(server: Server, controller: Controller) -> None:
    process = server.run(f"systemctl show -P MainPID {_UNIT}")
    server.run("systemctl restart prosody")
    prove(controller)
    assert server.run(f"systemctl show -P MainPID {_UNIT}") == process


@pytest.mark.parametrize(
    ("socket", "port"),
    [
        pytest.param("SOCK_DGRAM", 10000, id="media"),
        pytest.param("SOCK_STREAM", 9090, id="channels"),
    ],
)
def test_a_port_of_another_program_is_refused_before_anything_changes(
    server: Server, controller: Controller, socket: str, port: int
) -> None:
    server.run(f"systemctl stop {_UNIT}; cat > /run/thief.py", stdin=_THIEF.format(socket, port))
    server.run("systemd-run --quiet --service-type=notify --unit=thief python3 /run/thief.py")
    try:
        run = controller.deploy(_UP, jitsi_token_issuer="another")
    finally:
        server.run(f"systemctl stop thief; systemctl start {_UNIT}")
        server.wait_for_listener(8080)
    assert run.returncode != 0
    assert run.recap["changed"] == 0
    said = " ".join(run.messages[-1].split())
    assert f"has port {port} of {server.name}, which the bridge needs." in said
    assert ("jitsi_videobridge_port" in said) is (port == 10000)


def test_settings_with_which_it_ends_are_taken_back(server: Server, controller: Controller) -> None:
    program = "/usr/share/jitsi-videobridge/jvb.sh"
    file = "/etc/jitsi/videobridge/jvb.conf"
    former = server.run(f"cat {file}")
    # Refuses the new settings alone
    server.run(
        f"sed -i '2i if grep -q reducer {file}; then echo refused by a test; exit 1; fi' {program}"
    )
    try:
        run = controller.deploy(
            _UP,
            jitsi_extra_videobridge={"videobridge": {"load-management": {"reducer-enabled": True}}},
        )
    finally:
        server.run(f"sed -i 2d {program}")
    assert run.returncode != 0
    assert f"{_UNIT} ends again after each start." in run.output
    assert "refused by a test" in run.output
    assert "listen where they did before" in " ".join(run.output.split())
    assert server.run(f"cat {file}") == former
    prove(controller)
    assert controller.deploy(_UP).recap["changed"] == 0


def test_without_the_feature_the_bridge_goes_and_the_proof_says_so(
    server: Server, controller: Controller
) -> None:
    off = {"jitsi_features_off": ["bridge"]}
    run = controller.deploy(jitsi_verify_cases=["valid_token_enters"], **off)
    assert run.returncode == 0, run.output[-3000:]
    said = " ".join(run.output.split())
    assert f"{DOMAIN} has no bridge: everybody is thrown out of a meeting" in said
    accounts = f"/var/lib/prosody/auth%2e{DOMAIN.replace('.', '%2e')}/accounts"
    assert server.run(f"ls {accounts}").split() == ["focus.dat"]
    assert server.run(f"systemctl is-enabled {_UNIT} || true").strip() == "disabled"
    assert server.run("ss -Hlnu sport = 10000; ss -Hlnt sport = 8080 or sport = 9090") == ""
    assert server.run("ls /etc/jitsi/videobridge").split() == ["config", "logging.properties"]
    assert controller.deploy(_UP, **off).recap["changed"] == 0

    run = controller.deploy(_UP)
    assert run.returncode == 0, run.output[-3000:]
    assert "has no bridge" not in prove(controller).output

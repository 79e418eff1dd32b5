"""TURN: what is in its way, what it shows when a certificate is renewed, and how it goes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.authority import issue
from tests.servers.support import DOMAIN, Controller, Server, differences

pytestmark = pytest.mark.usefixtures("deployed")

_UP = "--skip-tags=jitsi_verify"
_CONF = "/etc/vestibule/turn/turnserver.conf"
_WEB = f"/etc/vestibule/web/{DOMAIN}"
_PATIENCE = 15  # seconds for a path unit to see a file, and for coturn to read it
_TAKES = (
    "import socket, time; s = socket.socket(socket.AF_INET, socket.{kind}); "
    "s.bind(('127.0.0.1', {port})); s.listen() if s.type == socket.SOCK_STREAM else 0; "
    "time.sleep(600)"
)
_SHOWN = """
import hashlib, socket, ssl
context = ssl._create_unverified_context()
with socket.create_connection(("127.0.0.1", 5349), 5) as raw:
    with context.wrap_socket(raw, server_hostname="meet.example.org") as tls:
        print(hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest())
"""


@contextmanager
def taken(server: Server, kind: str, port: int) -> Iterator[None]:
    """Another program has this port."""
    program = _TAKES.format(kind=kind, port=port)
    try:
        server.run(f'systemd-run --quiet --collect --unit=taken python3 -c "{program}"')
        option = "t" if kind == "SOCK_STREAM" else "u"
        server.run(
            f"timeout 30 sh -c 'until ss -Hln{option} sport = {port} | grep -q .; do"
            " sleep 0.1; done'"
        )
        yield
    finally:
        server.run("systemctl stop taken.service 2>&1", ok=(0, 5))


@pytest.mark.parametrize(
    ("kind", "port", "variable"),
    [("SOCK_DGRAM", 3999, "jitsi_turn_port"), ("SOCK_STREAM", 5999, "jitsi_turn_tls_port")],
    ids=["UDP", "TCP"],
)
def test_a_port_of_another_program_is_refused_before_anything_changes(
    server: Server, controller: Controller, kind: str, port: int, variable: str
) -> None:
    with taken(server, kind, port):
        before = server.snapshot()
        run = controller.deploy(_UP, **{variable: port})
        assert differences(before, server.snapshot()) == []
    assert run.returncode != 0
    assert run.recap["changed"] == 0
    assert f"python3 listens on port {port}" in run.messages[-1]
    assert f"choose another port in {variable}." in run.messages[-1]


def shown(server: Server) -> str:
    """SHA-256 of the certificate that TURN shows."""
    return server.run("python3 -", stdin=_SHOWN).strip()


# How programs put a new file into the place of an old one: itself, or a link to it
_WAYS = {
    "renamed": "cat > {0}.new; mv {0}.new {0}",
    "link renamed": "cat > {0}.renewed; ln -s {0}.renewed {0}.new; mv -T {0}.new {0}",
    "another link": "cat > {0}.renewed; rm {0}; ln -s {0}.renewed {0}",
}


@pytest.mark.parametrize("way", _WAYS)
def test_a_renewed_certificate_is_shown_and_no_relay_ends(server: Server, way: str) -> None:
    process = server.run("systemctl show --property=MainPID --value coturn")
    renewed = issue(DOMAIN)
    expected = hashlib.sha256(renewed.certificate.public_bytes(Encoding.DER)).hexdigest()
    server.run(f"cp -a {_WEB}.crt /root/kept.crt; cp -a {_WEB}.key /root/kept.key")
    try:
        for end, text in (("key", renewed.key), ("crt", renewed.pem)):
            server.run(_WAYS[way].format(f"{_WEB}.{end}"), stdin=text)
        began = time.monotonic()
        while shown(server) != expected:
            assert time.monotonic() - began < _PATIENCE, server.run("journalctl -n 30 -u coturn")
            time.sleep(0.2)
    finally:
        server.run(f"mv /root/kept.key {_WEB}.key; mv /root/kept.crt {_WEB}.crt")
        server.run(f"rm -f {_WEB}.*.renewed")
    assert server.run("systemctl show --property=MainPID --value coturn") == process


def test_what_turn_refuses_is_taken_back(server: Server, controller: Controller) -> None:
    """Its certificate is not there, as nobody else tells before it starts."""
    before = server.run(f"sha256sum {_CONF} /etc/systemd/system/coturn.service")
    run = controller.deploy(_UP, coturn_certificate="/nonexistent.crt", jitsi_turn_user_quota=99)
    assert run.returncode != 0
    assert "cannot stat '/nonexistent.crt'" in run.messages[-1]
    assert "coturn, jicofo, jitsi-videobridge2 run with it, and listen" in run.messages[-1]
    assert server.run(f"sha256sum {_CONF} /etc/systemd/system/coturn.service") == before
    assert server.run("systemctl is-active coturn").strip() == "active"


def test_the_secret_is_said_nowhere(server: Server, controller: Controller) -> None:
    secret = server.run(f"sed -n s/^static-auth-secret=//p {_CONF}").strip()
    assert len(secret) > 32
    run = controller.deploy(_UP, "-vvv", "--diff", jitsi_turn_user_quota=98)
    assert run.returncode == 0, run.output[-3000:]
    assert secret not in run.output
    assert secret not in server.run("journalctl -o cat; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_without_the_feature_turn_goes_and_starts_at_no_boot(
    server: Server, controller: Controller
) -> None:
    run = controller.deploy(_UP, jitsi_features_off=["turn"])
    assert run.returncode == 0, run.output[-3000:]
    assert server.run("systemctl is-active coturn", ok=(3,)).strip() == "inactive"
    assert server.run("systemctl is-enabled coturn", ok=(1,)).strip() == "disabled"
    assert server.run(f"ls {_CONF} /etc/systemd/system/coturn.service", ok=(2,)) == ""
    assert "external_service" not in server.run("cat /etc/prosody/conf.avail/*.secrets.cfg.lua")
    again = controller.deploy(_UP, jitsi_features_off=["turn"])
    assert again.recap["changed"] == 0
    back = controller.deploy(_UP)
    assert back.returncode == 0, back.output[-3000:]
    assert server.run("systemctl is-enabled coturn").strip() == "enabled"


def test_a_turn_server_of_somebody_else_is_refused(server: Server, controller: Controller) -> None:
    unit = "/etc/systemd/system/coturn.service"
    server.run(f"cp -a {unit} /root/kept.service; sed -i '/Vestibule/d' {unit}")
    try:
        run = controller.deploy(_UP)
    finally:
        server.run(f"mv /root/kept.service {unit}; systemctl daemon-reload")
    assert run.returncode != 0
    assert run.recap["changed"] == 0
    assert "would be replaced. Put turn into jitsi_features_off" in " ".join(
        run.messages[-1].split()
    )

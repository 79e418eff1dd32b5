"""A TURN server on a host of its own shows a certificate that browsers take, and renews it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.authority import BETWEEN, ROOT, issue
from tests.servers.pebble import DIRECTORY, ISSUED_BY, authority
from tests.servers.support import Controller, Server

from .conftest import TURN_CASES
from .test_bridges import RELAY, with_inventory

_GROUPS: dict[str, Any] = {
    "signalling": ["bridges-meet"],
    "bridges": ["bridges-far"],
    "turn": ["bridges-meet", "bridges-far"],
}
_OWN = "/etc/ssl/relay"
_ACME: dict[str, Any] = {
    "jitsi_certificate": "acme",
    "jitsi_acme_directory": DIRECTORY,
    "jitsi_web_certificate_authority": ISSUED_BY,
}
_FILES: dict[str, Any] = {
    "jitsi_web_certificate": f"{_OWN}.crt",
    "jitsi_web_certificate_key": f"{_OWN}.key",
    "jitsi_web_certificate_authority": f"{_OWN}-root.crt",
}


@pytest.fixture(name="pebble", scope="module", autouse=True)
def _pebble(far: Server) -> Iterator[None]:
    """The far host has an authority, and a name that leads to it."""
    far.run(f"echo 127.0.0.1 {RELAY} >> /etc/hosts")
    with authority(far, lambda: far.wait_for_listener(8080)):
        yield
    far.run(f"sed '/{RELAY}/d' /etc/hosts > /tmp/hosts; cat /tmp/hosts > /etc/hosts")


def shown(far: Server, what: str) -> str:
    """What TURN over TLS shows of its certificate."""
    ask = f"openssl s_client -connect 127.0.0.1:5349 -servername {RELAY} < /dev/null 2> /dev/null"
    return far.run(f"{ask} | openssl x509 -noout -{what}")


def is_settled(controller: Controller, turn: dict[str, Any]) -> None:
    """Who deploys this finds the relays right, and nothing to do at the second time."""
    with with_inventory(controller, turn, **_GROUPS) as operator:
        run = operator.deploy(jitsi_verify_cases=TURN_CASES)
        assert run.returncode == 0, run.output[-6000:]
        again = operator.deploy("--skip-tags=jitsi_verify")
        assert again.recap_of("bridges-far")["changed"] == 0, again.output[-6000:]


def test_an_authority_signs_for_it_and_it_shows_what_is_renewed(
    controller: Controller, far: Server
) -> None:
    is_settled(controller, _ACME)
    assert "Pebble" in shown(far, "issuer")
    assert f"DNS:{RELAY}" in shown(far, "ext=subjectAltName".replace("=", " "))
    far.run("systemctl is-enabled certbot.timer && systemctl is-active certbot.timer")

    serial, turn = shown(far, "serial"), far.run("systemctl show --property=MainPID coturn")
    far.run("certbot renew --force-renewal --no-random-sleep-on-renew 2>&1")
    far.run("sleep 1")
    assert shown(far, "serial") != serial
    assert far.run("systemctl show --property=MainPID coturn") == turn
    is_settled(controller, _ACME)


def test_files_of_the_operator_take_its_place(controller: Controller, far: Server) -> None:
    own = issue(RELAY, BETWEEN)
    for end, text in (("crt", own.pem + BETWEEN.pem), ("key", own.key), ("root", ROOT.pem)):
        path = f"{_OWN}-root.crt" if end == "root" else f"{_OWN}.{end}"
        far.run(f"install -m 600 /dev/stdin {path}", stdin=text)
    wrong = {**_FILES, "jitsi_turn_name": f"other.{RELAY}"}
    with with_inventory(controller, wrong, **_GROUPS) as operator:
        run = operator.deploy()
        assert run.returncode != 0
        assert f"other.{RELAY}" in " ".join(run.messages[-1].split())
        assert run.recap_of("bridges-far")["changed"] == 0
    is_settled(controller, _FILES)
    assert int(shown(far, "serial").partition("=")[2], 16) == own.certificate.serial_number
    # Of certbot nothing is left that would ask the authority
    assert RELAY not in far.run("certbot certificates 2> /dev/null")

    # A new one is read where nobody deploys
    new = issue(RELAY, BETWEEN, key=own.key)
    far.run(f"cat > {_OWN}.crt; sleep 1", stdin=new.pem + BETWEEN.pem)
    assert int(shown(far, "serial").partition("=")[2], 16) == new.certificate.serial_number


def test_without_either_it_signs_one_itself(controller: Controller, far: Server) -> None:
    is_settled(controller, {})
    assert shown(far, "issuer").partition("=")[2] == shown(far, "subject").partition("=")[2]
    far.run(f"rm {_OWN}*")

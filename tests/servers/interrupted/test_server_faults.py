"""What fails on a server: what its services do, what the next run says, and what is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.servers.support import DOMAIN, Server, differences, with_all

from .runs import FIRST, Operator, faults, state_of
from .test_interrupted import restart, succeeds

_UP = "--skip-tags=jitsi_verify"
_WEB = f"/etc/vestibule/web/{DOMAIN}"
_SITES = "/etc/nginx/sites-available"


@pytest.fixture(name="state", scope="module")
def _state(server: Server, operator: Operator) -> dict[str, str]:
    """The server as it was deployed."""
    succeeds(operator.deploy(FIRST, _UP))
    return state_of(server)


@with_all
def test_after_a_power_failure_everything_comes_up_by_itself(
    server: Server, operator: Operator, state: dict[str, str]
) -> None:
    restart(server)
    for port in (5222, 8888, 443, 5349, 8080):
        server.wait_for_listener(port)
    assert faults(server) == []
    run = succeeds(operator.deploy(FIRST))
    # The container has another address, which TURN has to know; and this is the first proof, whose
    # versions are written down
    assert run.recap["changed"] <= 3, run.output[-3000:]
    assert succeeds(operator.deploy(FIRST, _UP)).recap["changed"] == 0
    assert differences(state, state_of(server)) == []


@pytest.fixture(name="full")
def _full(server: Server) -> Iterator[None]:
    """Nginx writes its sites on a disk that is full."""
    server.run(
        f"mkdir /run/sites; cp -a {_SITES}/. /run/sites;"
        f"mount -t tmpfs -o size=64k none {_SITES}; cp -a /run/sites/. {_SITES};"
        f"dd if=/dev/zero of={_SITES}/filler bs=4k 2> /dev/null || true"
    )
    yield
    server.run(f"umount {_SITES}; rm -r /run/sites")


@pytest.mark.usefixtures("full")
def test_a_disk_that_is_full_in_the_middle_takes_everything_back(
    server: Server, operator: Operator, state: dict[str, str]
) -> None:
    before = state_of(server)
    run = operator.deploy({**FIRST, "jitsi_token_issuer": "too-much", "jitsi_web_port": 8443}, _UP)
    assert run.returncode != 0
    assert "No space left on device" in run.messages[-1]
    assert "put the former configuration back" in run.messages[-1]
    assert differences(before, state_of(server)) == []
    assert faults(server) == []


# What somebody did, and what the next run says of it
_FAULTS = {
    # The certificate has expired
    f"openssl req -x509 -key {_WEB}.key -subj /CN={DOMAIN} -out {_WEB}.crt"
    f" -addext subjectAltName=DNS:{DOMAIN} -not_before 20200101000000Z"
    " -not_after 20200201000000Z": "Create the self-signed certificate",
    # Prosody cannot write its data
    "chown --recursive root:root /var/lib/prosody": "Create the accounts and their contacts",
    # Somebody edited a file of ours
    f"sed -i '1s/^/# mine\\n/' {_SITES}/{DOMAIN}.conf": "Write the site and check it as a whole",
}


@with_all
def test_the_next_run_says_and_mends_it(
    server: Server, operator: Operator, state: dict[str, str]
) -> None:
    server.run("\n".join([*_FAULTS, "systemctl reload nginx"]))
    run = succeeds(operator.deploy(FIRST))
    for said in _FAULTS.values():
        assert re.search(rf"TASK .*{said}.*\n(.*\n)?changed: ", run.output), said
    assert faults(server) == []
    found = differences(state, state_of(server))
    assert [each for each in found if not each.startswith(f"content {_WEB}")] == []

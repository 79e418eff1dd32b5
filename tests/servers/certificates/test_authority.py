"""With an authority that speaks ACME on the same host: Pebble, made by those of Let's Encrypt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.pebble import DIRECTORY, ISSUED_BY, authority
from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences

CASES = ["certificate_of_the_file_is_shown", "valid_token_enters"]
CERTIFICATE = f"/etc/vestibule/acme/{DOMAIN}.crt"
GIVEN: dict[str, Any] = {
    "jitsi_verify_cases": CASES,
    "jitsi_certificate": "acme",
    "jitsi_acme_directory": DIRECTORY,
    "jitsi_web_certificate_authority": ISSUED_BY,
}


def wait_for_java(server: Server) -> None:
    """Until those are back that were restarted, as others are trusted now."""
    for port in (8888, 8080, 9090):
        server.wait_for_listener(port)


@pytest.fixture(name="pebble", scope="module", autouse=True)
def _pebble(server: Server) -> Iterator[None]:
    """It answers at DIRECTORY, and the host trusts it."""
    with authority(server, lambda: wait_for_java(server)):
        yield
    server.run("sed '/meet/d' /etc/hosts > /tmp/hosts; cat /tmp/hosts > /etc/hosts")
    wait_for_java(server)


def deploy(controller: Controller, **variables: Any) -> Deployment:
    return controller.deploy(**{**GIVEN, **variables})


def serial(server: Server) -> str:
    """Of the certificate that nginx shows."""
    script = (
        f"openssl s_client -connect 127.0.0.1:443 -servername {DOMAIN} < /dev/null 2> /dev/null"
    )
    return server.run(f"{script} | openssl x509 -noout -serial")


def test_a_name_without_a_record_is_refused_before_the_authority_is_asked(
    server: Server, controller: Controller
) -> None:
    before = server.snapshot()
    run = deploy(controller)
    assert run.returncode != 0
    assert f"finds no address of {DOMAIN} in the DNS" in run.messages[-1]
    assert differences(before, server.snapshot()) == []


def test_an_authority_signs_and_renews(server: Server, controller: Controller) -> None:
    server.run(f"echo 127.0.0.1 {DOMAIN} >> /etc/hosts")
    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]
    assert "a certificate of a private authority" in run.output
    assert "signed itself" not in run.output
    assert "Pebble" in server.run(f"openssl x509 -noout -issuer -in {CERTIFICATE}")
    assert server.run(f"stat -c '%a %U' {CERTIFICATE[:-4]}.key") == "600 root\n"
    server.run("systemctl is-enabled certbot.timer && systemctl is-active certbot.timer")
    assert deploy(controller).recap["changed"] == 0

    # As the timer does, once it is time
    first, nginx = serial(server), server.run("systemctl show --property=MainPID nginx")
    server.run("certbot renew --force-renewal --no-random-sleep-on-renew 2>&1")
    server.run("sleep 1")
    assert serial(server) != first
    assert server.run("systemctl show --property=MainPID nginx") == nginx
    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] == 0


def names(server: Server) -> str:
    return server.run(f"openssl x509 -noout -ext subjectAltName -in {CERTIFICATE}")


SECOND: dict[str, Any] = {
    "jitsi_features": ["turn_on_443"],
    "jitsi_verify_cases": [*CASES, "turn_relays"],
}


def test_a_second_name_without_a_record_is_refused_as_well(
    server: Server, controller: Controller
) -> None:
    before = server.snapshot()
    run = deploy(controller, **SECOND)
    assert run.returncode != 0
    assert f"finds no address of turn.{DOMAIN} in the DNS" in run.messages[-1]
    assert differences(before, server.snapshot()) == []


def test_a_second_name_is_signed_and_renewed_as_well(
    server: Server, controller: Controller
) -> None:
    server.run(f"echo 127.0.0.1 turn.{DOMAIN} >> /etc/hosts")
    run = deploy(controller, **SECOND)
    assert run.returncode == 0, run.output[-3000:]
    assert f"DNS:{DOMAIN}, DNS:turn.{DOMAIN}" in names(server)
    assert deploy(controller, **SECOND).recap["changed"] == 0
    server.run("certbot renew --force-renewal --no-random-sleep-on-renew 2>&1")
    assert f"DNS:{DOMAIN}, DNS:turn.{DOMAIN}" in names(server)


def test_a_second_name_goes_from_the_certificate(server: Server, controller: Controller) -> None:
    """Later it may have no record any more, and would keep the other one from being renewed."""
    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]
    assert "turn" not in names(server)
    assert deploy(controller).recap["changed"] == 0


def test_by_dns_no_record_for_the_name_is_needed(server: Server, controller: Controller) -> None:
    before = serial(server)
    server.run("sed '/meet/d' /etc/hosts > /tmp/hosts; cat /tmp/hosts > /etc/hosts")
    run = deploy(controller, jitsi_acme_dns_hook="/srv/pebble/hook")
    assert run.returncode == 0, run.output[-3000:]
    assert serial(server) != before
    server.run(f"echo 127.0.0.1 {DOMAIN} >> /etc/hosts")


def test_people_get_in_while_an_authority_refuses(server: Server, controller: Controller) -> None:
    before = serial(server)
    run = deploy(controller, jitsi_acme_directory="https://localhost:14001/dir")
    assert run.returncode != 0
    assert f"https://localhost:14001/dir gave no certificate for {DOMAIN}" in run.messages[-1]
    assert serial(server) == before
    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]


def test_going_back_leaves_nothing_that_renews(server: Server, controller: Controller) -> None:
    run = controller.deploy(jitsi_verify_cases=CASES)
    assert run.returncode == 0, run.output[-3000:]
    assert "signed itself, a stand-in" in run.output
    assert (
        server.run("ls /etc/letsencrypt/renewal /etc/letsencrypt/live | grep meet", ok=(1,)) == ""
    )
    assert f"acme-{DOMAIN}" in server.run("ls /var/backups/vestibule")
    assert server.run(f"ls {CERTIFICATE} /usr/local/lib/vestibule/new-certificate", ok=(2,)) == ""
    assert controller.deploy(jitsi_verify_cases=CASES).recap["changed"] == 0

"""With an authority that speaks ACME on the same host: Pebble, made by those of Let's Encrypt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.authority import BETWEEN, ROOT, issue
from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences

CASES = ["certificate_of_the_file_is_shown", "valid_token_enters"]
CERTIFICATE = f"/etc/vestibule/acme/{DOMAIN}.crt"
DIRECTORY = "https://localhost:14000/dir"
ISSUED_BY = "/srv/pebble/issuer.pem"
GIVEN: dict[str, Any] = {
    "jitsi_verify_cases": CASES,
    "jitsi_certificate": "acme",
    "jitsi_acme_directory": DIRECTORY,
    "jitsi_web_certificate_authority": ISSUED_BY,
}
CONFIGURATION = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": "/srv/pebble/chain.pem",
        "privateKey": "/srv/pebble/key.pem",
        "httpPort": 80,
        "tlsPort": 443,
        "externalAccountBindingRequired": False,
    }
}
# Puts the answer for certbot into the DNS that Pebble asks
HOOK = """#!/usr/bin/python3
import json, os, urllib.request
name = "_acme-challenge." + os.environ["CERTBOT_DOMAIN"] + "."
body = json.dumps({"host": name, "value": os.environ["CERTBOT_VALIDATION"]})
urllib.request.urlopen("http://127.0.0.1:8055/set-txt", body.encode())
"""


def wait_for_java(server: Server) -> None:
    """Until those are back that were restarted, as others are trusted now."""
    for port in (8888, 8080, 9090):
        server.wait_for_listener(port)


@pytest.fixture(name="pebble", scope="module", autouse=True)
def _pebble(server: Server) -> Iterator[None]:
    """It answers at DIRECTORY, and the host trusts it."""
    server.run("apt-get install --yes --quiet --no-install-recommends pebble")
    own = issue("localhost", BETWEEN)
    texts = {
        "chain.pem": own.pem + BETWEEN.pem,
        "key.pem": own.key,
        "config.json": json.dumps(CONFIGURATION),
        "hook": HOOK,
    }
    # Another Pebble knows nobody
    server.run("install -d /srv/pebble; rm -rf /etc/letsencrypt/accounts")
    for name, text in texts.items():
        server.run(f"cat > /srv/pebble/{name}", stdin=text)
    root = "/usr/local/share/ca-certificates/pebble.crt"
    server.run(f"cat > {root}; update-ca-certificates 2>&1", stdin=ROOT.pem)
    server.run("chmod 0755 /srv/pebble/hook")
    ports = "-dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -http01= -https01= -tlsalpn01= -doh="
    names = "-defaultIPv4 127.0.0.1 -defaultIPv6="
    server.run(f"systemd-run --quiet --unit=pebble-dns pebble-challtestsrv {ports} {names}")
    words = "--setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
    pebble = "pebble -dnsserver 127.0.0.1:8053 -config /srv/pebble/config.json"
    server.run(f"systemd-run --quiet --unit=pebble {words} {pebble}")
    server.wait_for_listener(8055)
    server.wait_for_listener(15000)
    asked = "urllib.request.urlopen('https://localhost:15000/roots/0').read().decode()"
    wait_for_java(server)
    server.run(f'python3 -c "import urllib.request; print({asked})" > {ISSUED_BY}')
    yield
    server.run(f"systemctl stop pebble pebble-dns; rm {root}; update-ca-certificates --fresh 2>&1")
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

"""TURN on the port of HTTPS: it comes and goes on a server that people use, in one run each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server

CASES = [
    "valid_token_enters",
    "certificate_of_the_file_is_shown",
    "turn_is_announced",
    "turn_relays",
    "turn_without_credentials_refused",
]
ON: dict[str, Any] = {"jitsi_features": ["turn_on_443"]}
SOCKETS = "/run/nginx-vestibule-front/"
WEB = f"/etc/vestibule/web/{DOMAIN}"
LOG = f"/var/log/nginx/{DOMAIN}.log"
# Asks for a path, and then sends what is no whole request, by an address that is no loopback
ASK = f"""
import socket, ssl
ask = b"GET /static/own-address HTTP/1.0\\r\\nHost: {DOMAIN}\\r\\n\\r\\n"
for sent in (ask, b"GET\\r\\n\\r\\n"):
    plain = socket.create_connection((ADDRESS, 443))
    door = ssl._create_unverified_context().wrap_socket(plain, server_hostname="{DOMAIN}")
    door.sendall(sent)
    while door.recv(4096):
        pass
"""


def deploy(controller: Controller, **variables: Any) -> Deployment:
    run = controller.deploy(**{"jitsi_verify_cases": CASES, **variables})
    assert run.returncode == 0, run.output[-3000:]
    return run


def sockets(server: Server) -> str:
    return server.run(f"ss -Hxl | grep -o '{SOCKETS}[a-z]*' | sort", ok=(0, 1))


def names(server: Server) -> str:
    return server.run(f"openssl x509 -noout -ext subjectAltName -in {WEB}.crt")


def looks_on(server: Server) -> None:
    assert sockets(server) == f"{SOCKETS}pages\n{SOCKETS}turn\n"
    assert f"DNS:{DOMAIN}, DNS:turn.{DOMAIN}" in names(server)


def test_it_comes_in_one_run(server: Server, controller: Controller) -> None:
    deploy(controller)
    assert sockets(server) == ""
    key = server.run(f"sha256sum {WEB}.key")
    assert "relays, 4 ways" in deploy(controller, **ON).output
    looks_on(server)
    assert server.run(f"sha256sum {WEB}.key") == key
    assert deploy(controller, **ON).recap["changed"] == 0


def test_it_goes_in_one_run_and_comes_again(server: Server, controller: Controller) -> None:
    assert "relays, 3 ways" in deploy(controller).output
    assert sockets(server) == ""
    assert deploy(controller).recap["changed"] == 0
    assert "relays, 4 ways" in deploy(controller, **ON).output
    looks_on(server)


@pytest.fixture(name="on", scope="module")
def _on(server: Server, controller: Controller) -> None:
    if not sockets(server):
        deploy(controller, **ON)


@pytest.mark.usefixtures("on")
def test_nginx_comes_back_although_its_sockets_are_left(
    server: Server, controller: Controller
) -> None:
    shown = "systemctl show --property=NRestarts --value nginx"
    before = int(server.run(shown))
    server.run("systemctl kill --signal=KILL nginx")
    server.run(f"timeout 60 sh -c 'until [ $({shown}) -gt {before} ]; do sleep 0.1; done'")
    server.wait_for_listener(443)
    given = {"jitsi_domain": DOMAIN, "jitsi_verify_cases": CASES, **ON}
    run = controller.play("verify.yml", **given)
    assert run.returncode == 0, run.output[-3000:]
    # At the first attempt
    assert int(server.run(shown)) == before + 1


@pytest.mark.usefixtures("on")
def test_nobody_else_reaches_the_sockets(server: Server) -> None:
    assert server.run(f"stat -c '%a %U' {SOCKETS}") == "700 www-data\n"


@pytest.mark.usefixtures("on")
def test_the_log_has_the_address_of_who_comes(server: Server) -> None:
    address = server.run("hostname -I").split()[0]
    server.run(f": > {LOG}; python3 -", stdin=ASK.replace("ADDRESS", repr(address)))
    lines = server.run(f"cat {LOG}").splitlines()
    assert any("GET /static/own-address" in line for line in lines)
    assert any(" 400 " in line for line in lines)
    assert {line.split()[0] for line in lines} == {address}


def test_it_goes_in_the_end(server: Server, controller: Controller) -> None:
    deploy(controller)
    assert sockets(server) == ""

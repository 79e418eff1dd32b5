"""On a server that works: what is refused leaves it as it is, and verify sees the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.authority import BETWEEN, ROOT, Issued, issue
from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences

FOLDER = "/etc/ssl/meet"
GIVEN = {
    "jitsi_web_certificate": f"{FOLDER}/chain.pem",
    "jitsi_web_certificate_key": f"{FOLDER}/key.pem",
    "jitsi_web_certificate_authority": f"{FOLDER}/root.pem",
}
SERVER = issue(DOMAIN, BETWEEN)
CASES = ["certificate_of_the_file_is_shown", "valid_token_enters"]
AUTH = f"/var/lib/prosody/auth.{DOMAIN}"


def put(server: Server, **files: str) -> None:
    """Files of an operator, by name without the ending."""
    server.run(f"install -d {FOLDER}")
    for name, content in files.items():
        server.run(f"umask 077; cat > {FOLDER}/{name}.pem", stdin=content)


@pytest.fixture(name="chain")
def _chain(server: Server) -> None:
    put(server, chain=SERVER.pem + BETWEEN.pem, key=SERVER.key, root=ROOT.pem)


def verify(controller: Controller, **variables: Any) -> Deployment:
    given = {"jitsi_domain": DOMAIN, "jitsi_verify_cases": CASES, **variables}
    return controller.play("verify.yml", **given)


def deploy(controller: Controller, **variables: Any) -> Deployment:
    return controller.deploy(**{"jitsi_verify_cases": CASES, **variables})


@contextmanager
def as_it_is(_server: Server) -> Iterator[dict[str, Any]]:
    yield {}


@contextmanager
def without_chain(server: Server) -> Iterator[dict[str, Any]]:
    put(server, chain=SERVER.pem)
    yield {}


@contextmanager
def ended(server: Server) -> Iterator[dict[str, Any]]:
    old = issue(DOMAIN, BETWEEN, days=(-90, -2), key=SERVER.key)
    put(server, chain=old.pem + BETWEEN.pem)
    yield {}


@contextmanager
def root_is_a_file(server: Server) -> Iterator[dict[str, Any]]:
    server.run("touch /srv/page")
    yield {"jitsi_web_root": "/srv/page"}


@contextmanager
def port_taken(server: Server) -> Iterator[dict[str, Any]]:
    server.run("systemd-run --quiet --collect --unit=intruder -- python3 -m http.server 5299")
    try:
        server.wait_for_listener(5299)
        yield {"prosody_c2s_port": 5299}
    finally:
        server.run("systemctl stop intruder")


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("situation", "variables", "words"),
    [
        pytest.param(
            as_it_is,
            {"jitsi_web_certificate": f"{FOLDER}/gone.pem"},
            [f"jitsi_web_certificate names {FOLDER}/gone.pem, which is not there.", "Put the"],
            id="certificate that is not there",
        ),
        pytest.param(
            as_it_is,
            {"jitsi_web_certificate_key": f"{FOLDER}/root.pem"},
            ["jitsi_web_certificate_key names", "holds a certificate and no key", "exchanged"],
            id="certificate for a key",
        ),
        pytest.param(
            as_it_is,
            {"jitsi_web_certificate_authority": ""},
            [
                "jitsi_web_certificate names",
                "nobody whom clients know",
                "name its root in jitsi_web",
            ],
            id="authority that nobody knows",
        ),
        pytest.param(
            without_chain,
            {},
            ["jitsi_web_certificate names", "without its chain", "fullchain.pem"],
            id="certificate without its chain",
        ),
        pytest.param(
            ended, {}, ["jitsi_web_certificate names", "has ended on ", "Renew it."], id="ended"
        ),
        pytest.param(
            as_it_is,
            {"jitsi_features": ["turn_on_443"]},
            ["jitsi_web_certificate names", f"is not for turn.{DOMAIN}.", "subjectAltName"],
            id="without the second name",
        ),
        pytest.param(
            root_is_a_file, {}, ["jitsi_web_root names", "which is no folder."], id="root"
        ),
        pytest.param(
            as_it_is,
            {"jitsi_web_addresses": ["192.0.2.77"]},
            ["has no address 192.0.2.77 (", "Remove it from jitsi_web_addresses"],
            id="address of another host for nginx",
        ),
        pytest.param(
            as_it_is,
            {"prosody_interfaces": ["127.0.0.1", "2001:db8::7"]},
            ["has no address 2001:db8::7 (", "Remove it from prosody_interfaces"],
            id="address of another host for Prosody",
        ),
        pytest.param(
            port_taken,
            {},
            ["python3 listens on port 5299", "change prosody_c2s_port."],
            id="port of Prosody taken",
        ),
        pytest.param(
            as_it_is,
            {"jicofo_trusted_certificate": "/srv/gone.crt"},
            ["jicofo_trusted_certificate names /srv/gone.crt", "Put the certificate of Prosody"],
            id="trusted certificate that is not there",
        ),
    ],
)
def test_a_server_stays_as_it_is(
    server: Server, controller: Controller, situation: Any, variables: Any, words: list[str]
) -> None:
    with situation(server) as more:
        before = server.snapshot()
        run = controller.deploy(**{**GIVEN, **variables, **more})
        after = server.snapshot()

    assert run.returncode != 0
    sentence = run.messages[-1]
    assert [each for each in words if each not in sentence] == [], sentence
    assert run.recap["changed"] == 0
    assert differences(before, after) == []


def main_pid(server: Server, unit: str) -> str:
    return server.run(f"systemctl show --property=MainPID --value {unit}").strip()


@pytest.mark.usefixtures("chain")
def test_verify_sees_what_is_sent_and_shown(server: Server, controller: Controller) -> None:
    run = deploy(controller, **GIVEN)
    assert run.returncode == 0, run.output[-3000:]
    assert "a certificate of a private authority" in run.output
    nginx = main_pid(server, "nginx")

    # Renewed, and nobody told nginx
    renewed = issue(DOMAIN, BETWEEN, days=(-1, 20), key=SERVER.key)
    put(server, chain=renewed.pem + BETWEEN.pem)
    run = verify(controller, **GIVEN)
    assert run.returncode == 2
    assert re.search(r"WRONG .* certificate that is in its file .*reload nginx", run.output)

    # The next run tells it, and warns that it ends soon
    run = deploy(controller, **GIVEN)
    assert run.returncode == 0, run.output[-3000:]
    assert f"Warning: the certificate {FOLDER}/chain.pem ends on " in run.output
    assert f"The certificate that {DOMAIN} shows ends on " in run.output
    assert main_pid(server, "nginx") == nginx
    assert deploy(controller, **GIVEN).recap["changed"] == 0

    # What a telephone refuses is refused here, whatever the file holds
    put(server, chain=renewed.pem)
    server.run("systemctl reload nginx")
    server.run("sleep 1")
    run = verify(controller, **GIVEN)
    assert run.returncode == 2
    assert "without its chain, so that telephones and Java refuse it" in run.messages[-1]

    # One that ended meanwhile, though the new one is in the file
    old = issue(DOMAIN, BETWEEN, days=(-90, -2), key=SERVER.key)
    put(server, chain=old.pem + BETWEEN.pem)
    server.run("systemctl reload nginx")
    put(server, chain=SERVER.pem + BETWEEN.pem)
    server.run("sleep 1")
    run = verify(controller, **GIVEN)
    assert run.returncode == 2
    assert f"is another one than in {FOLDER}/chain.pem. Reload nginx." in run.messages[-1]


def test_ours_are_renewed_and_no_session_ends(server: Server, controller: Controller) -> None:
    """With those of Prosody and nginx in the last third of their life, and Java trusting these."""
    assert deploy(controller).returncode == 0
    web = f"/etc/vestibule/web/{DOMAIN}"
    for path, days in ((web, (-600, 220)), (AUTH, (-2450, 1200))):
        name = path.rpartition("/")[2]
        old: Issued = issue(name, days=days, key=server.run(f"cat {path}.key"))
        server.run(f"cat > {path}.crt", stdin=old.pem)
    server.run(f"cp {AUTH}.crt /usr/local/share/ca-certificates/; rm /etc/ssl/certs/auth.*.pem")
    server.run("update-ca-certificates 2>&1; systemctl reload nginx prosody; sleep 1")
    before = {unit: main_pid(server, unit) for unit in ("nginx", "prosody")}
    keys = server.run(f"sha256sum {web}.key {AUTH}.key")

    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]
    assert {unit: main_pid(server, unit) for unit in before} == before
    assert server.run(f"sha256sum {web}.key {AUTH}.key") == keys
    for path, left in ((web, 800), (AUTH, 3600)):
        server.run(f"openssl x509 -noout -checkend {left * 86400} -in {path}.crt")
    assert "signed itself, a stand-in" in run.output
    assert deploy(controller).recap["changed"] == 0


def test_verify_sees_what_jicofo_would_meet(server: Server, controller: Controller) -> None:
    before = server.run(f"cat {AUTH}.crt")
    newer = issue(f"auth.{DOMAIN}", key=server.run(f"cat {AUTH}.key"), days=(-1, 3649))
    server.run(f"cat > {AUTH}.crt", stdin=newer.pem)
    run = verify(controller)
    assert run.returncode == 2
    assert (
        f"Prosody shows another certificate for auth.{DOMAIN} than {AUTH}.crt" in run.messages[-1]
    )

    server.run("systemctl reload prosody; sleep 1")
    run = verify(controller)
    assert run.returncode == 2
    assert f"Java does not trust {AUTH}.crt" in run.messages[-1]

    run = deploy(controller)
    assert run.returncode == 0, run.output[-3000:]
    assert before != server.run(f"cat {AUTH}.crt")
    assert verify(controller).returncode == 0

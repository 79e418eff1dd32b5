"""The server tries its own door, and says so where it does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.servers.support import DOMAIN, Server

METRICS = "/var/lib/vestibule-watch/watch.prom"
CASES = ("token_enters", "no_token_refused", "bad_signature_refused", "other_room_refused")

pytestmark = pytest.mark.usefixtures("wanted")


def watch(server: Server) -> tuple[bool, dict[str, float]]:
    """Whether the service of the watch ended well, and its samples by name with labels."""
    said = server.run("systemctl start vestibule-watch.service && echo well", ok=(0, 1))
    lines = server.run(f"cat {METRICS}").splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return "well" in said, {name: float(number) for name, number in samples.items()}


def verdicts(samples: dict[str, float]) -> dict[str, float]:
    """Those of the cases."""
    return {name: samples[f'vestibule_watch_verdict{{case="{name}"}}'] for name in CASES}


def test_the_door_holds_and_the_watch_says_so(server: Server) -> None:
    well, samples = watch(server)
    assert (well, verdicts(samples)) == (True, dict.fromkeys(CASES, 1))
    assert samples['vestibule_certificate_days{name="front"}'] > 100
    assert samples['vestibule_certificate_days{name="turn"}'] > 100
    for name in ("prosody", "jicofo", "nginx", "coturn", "jitsi-videobridge"):
        assert samples[f'vestibule_service_up{{service="{name}"}}'] == 1
    # Jicofo and the bridge are there, and nobody else
    assert samples['vestibule_prosody_connections{of="machines"}'] >= 2
    assert samples["jitsi_jvb_conferences"] == 0
    assert samples['vestibule_program_healthy{program="bridge"}'] == 1
    version = server.run("dpkg-query --show --showformat='${Version}' prosody")
    assert samples[f'vestibule_package_info{{package="prosody",version="{version}"}}'] == 1


def test_it_leaves_no_meeting_and_no_token(server: Server) -> None:
    began = server.run("date +%s").strip()
    assert watch(server)[0]
    said = server.run(
        f"prosodyctl shell 'muc list conference.{DOMAIN}';"
        f" journalctl --since=@{began} --no-pager; cat {METRICS} /var/log/nginx/{DOMAIN}.log"
    )
    assert "assigned it sid" in said  # it has been there
    assert "vestibule-watch@conference" not in server.run(
        f"prosodyctl shell 'muc list conference.{DOMAIN}'"
    )
    assert not re.search(r"eyJ[\w-]{8,}", said)
    stat = server.run(f"stat -c '%U %a' {METRICS} /etc/vestibule/tokens/watch.json")
    assert stat.split("\n")[:2] == ["root 644", "root 640"]


def test_its_timer_runs_and_starts_at_boot(server: Server) -> None:
    said = server.run(
        "systemctl is-active vestibule-watch.timer; systemctl is-enabled vestibule-watch.timer"
    )
    assert said.split() == ["active", "enabled"]


@pytest.fixture(name="prosody_is_back")
def _prosody_is_back(server: Server) -> Iterator[None]:
    yield
    server.run("systemctl restart prosody")
    server.wait_for_listener(5280)
    server.run("timeout 90 sh -c 'until systemctl start vestibule-watch.service; do sleep 1; done'")


@pytest.mark.usefixtures("prosody_is_back")
@pytest.mark.parametrize(
    ("how", "wrong"),
    [
        pytest.param("systemctl stop prosody", CASES, id="nobody gets in"),
        pytest.param(
            f"prosodyctl shell module unload token_verification conference.{DOMAIN}",
            ["other_room_refused"],
            id="whoever has a token gets into every room",
        ),
    ],
)
def test_where_the_door_does_not_hold_it_says_so(
    server: Server, how: str, wrong: list[str]
) -> None:
    server.run(how)
    well, samples = watch(server)
    assert not well
    assert {name for name, right in verdicts(samples).items() if not right} == set(wrong)
    journal = server.run("journalctl --unit=vestibule-watch -n 20 --no-pager")
    for name in wrong:
        assert f"{name} went wrong" in journal


def test_its_key_opens_rooms_of_no_other_tenant(server: Server) -> None:
    """Nor of the domain itself."""
    script = """
import importlib.machinery, importlib.util, json, sys
loader = importlib.machinery.SourceFileLoader("watch", "/usr/local/lib/vestibule/watch")
watch = importlib.util.module_from_spec(importlib.util.spec_from_loader("watch", loader))
loader.exec_module(watch)
wish = json.load(open("/etc/vestibule/watch/watch.json"))
key = json.load(open("/etc/vestibule/tokens/watch.json"))["keys"][0]
for tenant in key["tenants"] + [wish["domain"], "acme", "*"]:
    now = watch.time.time()
    token = watch.token_of({**key, "tenants": [tenant]}, "room", wish["audience"], now)
    person = watch.Person(wish, {"room": "room", "token": token})
    try:
        person.log_in()
        print(tenant, "in")
    except watch.Refused as error:
        print(tenant, error)
    person.leave()
"""
    said = server.run("python3 -B -", stdin=script).splitlines()
    assert said == [
        "vestibule-watch in",
        f"{DOMAIN} login: not-allowed",
        "acme login: not-allowed",
        "* login: not-allowed",
    ]

"""A bridge and a TURN server on a host of their own, which come and go without the others.

Each test leaves the servers as it found them, but for the last two.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server, differences

from .conftest import CASES, TURN_CASES
from .moving import outlive_their_bridge

_UP = "--skip-tags=jitsi_verify"
_UNIT = "jitsi-videobridge2"
RELAY = f"relay.{DOMAIN}"
_TURN = "/etc/vestibule/turn/turnserver.conf"
_ACCOUNTS = f"/var/lib/prosody/auth%2e{DOMAIN.replace('.', '%2e')}/accounts"
# What is tried from one host at the login of bridges: an account with its password
_LOGIN = """
import base64, socket, ssl, sys
host, domain, user, password = sys.argv[1], sys.argv[2], sys.argv[3], sys.stdin.read().strip()
opening = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    f" to='{domain}' version='1.0'>"
)
def until(way, *ends):
    said = b""
    while not any(each in said for each in ends):
        more = way.recv(4096)
        if not more:
            break
        said += more
    return said
def ask():
    way = socket.create_connection((host, 5222), 20)
    way.sendall(opening.encode())
    until(way, b"</stream:features>", b"<stream:features/>")
    way.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    until(way, b"<proceed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    way = context.wrap_socket(way, server_hostname=domain)
    way.sendall(opening.encode())
    until(way, b"</stream:features>", b"<stream:features/>")
    tried = base64.b64encode(f"\\0{user}\\0{password}".encode()).decode()
    way.sendall(
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{tried}</auth>".encode()
    )
    if b"<success" not in until(way, b"<success", b"</failure>"):
        return "no login"
    way.sendall(opening.encode())
    until(way, b"</stream:features>", b"<stream:features/>")
    bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    way.sendall(bind.encode())
    said = until(way, b"</iq>", b"</stream:stream>")
    return "bound" if b"<jid>" in said else "not bound"
try:
    print(ask())
except OSError:
    print("no login")
"""


@dataclass(frozen=True)
class Fewer(Controller):
    """An operator whose inventory has other hosts and groups."""

    hosts: Path = Path()

    @property
    def inventory(self) -> Path:
        """That inventory, in the place of the other one."""
        return self.hosts


@contextlib.contextmanager
def with_inventory(
    controller: Controller, relay: Mapping[str, Any] | None = None, **groups: list[str]
) -> Iterator[Controller]:
    """An operator whose inventory has these groups, and ``relay`` as variables of the far TURN.

    It lies in a folder of its own, as other tests look into the scenario's while these run, with
    links to what the scenario's inventory has beside it.
    """
    folder = ROOT / "build/other_hosts"  # as deep as a scenario's, for rig/group_vars
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("group_vars", ".secrets"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(controller.inventory.with_name(name))
    path = folder / "hosts.yml"
    hosts = {name: None for group in groups.values() for name in group}
    content: dict[str, Any] = {"rig": {"hosts": hosts}}
    content |= {group: {"hosts": dict.fromkeys(names)} for group, names in groups.items()}
    if "bridges-far" in groups.get("turn", []):
        content["turn"]["hosts"]["bridges-far"] = {"jitsi_turn_name": RELAY, **(relay or {})}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        yield Fewer(controller.folder, controller.scenario, path)
    finally:
        path.unlink()


def refused(run: Deployment) -> str:
    """What a run says that changed nothing."""
    assert run.returncode != 0
    for name in ("bridges-meet", "bridges-far"):
        assert run.recap_of(name)["changed"] == 0
    return " ".join(run.messages[-1].split())


def accounts(server: Server) -> set[str]:
    return set(server.run(f"ls {_ACCOUNTS}").split())


def address(server: Server) -> str:
    return Path(f"build/rig/hosts/{server.name}/address").read_text(encoding="utf-8").strip()


def secrets_of(controller: Controller) -> dict[str, str]:
    store = controller.inventory.parent / ".secrets/bridges-meet.yml"
    found: dict[str, str] = yaml.safe_load(store.read_text(encoding="utf-8"))
    return found


def secrets_of_turn(host: Server) -> list[str]:
    """What its TURN server makes credentials of, the newest first."""
    return host.run(f"sed -n s/^static-auth-secret=//p {_TURN}").split()


def named(host: Server) -> set[str]:
    """Of which TURN servers Prosody tells people."""
    text = host.run(f"cat /etc/prosody/conf.avail/{DOMAIN}.cfg.lua")
    return set(re.findall(r"\bhost\b\W+= *\"([^\"]+)\"", text))


def login(controller: Controller, start: Server, end: Server, user: str, secret: str) -> str:
    """What comes of a login with the right password, from one host to the other."""
    password = secrets_of(controller)[secret]
    start.run("cat > /run/login.py", stdin=_LOGIN)
    return start.run(
        f"python3 /run/login.py {address(end)} auth.{DOMAIN} {user} 2>&1", stdin=password
    ).strip()


def test_the_bridge_is_on_its_host_alone(server: Server, far: Server) -> None:
    assert far.run(f"systemctl is-active {_UNIT}") == "active\n"
    assert far.run("ss -Hltn sport = 443; ss -Hltn sport = 5280; ls /etc/prosody", ok=(2,)) == ""
    assert "not-found" in server.run(f"systemctl show -P LoadState {_UNIT}")
    assert accounts(server) == {"focus.dat", "jvb%2dbridges%2dfar.dat"}
    brewery = f"JvbBrewery@internal.auth.{DOMAIN}"
    inside = server.run(f"prosodyctl shell muc occupants {brewery.lower()}")
    assert "jvb-bridges-far" in inside


def test_a_turn_server_is_beside_the_bridge(
    controller: Controller, server: Server, far: Server
) -> None:
    assert far.run("systemctl is-active coturn") == "active\n"
    assert RELAY in named(server)
    shown = far.run(
        f"openssl s_client -connect 127.0.0.1:5349 -servername {RELAY} < /dev/null 2> /dev/null"
        " | openssl x509 -noout -ext subjectAltName"
    )
    assert f"DNS:{RELAY}" in shown
    assert (
        secrets_of_turn(far) == secrets_of_turn(server) == [secrets_of(controller)["turn_secret"]]
    )
    others = {key: each for key, each in secrets_of(controller).items() if "far" not in key}
    kept = far.run("grep -rhs . /etc/vestibule /etc/jitsi /etc/systemd/system")
    assert [key for key, each in others.items() if each in kept] == ["turn_secret"]


def test_a_second_run_changes_nothing_and_starts_two_programs_a_host(
    controller: Controller,
) -> None:
    run = controller.deploy(_UP, "-vvv")
    assert run.returncode == 0, run.output[-3000:]
    for name in ("bridges-meet", "bridges-far"):
        assert run.recap_of(name)["changed"] == 0
    assert run.remote_executions == 4
    assert secrets_of(controller)["turn_secret"] not in run.output


@pytest.mark.parametrize(
    ("changes", "stays", "wish"),
    [
        ("bridges-meet", "bridges-far", {"jitsi_token_leeway": 45}),
        ("bridges-far", "bridges-meet", {"jitsi_videobridge_memory": 300}),
    ],
)
def test_one_part_changes_where_the_other_has_nothing_to_do(
    controller: Controller, changes: str, stays: str, wish: dict[str, int]
) -> None:
    for variables in (wish, {}):  # and back
        run = controller.deploy(_UP, **variables)
        assert run.returncode == 0, run.output[-3000:]
        assert run.recap_of(changes)["changed"] > 0
        assert run.recap_of(stays)["changed"] == 0


def test_an_account_is_good_at_its_own_address_alone(
    controller: Controller, server: Server, far: Server
) -> None:
    bridge = ("jvb-bridges-far", "bridge_password_of_bridges_far")
    assert login(controller, far, server, *bridge) == "bound"
    assert login(controller, far, server, "focus", "focus_password") == "not bound"
    # From the host itself Jicofo logs in, but not by that address
    assert login(controller, server, server, *bridge) == "no login"


def test_a_bridge_that_reaches_no_prosody_is_told_so_and_goes_back(
    controller: Controller, server: Server, far: Server
) -> None:
    unit = f"/etc/systemd/system/{_UNIT}.service.d/vestibule.conf"
    former = far.run(f"cat {unit}")
    far.run(f"ip route add blackhole {address(server)}")
    try:
        run = controller.deploy(_UP, jitsi_videobridge_memory=300)
    finally:
        far.run(f"ip route del blackhole {address(server)}")
    assert run.returncode != 0
    said = " ".join(run.messages[-1].split())
    assert f"bridges-far reaches nothing at {address(server)}, TCP port 5222" in said
    assert far.run(f"cat {unit}") == former
    assert run.recap_of("bridges-meet")["failed"] == 0


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        pytest.param({"jitsi_videobridge_memory": 65536}, "Lower it, or remove it", id="memory"),
        pytest.param({"jitsi_address": "192.0.2.77"}, "has no address 192.0.2.77", id="address"),
    ],
)
def test_what_a_host_cannot_have_is_refused(
    controller: Controller, variables: dict[str, object], says: str
) -> None:
    assert says in refused(controller.deploy(_UP, **variables))


def test_a_port_of_others_on_the_host_of_the_bridge_changes_neither(
    controller: Controller, server: Server, far: Server
) -> None:
    far.run(f"systemctl stop {_UNIT}")
    far.run(
        "systemd-run --quiet --unit=thief python3 -c 'import socket, time;"
        ' s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 10000));'
        " time.sleep(600)'"
    )
    far.run("timeout 60 sh -c 'until ss -Hlun sport = 10000 | grep -q .; do sleep 0.1; done'")
    before = server.snapshot()
    try:
        run = controller.deploy(_UP, jitsi_token_issuer="another")
    finally:
        far.run(f"systemctl stop thief; systemctl start {_UNIT}")
        far.wait_for_listener(8080)
    assert "has port 10000 of bridges-far, which the bridge needs" in refused(run)
    assert differences(before, server.snapshot()) == []


def test_one_part_alone_is_refused(controller: Controller) -> None:
    for one, other in (("bridges-meet", "bridges-far"), ("bridges-far", "bridges-meet")):
        run = controller.deploy(_UP, f"--limit={one}")
        assert run.returncode != 0
        assert run.recap_of(one)["changed"] == 0
        said = " ".join(run.messages[-1].split())
        assert f"{other} is a part of the same server as {one}, and was not looked at" in said


def test_a_new_secret_of_turn_comes_to_both(
    controller: Controller, server: Server, far: Server
) -> None:
    [former] = secrets_of_turn(far)
    given = {"jitsi_domain": DOMAIN, "rotate": "turn", "jitsi_verify_cases": TURN_CASES}
    run = controller.play("rotate.yml", "--diff", "-vvv", **given)
    assert run.returncode == 0, run.output[-6000:]
    new = secrets_of(controller)["turn_secret"]
    assert new != former
    assert secrets_of_turn(server) == secrets_of_turn(far) == [new, former]
    assert not [each for each in (new, former) if each in run.output]
    run = controller.play("rotate.yml", **given, at_once=True)
    assert run.returncode == 0, run.output[-6000:]
    assert secrets_of_turn(server) == secrets_of_turn(far)
    assert former not in secrets_of_turn(far)


def test_drift_is_seen_on_its_host(controller: Controller, far: Server) -> None:
    far.run(f"systemctl stop coturn; echo no-auth >> {_TURN}")
    try:
        run = controller.play("drift.yml", jitsi_domain=DOMAIN)
    finally:
        far.run(f"sed -i /^no-auth$/d {_TURN}; systemctl start coturn")
    assert run.returncode == 2, run.output[-3000:]
    [said] = [part for part in run.output.split("bridges-far: ") if _TURN in part]
    assert "coturn" in run.output
    assert said


def test_its_bridge_can_be_drained(controller: Controller) -> None:
    run = controller.play("drain.yml", jitsi_domain=DOMAIN, drain=False)
    assert run.returncode == 0, run.output[-3000:]
    played = run.output.partition("PLAY [Let the bridges")[2].partition("PLAY RECAP")[0]
    assert "The bridge on bridges-far takes meetings" in played
    assert "bridges-meet" not in played


def test_a_bridge_comes_beside_it_and_the_other_one_leaves(
    controller: Controller, server: Server, far: Server
) -> None:
    """Two at a time, the second of which takes the meeting of one that stops; then one alone.

    The other host keeps its TURN server, then leaves.
    """
    both: dict[str, Any] = {"signalling": ["bridges-meet"], "turn": ["bridges-far"]}
    both["bridges"] = ["bridges-meet", "bridges-far"]
    with with_inventory(controller, **both) as two:
        run = two.deploy(jitsi_verify_cases=CASES[:-1])
        assert run.returncode == 0, run.output[-6000:]
    assert accounts(server) == {"focus.dat", "jvb.dat", "jvb%2dbridges%2dfar.dat"}
    hosts = {address(each): each for each in (server, far)}
    secret = secrets_of(controller)["token_secret"]
    certificate = server.run(f"cat /etc/vestibule/web/{DOMAIN}.crt")
    moving = outlive_their_bridge(hosts, address(server), certificate, secret)
    assert asyncio.run(moving) == hosts.keys()
    relay: dict[str, Any] = {"signalling": ["bridges-meet"], "turn": ["bridges-far"]}
    with with_inventory(controller, **relay) as apart:
        run = apart.deploy(jitsi_verify_cases=["two_people_meet", *TURN_CASES])
        assert run.returncode == 0, run.output[-6000:]
        again = apart.deploy(_UP)
        assert again.recap_of("bridges-far")["changed"] == 0
    assert named(server) == {RELAY}
    assert "inactive" in far.run(f"systemctl is-active {_UNIT}", ok=(3, 4))
    assert (
        server.run("ss -Hltn sport = 5349; systemctl is-active coturn", ok=(3, 4)) == "inactive\n"
    )
    with with_inventory(controller, rig=["bridges-meet"]) as one:
        run = one.deploy(jitsi_verify_cases=["two_people_meet"])
        assert run.returncode == 0, run.output[-6000:]
        again = one.deploy(_UP, "-vvv")
        assert (again.recap["changed"], again.remote_executions) == (0, 2), again.output[-3000:]
    assert accounts(server) == {"focus.dat", "jvb.dat"}
    assert named(server) == {DOMAIN}
    assert "bridges-far" not in server.run(f"cat /etc/nginx/sites-available/{DOMAIN}.conf")
    assert server.run("ls /etc/vestibule/web/bridges", ok=(0, 2)) == ""
    assert server.run("ss -Hltn sport = 5222").split()[3] == "127.0.0.1:5222"


def test_what_left_is_taken_away_from_its_host(controller: Controller, far: Server) -> None:
    """With the inventory that still has it."""
    with with_inventory(controller, signalling=["bridges-meet"], turn=["bridges-far"]) as apart:
        run = apart.play("uninstall.yml", "--limit=bridges-far", jitsi_domain=DOMAIN, data="purge")
        assert run.returncode == 0, run.output[-6000:]
    assert far.run("find /etc/vestibule -type f", ok=(0, 1)) == ""
    assert "not-found" in far.run("systemctl show -P LoadState coturn")

"""What hosts of an inventory are for, and what that makes of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from vestibule.model import ModelError
from vestibule.model.compiler import build_model
from vestibule.model.deployment import bridge_name, deployment_of, first_address, hosts_with
from vestibule.model.explain import opened
from vestibule.model.features import load_features
from vestibule.set_variables import fault_of

DOMAIN = "meet.example.org"
SPLIT = {"all": ["meet", "far.example.org", "Near"], "bridges": ["far.example.org", "Near"]}
RELAY = "relay.example.org"
TURN = {"all": ["meet", "far", RELAY], "turn": [RELAY, "far"]}
NAMED: dict[str, dict[str, Any]] = {"turn_name": {"far": "far.example.org"}}
BESIDE = {**SPLIT, "signalling": ["meet"], "bridges": ["meet", "far.example.org"]}


def seen_from(
    host: str,
    groups: Mapping[str, Sequence[str]],
    turn: Mapping[str, Mapping[str, Any]] = NAMED,
    **domains: str,
) -> dict[str, Any]:
    """What the model is told of an inventory."""
    return {
        "host": host,
        "groups": groups,
        "domains": {one: domains.get(one, DOMAIN) for one in groups["all"]},
        "turn": turn,
    }


def model(
    host: str,
    groups: Mapping[str, Sequence[str]],
    domains: Mapping[str, str],
    turn: Mapping[str, Mapping[str, Any]] = NAMED,
    **options: Any,
) -> dict[str, Any]:
    given = {"jitsi_domain": DOMAIN, **options}
    inventory = seen_from(host, groups, turn, **domains)
    return build_model(load_features(), given, inventory=inventory)


def test_without_groups_every_host_is_a_whole_server() -> None:
    groups = {"all": ["one", "two"], "ungrouped": ["one", "two"]}
    for part in ("signalling", "bridge"):
        assert hosts_with(groups, part) == ["one", "two"]
    for part in ("elsewhere", "parts"):
        assert hosts_with(groups, part) == ["!all"]
    assert model("one", groups, {}) == build_model(load_features(), {"jitsi_domain": DOMAIN})


@pytest.mark.parametrize(
    ("groups", "signalling", "bridge", "elsewhere"),
    [
        pytest.param(SPLIT, ["meet"], SPLIT["bridges"], SPLIT["bridges"], id="no group signalling"),
        pytest.param(
            BESIDE, ["meet", "Near"], ["meet", "far.example.org"], ["far.example.org"], id="beside"
        ),
        pytest.param(
            {"all": ["meet"], "signalling": ["meet"]}, ["meet"], ["meet"], ["!all"], id="alone"
        ),
        pytest.param(TURN, ["meet"], ["meet"], [RELAY, "far"], id="TURN"),
        pytest.param(
            {**TURN, "bridges": ["far"]}, ["meet"], ["far"], ["far", RELAY], id="TURN and a bridge"
        ),
    ],
)
def test_plays_have_the_hosts_of_a_part(
    groups: Mapping[str, Sequence[str]],
    signalling: list[str],
    bridge: list[str],
    elsewhere: list[str],
) -> None:
    assert hosts_with(groups, "signalling") == signalling
    assert hosts_with(groups, "bridge") == bridge
    assert hosts_with(groups, "elsewhere") == elsewhere
    assert hosts_with(groups, "parts") == (["!all"] if elsewhere == ["!all"] else groups["all"])


def test_each_bridge_has_an_account_of_its_own_and_the_local_one_is_gone() -> None:
    found = model("meet", SPLIT, {})
    assert found["accounts"] == {
        "focus@auth.meet.example.org": "focus_password",
        "jvb-far-example-org@auth.meet.example.org": "bridge_password_of_far_example_org",
        "jvb-near@auth.meet.example.org": "bridge_password_of_near",
    }
    assert [each["name"] for each in found["bridges"]] == ["far-example-org", "near"]
    assert found["prosody"]["settings"]["unlimited_jids"] == list(found["accounts"])
    assert {"every_bridge_answers", "bridges_alone_log_in_directly"} <= set(found["cases"])
    assert "front_door" in found["prosody"]["hosts"][DOMAIN]["guards"]
    assert found["deployment"]["is_signalling"] and not found["deployment"]["has_bridge"]
    far = model("Near", SPLIT, {})["deployment"]
    assert far["has_bridge"] and not far["is_signalling"]
    assert far["signalling"] == "meet"


def test_guests_come_by_the_front_door_as_well() -> None:
    hosts = model("meet", SPLIT, {}, jitsi_features=["guests"])["prosody"]["hosts"]
    assert "front_door" in hosts[f"guest.{DOMAIN}"]["guards"]


def test_a_bridge_can_be_beside_the_signalling() -> None:
    groups = {**BESIDE, "all": ["meet", "far.example.org"]}
    found = model("meet", groups, {})
    assert [each["name"] for each in found["bridges"]] == ["jvb", "far-example-org"]
    assert found["accounts"]["jvb@auth.meet.example.org"] == "bridge_password"
    assert found["deployment"]["has_bridge"]


def test_bridges_belong_to_the_server_of_their_domain() -> None:
    groups = {"all": ["a", "b", "one", "two"], "bridges": ["one", "two", "b"], "signalling": ["b"]}
    other = {"b": "b.example.org", "two": "b.example.org"}
    assert [each["host"] for each in model("a", groups, other)["bridges"]] == ["one"]
    parts = deployment_of(**seen_from("b", groups, NAMED, **other))
    assert [each["host"] for each in parts["bridges"]] == ["two"]
    assert parts["bridge_beside"]


def test_firewalls_are_told_from_where_to_where() -> None:
    rows = opened(model("meet", BESIDE | {"all": ["meet", "far.example.org"]}, {}), 5222)
    media = [row[:3] for row in rows if row[3] == "audio and video"]
    assert media == [
        ("everywhere", "meet", "UDP 10000"),
        ("everywhere", "far.example.org", "UDP 10000"),
    ]
    assert ("far.example.org", "meet", "TCP 5222", "logins of bridges") in rows
    assert [row[:3] for row in rows if row[2] == "TCP 9090"] == [
        ("meet", "far.example.org", "TCP 9090")
    ]
    whole = opened(build_model(load_features(), {"jitsi_domain": DOMAIN}), 5222)
    assert "5222" not in str(whole)


def named(model: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """The TURN servers that people are told of."""
    services = model["prosody"]["settings"].get("external_services", [])
    return [(each["type"], each["host"], each["port"]) for each in services]


def test_people_are_told_of_the_turn_servers_that_there_are() -> None:
    everywhere: dict[str, dict[str, Any]] = {"turn_tls_port": {RELAY: 443}, **NAMED}
    found = model("meet", TURN, {}, everywhere)
    assert named(found) == [
        ("stun", RELAY, 3478),
        ("turn", RELAY, 3478),
        ("turns", RELAY, 443),
        ("stun", "far.example.org", 3478),
        ("turn", "far.example.org", 3478),
        ("turns", "far.example.org", 5349),
    ]
    assert "turn_leads_not_to_the_server" in found["cases"]
    assert found["why"]["remote_turn"] == "hosts in the group turn of the inventory"
    assert found["here"] == {
        "bridge": True,
        "turn": False,
        "acme": False,
        "turn_name": "",
        "name": DOMAIN,
    }
    relay = model(RELAY, TURN, {}, everywhere, jitsi_turn_tls_port=443)
    assert relay["here"] == {
        "bridge": False,
        "turn": True,
        "acme": False,
        "turn_name": RELAY,
        "name": RELAY,
    }
    certified = model(RELAY, TURN, {}, everywhere, jitsi_certificate="acme")
    assert certified["here"]["acme"]
    gone = {**TURN, "all": ["meet", RELAY], "turn": [RELAY]}
    assert {host for _, host, _ in named(model("meet", gone, {}))} == {RELAY}


def test_a_turn_server_can_be_beside_the_signalling_and_on_the_host_of_a_bridge() -> None:
    groups = {**TURN, "signalling": ["meet"], "turn": ["meet", "far"], "bridges": ["far"]}
    groups["all"] = ["meet", "far"]
    found = model("meet", groups, {})
    assert {host for _, host, _ in named(found)} == {DOMAIN, "far.example.org"}
    assert [each["has_bridge"] for each in found["turn_servers"]] == [False, True]
    assert found["deployment"]["elsewhere"] == ["far"]
    assert [found["here"][each] for each in ("bridge", "turn", "name")] == [False, True, DOMAIN]
    far = model("far", groups, {})["here"]
    assert (far["bridge"], far["turn"], far["turn_name"]) == (True, True, "far.example.org")
    off = model("meet", {"all": ["meet"]}, {}, jitsi_features_off=["turn", "bridge"])["here"]
    assert [off[each] for each in ("bridge", "turn", "turn_name")] == [False, False, ""]
    on_443 = model("meet", groups, {}, jitsi_features=["turn_on_443"])
    assert ("turns", f"turn.{DOMAIN}", 443) in named(on_443)


def test_firewalls_are_told_of_each_turn_server() -> None:
    said: dict[str, dict[str, Any]] = {
        "turn_relay_min_port": {"far": 60000},
        "certificate": {"far": "acme"},
        **NAMED,
    }
    rows = opened(model("meet", TURN, {}, said), 5222)
    assert [row[1:3] for row in rows if row[3] == "TURN over TLS"] == [
        (RELAY, "TCP 5349"),
        ("far", "TCP 5349"),
    ]
    assert ("everywhere", "far", "UDP 60000 to 65535", "relays of TURN") in rows
    assert [row[1] for row in rows if "questions of the authority" in row[3]] == ["far"]


@pytest.mark.parametrize(
    ("host", "groups", "domains", "says"),
    [
        pytest.param(
            "far",
            {"all": ["meet", "far"], "bridges": ["far"]},
            {"meet": "other.example.org"},
            "far is in the group bridges, and no host for the signalling has its jitsi_domain",
            id="no server",
        ),
        pytest.param(
            "far",
            {"all": ["meet", "mate", "far"], "bridges": ["far"]},
            {},
            "far has the jitsi_domain 'meet.example.org', and so have mate and meet",
            id="two servers",
        ),
        pytest.param(
            "far",
            {"all": ["meet", "far"], "signalling": ["meet"]},
            {},
            "far is in no group that says what it is for, and has the jitsi_domain"
            " 'meet.example.org' of meet",
            id="in no group any more",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "far.1", "FAR-1"], "bridges": ["far.1", "FAR-1"]},
            {},
            "The bridges far.1 and FAR-1 would both be called far-1",
            id="one name",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "jvb"], "bridges": ["jvb"]},
            {},
            "would both be called jvb",
            id="the name of the local one",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "ü"], "bridges": ["ü"]},
            {},
            "The inventory name ü is no name for a bridge",
            id="no letter",
        ),
        pytest.param(
            "meet",
            {"all": ["meet"], "bridges": []},
            {},
            "meet would have no bridge: no host of meet.example.org is in the group bridges",
            id="no bridge",
        ),
    ],
)
def test_bridges_that_do_not_fit_together_are_refused(
    host: str, groups: dict[str, list[str]], domains: dict[str, str], says: str
) -> None:
    with pytest.raises(ModelError, match=says.replace("(", r"\(").replace(".", r"\.")):
        model(host, groups, domains)


@pytest.mark.parametrize(
    ("host", "groups", "given", "says"),
    [
        pytest.param(
            "far",
            {"all": ["far"], "turn": ["far"]},
            {},
            "far is in the group turn, and no host for the signalling has its jitsi_domain",
            id="no server",
        ),
        pytest.param(
            "far",
            {"all": ["far"], "turn": ["far"], "bridges": ["far"]},
            {},
            "far is in the group bridges and turn, and no host",
            id="no server, both",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "mate", "far"], "turn": ["far"]},
            {},
            "far has the jitsi_domain 'meet.example.org', and so have mate and meet",
            id="two servers",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "far", "far.example.org"], "turn": ["far", "far.example.org"]},
            {},
            "far.example.org would be found by the name far.example.org, and so is far.",
            id="one name",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", DOMAIN], "turn": [DOMAIN]},
            {},
            "and so is the server itself, meet.",
            id="the name of the pages",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "turn.meet.example.org"], "signalling": ["meet"]}
            | {"turn": ["meet", "turn.meet.example.org"]},
            {"jitsi_features": ["turn_on_443"]},
            "the name turn.meet.example.org, which this server has already",
            id="the name on the port of HTTPS",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "other"], "turn": ["other"]},
            {},
            "nothing says by which public name people find it. Set jitsi_turn_name for other",
            id="no name",
        ),
        pytest.param(
            "meet",
            {"all": ["meet", "192.0.2.1"], "turn": ["192.0.2.1"]},
            {},
            "Set jitsi_turn_name for 192.0.2.1",
            id="an address",
        ),
        pytest.param(
            "far",
            {"all": ["far"], "signalling": ["far"], "turn": ["far"]},
            {},
            "jitsi_turn_name is set for far, whose TURN server has the name of the pages",
            id="a name beside",
        ),
        pytest.param(
            "meet",
            {"all": ["meet"], "turn": []},
            {},
            "meet would have no TURN server: no host of meet.example.org is in the group turn",
            id="no host",
        ),
        pytest.param(
            "meet",
            TURN,
            {"jitsi_features_off": ["turn"]},
            "and the group turn of the inventory has relay.example.org and far in it",
            id="switched off",
        ),
        pytest.param(
            "meet",
            TURN,
            {"jitsi_features": ["turn_on_443"]},
            "Remove turn_on_443 from jitsi_features, and set jitsi_turn_tls_port to 443",
            id="on the port of HTTPS",
        ),
        pytest.param(
            "meet",
            {"all": ["meet"]},
            {"jitsi_turn_name": "relay.example.org"},
            "jitsi_turn_name is for hosts in the group turn of the inventory",
            id="no group",
        ),
        pytest.param(
            "far",
            {"all": ["meet", "far"], "turn": ["far"], "bridges": ["far"]},
            {"jitsi_turn_tls_port": 9090},
            "The port in jitsi_turn_tls_port is that of jitsi_web_port, jitsi_web_proxy_port or"
            " another",
            id="the port of a bridge",
        ),
    ],
)
def test_turn_servers_that_do_not_fit_together_are_refused(
    host: str, groups: dict[str, list[str]], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(says)):
        model(host, groups, {}, **given)


def test_nobody_asks_for_what_the_inventory_brings() -> None:
    given = {"jitsi_domain": DOMAIN, "jitsi_features": ["remote_bridges"]}
    with pytest.raises(ModelError, match="which hosts in the group bridges of the inventory bring"):
        build_model(load_features(), given)


def test_without_the_feature_no_bridge_is_anywhere() -> None:
    found = model("meet", SPLIT, {}, jitsi_features_off=["bridge"])
    assert found["bridges"] == []
    assert "remote_bridges" not in found["features"]


def test_a_long_name_is_refused() -> None:
    assert bridge_name("x" * 50) == "x" * 50
    with pytest.raises(ModelError, match="1 to 50"):
        bridge_name("x" * 51)


@pytest.mark.parametrize(
    ("candidates", "found"),
    [
        (["", "meet.example.org", "192.0.2.1", "192.0.2.2"], "192.0.2.1"),
        (["127.0.0.1", "0.0.0.0", "fe80::1", "2001:db8::1"], "2001:db8::1"),
        (["localhost", ""], ""),
    ],
)
def test_an_address_is_what_others_reach(candidates: list[str], found: str) -> None:
    assert first_address(candidates) == found


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("far.example.org", {"videobridge_port": 50000}),
        (RELAY, {"turn_port": 10000}),
        (RELAY, {"videobridge_port": 50000}),
        ("far.example.org", {"turn_relay_min_port": 50000, "turn_relay_max_port": 50001}),
        ("meet", {"turn_relay_min_port": 50000, "turn_relay_max_port": 50001}),
    ],
)
def test_ports_are_in_the_way_only_of_what_is_on_the_same_host(
    host: str, options: dict[str, Any]
) -> None:
    groups = {
        "all": ["meet", "far.example.org", RELAY],
        "signalling": ["meet"],
        "bridges": ["far.example.org"],
        "turn": [RELAY],
    }
    given = {f"jitsi_{name}": value for name, value in options.items()}
    assert model(host, groups, {}, {}, **given)
    with pytest.raises(ModelError, match="port"):
        build_model(load_features(), {"jitsi_domain": DOMAIN, **given})


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("meet", "jitsi_certificate is files, and jitsi_web_certificate is empty"),
        ("far.example.org", ""),
        (RELAY, "jitsi_certificate is files, and jitsi_web_certificate is empty"),
    ],
)
def test_a_host_without_a_certificate_needs_no_file_of_one(host: str, said: str) -> None:
    assert set_for(host, jitsi_certificate="files").startswith(said)
    assert bool(said) == bool(set_for(host, jitsi_certificate="files"))


@pytest.mark.parametrize("host", ["meet", "far.example.org", RELAY])
def test_turn_elsewhere_may_have_the_port_of_the_pages(host: str) -> None:
    ports: dict[str, Any] = {"jitsi_web_port": 443, "jitsi_turn_tls_port": 443}
    assert set_for(host, **ports) == ""
    assert "jitsi_turn_tls_port is 443" in set_for("meet", {"all": ["meet"]}, **ports)


class _Hosts(dict[str, dict[str, Any]]):
    def raw_get(self, host: str) -> dict[str, Any]:
        return self[host]


def set_for(host: str, groups: dict[str, list[str]] | None = None, **variables: Any) -> str:
    """What is said of the variables of a host in an inventory that splits a server."""
    split = {
        "all": ["meet", "far.example.org", RELAY],
        "bridges": ["far.example.org"],
        "turn": [RELAY],
    }
    known = {
        "hostvars": _Hosts({host: variables}),
        "inventory_hostname": host,
        "groups": groups or split,
    }
    return fault_of(variables, known)

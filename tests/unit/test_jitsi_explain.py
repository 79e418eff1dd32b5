"""The explanation of a model: complete, and readable in a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.jitsi_explain import jitsi_explain
from vestibule.model.compiler import build_model
from vestibule.model.explain import who_may_what
from vestibule.model.features import load_features

ROOT = Path(__file__).parents[2]
COLUMNS = 100
INDENT = 8  # of what Ansible shows


@pytest.fixture(name="model")
def _model() -> dict[str, Any]:
    wanted = ["guests", "affiliation", "owner_party", "lobby", "lobby_always"]
    given = {
        "jitsi_domain": "a-rather-long-name-of-a-server.meet.example.org",
        "jitsi_features": wanted,
        "jitsi_features_off": ["polls"],
        "jitsi_token_domain_verification": False,
    }
    return build_model(load_features(), given)


def test_it_fits_a_terminal(model: dict[str, Any]) -> None:
    lines = jitsi_explain(model)
    assert max(map(len, lines)) <= COLUMNS - INDENT


def test_everything_is_named(model: dict[str, Any]) -> None:
    lines = jitsi_explain(model)
    text = " ".join(" ".join(lines).split())
    for name, why in {**model["why"], **model["off"]}.items():
        assert f"{name} {why}" in text
    for name, host in model["prosody"]["hosts"].items():
        assert f"{name} {host['purpose']}" in text
    assert all(each in text for each in model["warnings"])
    assert all(each in text for each in model["cases"])
    assert f"{len(model['cases'])} access cases" in text


def test_machines_are_shown_that_can_log_in(model: dict[str, Any]) -> None:
    title = "Machines that enter meetings"
    assert title not in jitsi_explain(model)
    given = {
        "jitsi_domain": "meet.example.org",
        "jitsi_features": ["recording", "sip_gateway"],
        "jitsi_recording_networks": ["192.0.2.8/32"],
    }
    lines = jitsi_explain(build_model(load_features(), given))
    text = " ".join(" ".join(lines[lines.index(title) + 1 :]).split())
    assert "recorder recorder.meet.example.org, meets Jicofo in JibriBrewery@internal.auth" in text
    assert "from this server, 192.0.2.8/32" in text
    assert "gateway gateway.meet.example.org" in text


def test_a_firewall_is_told_what_to_let_in() -> None:
    given = {
        "jitsi_domain": "meet.example.org",
        "jitsi_web_port": 8443,
        "jitsi_videobridge_port": 20000,
    }
    title = "What firewalls have to let through"

    def table(**more: Any) -> list[str]:
        lines = jitsi_explain(build_model(load_features(), {**given, **more}))
        return lines[lines.index(title) + 1 : lines.index("Who may do what") - 1]

    rows = [" ".join(line.split()) for line in table()]
    assert rows[:3] == [
        "from to port for",
        "everywhere this server TCP 8443 the page, BOSH and WebSockets",
        "everywhere this server TCP 80 the way to HTTPS",
    ]
    assert "everywhere this server UDP 20000 audio and video" in rows
    assert "everywhere this server UDP 49152 to 65535 relays of TURN" in rows
    rows = [" ".join(line.split()) for line in table(jitsi_features=["turn_on_443"])]
    assert "and TURN by the name turn.meet.example.org" in " ".join(rows)
    del given["jitsi_videobridge_port"]
    assert len(table(jitsi_features_off=["bridge", "turn"])) == 3


def test_features_stand_together_by_their_reason(model: dict[str, Any]) -> None:
    lines = jitsi_explain(model)
    listed = lines[lines.index("Features") + 1 : lines.index("Off, though on by default") - 1]
    reasons = [line.split(maxsplit=1)[1] for line in listed]
    groups = [why for why, before in zip(reasons, ["", *reasons], strict=False) if why != before]
    assert groups == ["always on", "asked for in jitsi_features", "on by default"]


def test_the_table_says_who_may_do_what(model: dict[str, Any]) -> None:
    head, *rows = who_may_what(model["may"])
    assert head == ["", "without a token", "a guest", "a member's token", "an owner's token"]
    table = {row[0]: row[1:] for row in rows}
    assert table["log in"] == ["only as guest", "yes", "yes", "yes"]
    assert table["moderate"] == ["no", "no", "no", "yes"]
    assert table["open a room"][1:3] == ["waits for an owner", "waits for an owner"]
    assert table["pass the lobby"] == ["no", "when admitted", "when admitted", "yes"]


def test_who_has_no_way_in_has_no_column() -> None:
    model = build_model(load_features(), {"jitsi_domain": "meet.example.org"})
    assert "a guest" not in who_may_what(model["may"])[0]


def test_anything_but_a_model_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="takes the model"):
        jitsi_explain({"jitsi_domain": "meet.example.org"})


def explain(inventory: dict[str, Any], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The playbook, for hosts that do not exist."""
    path = tmp_path / "hosts.yml"
    hosts: dict[str, Any] = {"first": {}, "second": {}}
    connection = {"ansible_host": "{{ lookup('ansible.builtin.file', '/nowhere/address') }}"}
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": {**connection, **inventory}}}))
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", path, "playbooks/explain.yml"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_playbook_touches_no_host(tmp_path: Path) -> None:
    done = explain({"jitsi_domain": "meet.example.org"}, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("meet.example.org: what will be deployed") == 2
    assert not [line for line in done.stdout.splitlines() if line[:1] == " " and len(line) > 100]


def test_the_playbook_refuses_bad_input(tmp_path: Path) -> None:
    bad = {"jitsi_domain": "meet.example.org", "jitsi_features": ["owner_party"]}
    done = explain(bad, tmp_path)
    assert done.returncode != 0
    assert "owner_party, which requires affiliation" in done.stdout + done.stderr
    assert "Who may do what" not in done.stdout


def test_ports_are_those_of_the_inventory() -> None:
    given = {
        "jitsi_domain": "meet.example.org",
        "jitsi_features": ["recording", "sip_gateway"],
        "jitsi_recording_networks": ["192.0.2.8/32", "192.0.2.9/32"],
    }
    lines = jitsi_explain(build_model(load_features(), given), login_port=15222)
    found = [line.split()[:4] for line in lines if "15222" in line]
    assert found == [
        ["192.0.2.8/32", "this", "server", "TCP"],
        ["192.0.2.9/32", "this", "server", "TCP"],
    ]

"""What tries the door from the server: its tokens, its numbers, and what is made of them."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from ansible.module_utils.vestibule import watch

ROOT = Path(__file__).parents[2]
KEY = {
    "kid": "vestibule-watch",
    "secret": "k" * 43,
    "issuers": ["vestibule-watch"],
    "tenants": ["vestibule-watch"],
}
NAMES = re.compile(r"\b(?:vestibule|jitsi)_\w+")
VERDICTS = [
    watch.Verdict("token_enters", True, "enters", 0.5),
    watch.Verdict("other_room_refused", False, "enters", 0.25),
]


@pytest.fixture(name="wish")
def _wish() -> dict[str, Any]:
    """A server on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "domain": "meet.example.org",
        "host": "meet.example.org",
        "address": "0.0.0.0",
        "port": port,
        "authority": "",
        "audience": "jitsi",
        "room": "vestibule-watch",
        "certificates": {"front": port},
        "services": ["no-such-*"],
        "connections": {"http": port},
        "programs": {"jicofo": f"http://127.0.0.1:{port}"},
        "packages": ["no-such"],
    }


def samples(text: str) -> dict[str, float]:
    """By name with labels; what is no line of Prometheus' text format fails."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.match(r"# (HELP|TYPE) [a-z_]+ \S", line), line
            continue
        sample = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\})?) (\S+)', line)
        assert sample, line
        found[sample[1]] = float(sample[2])
    return found


def test_a_token_opens_one_room_of_its_tenant_for_a_minute() -> None:
    token = watch.token_of(KEY, "room", "jitsi", 1_000_000)
    claims = jwt.decode(token, "k" * 43, ["HS256"], audience="jitsi", options={"verify_exp": False})
    assert jwt.get_unverified_header(token) == {
        "alg": "HS256", "typ": "JWT", "kid": "vestibule-watch",
    }  # fmt: skip
    assert (claims["iss"], claims["sub"], claims["room"]) == (*["vestibule-watch"] * 2, "room")
    assert claims["exp"] - claims["iat"] == 60
    assert claims["context"]["user"]["affiliation"] == "owner"


def test_silence_is_no_refusal(wish: dict[str, Any]) -> None:
    verdicts = watch.play(wish, KEY)
    assert len(verdicts) == 4
    assert not any(each.right for each in verdicts)
    assert all(each.said.startswith("no answer") for each in verdicts)
    assert len(list(watch.wrong(verdicts))) == 4


def test_where_nobody_answers_the_verdicts_are_still_told(wish: dict[str, Any]) -> None:
    found = samples(watch.measure(wish, VERDICTS))
    assert found['vestibule_watch_verdict{case="token_enters"}'] == 1
    assert found['vestibule_watch_verdict{case="other_room_refused"}'] == 0
    assert found['vestibule_service_up{service="no-such-"}'] == 0
    assert found['vestibule_program_healthy{program="jicofo"}'] == 0
    assert found['vestibule_prosody_connections{of="http"}'] == 0
    assert list(watch.wrong(VERDICTS)) == ["other_room_refused went wrong: enters"]


def test_connections_that_are_there_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), door.accept()[0]:
            assert watch.connections(port) == 1
    assert watch.connections(1) == 0


def test_versions_are_those_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1-1\n\n"
        "Package: b\nStatus: deinstall ok config-files\nVersion: 2\n",
        "/p/desc": "%NAME%\nc\n\n%VERSION%\n3-1\n",
    }
    monkeypatch.setattr(watch, "read", lambda path: files.get(path, ""))
    monkeypatch.setattr("glob.glob", lambda _: ["/p/desc"])
    assert watch.versions(["a", "b", "c"]) == {"a": "1-1", "c": "3-1"}


def test_labels_break_out_of_nothing() -> None:
    assert watch.label('a"\n\\') == r'"a\"\n\\"'


def emitted() -> set[str]:
    """Names that our programs write, and of others those that are handed on."""
    programs = (ROOT / "module_utils/vestibule" / name for name in ("watch.py", "provider_keys.py"))
    text = "".join(path.read_text(encoding="utf-8") for path in programs)
    named = {name for name in NAMES.findall(text) if name.startswith("vestibule_")}
    return named | {f"vestibule_token_keys_{each}" for each in ("keys", "fetched_seconds")}


def test_rules_have_words_and_ask_for_what_is_there() -> None:
    path = ROOT / "examples/monitoring/vestibule.rules.yml"
    ((group,),) = (yaml.safe_load(path.read_text(encoding="utf-8"))["groups"],)
    assert len(group["rules"]) > 5
    for rule in group["rules"]:
        assert re.fullmatch(r"Vestibule\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        asked = set(NAMES.findall(rule["expr"]))
        assert asked
        assert asked <= emitted(), rule["alert"]


def test_the_dashboard_is_one_and_asks_for_what_is_there() -> None:
    """By the schema of Grafana's dashboards as far as it is needed here; no Grafana has read it."""
    path = ROOT / "examples/monitoring/vestibule.dashboard.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    assert {"uid", "title", "panels", "templating", "time", "schemaVersion"} <= board.keys()
    assert [each["name"] for each in board["templating"]["list"]] == ["source", "instance"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 5
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] in ("stat", "timeseries", "state-timeline", "table")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        (target,) = panel["targets"]
        assert '"$instance"' in target["expr"]
        assert target["datasource"] == {"type": "prometheus", "uid": "${source}"}
        asked = {name for name in NAMES.findall(target["expr"]) if name.startswith("vestibule_")}
        assert asked <= emitted()
        assert asked or "jitsi_" in target["expr"]

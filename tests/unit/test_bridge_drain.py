"""The module bridge_drain against a small bridge on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import bridge_drain

METRICS = """\
# HELP jitsi_jvb_local_endpoints Number of local endpoints that exist currently.
# TYPE jitsi_jvb_local_endpoints gauge
jitsi_jvb_local_endpoints 7.0
jitsi_jvb_local_endpoints_total 99.0
jitsi_jvb_conferences 2.0
"""


class Double(ThreadingHTTPServer):
    """What the private HTTP of a bridge answers."""

    drains, stubborn, metrics = False, False, METRICS


class Handler(BaseHTTPRequestHandler):
    server: Double

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the library's name
        pass

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        known = {"/metrics": self.server.metrics}
        known["/colibri/drain"] = json.dumps({"drain": self.server.drains})
        self.answer(known[self.path])

    def do_POST(self) -> None:
        if not self.server.stubborn:
            self.server.drains = self.path == "/colibri/drain/enable"
        self.answer("")


@pytest.fixture(name="bridge")
def _bridge() -> Iterator[Double]:
    with Double(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Module:
    def __init__(self, port: int, state: str, check_mode: bool = False) -> None:
        self.params = {"address": "127.0.0.1", "port": port, "state": state, "timeout": 5}
        self.check_mode = check_mode


def told(bridge: Double, state: str, check_mode: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = bridge_drain.run(Module(bridge.server_port, state, check_mode))
    return found


def test_a_bridge_is_told_once_and_asked_for_its_people(bridge: Double) -> None:
    people = {"people": 7, "meetings": 2}
    assert told(bridge, "asked") == {"changed": False, "drains": False, **people}
    assert told(bridge, "drained") == {"changed": True, "drains": True, **people}
    assert told(bridge, "drained") == {"changed": False, "drains": True, **people}
    assert told(bridge, "open") == {"changed": True, "drains": False, **people}


def test_check_mode_tells_it_nothing(bridge: Double) -> None:
    assert told(bridge, "drained", check_mode=True)["changed"] is True
    assert bridge.drains is False


def test_a_bridge_that_does_not_obey_is_said(bridge: Double) -> None:
    bridge.stubborn = True
    with pytest.raises(bridge_drain.Silent, match="does not do as it was told"):
        told(bridge, "drained")


def test_a_bridge_without_its_numbers_is_said(bridge: Double) -> None:
    bridge.metrics = METRICS.replace("jitsi_jvb_local_endpoints 7.0\n", "")
    with pytest.raises(bridge_drain.Silent, match="no number of local_endpoints"):
        told(bridge, "asked")


def test_a_bridge_that_is_away_is_said() -> None:
    with pytest.raises(bridge_drain.Silent, match="GET /colibri/drain"):
        bridge_drain.run(Module(1, "asked"))

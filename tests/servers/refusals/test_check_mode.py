"""On a fresh server, check mode tells what would happen, and nothing happens."""

from __future__ import annotations

from tests.servers.support import Controller, Server, differences


def test_check_mode_reports_changes_and_makes_none(server: Server, controller: Controller) -> None:
    before = server.snapshot()
    run = controller.deploy("--check", "--diff")
    after = server.snapshot()

    assert run.returncode == 0, run.output
    assert differences(before, after) == []
    assert run.recap["changed"] > 10
    assert "\n+prosody\n" in run.output
    assert '+VirtualHost "meet.example.org"' in run.output

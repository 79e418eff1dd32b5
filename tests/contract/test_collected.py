"""Tests that need servers are found by pytest, whatever is asked for: that takes no server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.servers.shares import SHARES, TURNS, is_left_for_another_day, left_for_another_day
from tests.servers.support import ROOT


@pytest.mark.parametrize("interrupted", ["", "all"])
def test_every_test_on_servers_is_found(interrupted: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "tests/servers"],
        env={**os.environ, "VESTIBULE_INTERRUPTED": interrupted},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stdout[-3000:]


@pytest.mark.parametrize("scenario", SHARES)
def test_every_file_is_played_on_one_of_the_days(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((ROOT / "tests/servers" / scenario).glob("test_*.py"))
    played = []
    for day in range(len(SHARES[scenario])):
        monkeypatch.setenv("VESTIBULE_SHARE", str(day))
        played += [path for path in files if not is_left_for_another_day(path)]
    assert sorted(played) == files
    monkeypatch.delenv("VESTIBULE_SHARE")
    assert not any(map(is_left_for_another_day, files))


@pytest.mark.parametrize("row", TURNS)
def test_every_scenario_has_its_day(row: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    played = []
    for day in range(len(row)):
        monkeypatch.setenv("VESTIBULE_SHARE", str(day))
        played += [name for name in row if name not in left_for_another_day()]
    assert played == list(row)
    assert all((ROOT / "molecule" / name).is_dir() for name in row)
    monkeypatch.delenv("VESTIBULE_SHARE")
    assert left_for_another_day() == []

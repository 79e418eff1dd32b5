"""Tests that need servers are found by pytest, whatever is asked for: that takes no server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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

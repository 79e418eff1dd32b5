"""Servers that other hands configured, and one controller for all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "molecule" / "shared")]

from tests.faults.support import Controller  # noqa: E402 — the path comes first


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's side."""
    return Controller(
        tmp_path_factory.mktemp("controller"), inventory=ROOT / "molecule/history/hosts.yml"
    )

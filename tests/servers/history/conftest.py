"""Servers that other hands configured, and one controller for all of them."""

from __future__ import annotations

import pytest

from tests.servers.support import Controller


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's side."""
    return Controller(tmp_path_factory.mktemp("controller"), "history")

"""A server that is uninstalled and installed again, and another one in its place."""

from __future__ import annotations

import pytest

from tests.servers.support import Server


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "reinstall"


@pytest.fixture(scope="session")
def replacement() -> Server:
    """What the backup is restored onto."""
    return Server("replacement")

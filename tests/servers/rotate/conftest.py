"""One server whose secrets are replaced while people meet, and the controller that does it."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the server is booted for."""
    return "rotate"

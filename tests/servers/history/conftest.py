"""Servers that others configured, and one controller for all of them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "history"

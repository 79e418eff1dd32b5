"""One server that works, and one operator who asks what became of it."""

from __future__ import annotations

import datetime

import pytest
import yaml

from tests.servers.support import ROOT, Controller, Server


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the server is booted for."""
    return "drift"


@pytest.fixture(scope="session")
def wanted(server: Server, controller: Controller) -> dict[str, object]:
    """What the server was deployed with: a key that ends soon, and a package at its version."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=20)
    keys = [
        {"kid": "app", "algorithm": "HS256", "secret_name": "token_app"},
        {
            "kid": "leaving",
            "algorithm": "HS256",
            "secret_name": "token_leaving",
            "not_after": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    ]
    features = {
        "jitsi_features": ["guests", "watching"],
        "jitsi_token_keys": keys,
        # One case is proof enough that it works
        "jitsi_verify_cases": ["valid_token_enters"],
    }
    run = controller.deploy(**features)
    assert run.returncode == 0, run.output[-3000:]
    record = ROOT / "build/rig/hosts" / server.name / f"{server.name}.versions.yml"
    proven = yaml.safe_load(record.read_text(encoding="utf-8"))["jitsi_versions"]
    pinned = {**features, "jitsi_versions": {"jicofo": proven["jicofo"]}}
    run = controller.deploy("--skip-tags=jitsi_verify", **pinned)
    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] == 1  # the hold
    return pinned

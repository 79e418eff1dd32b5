"""A server keeps its secrets, whatever the controller has lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.support import DOMAIN, ROOT, Controller, Server, differences

from .conftest import ALL

pytestmark = pytest.mark.usefixtures("whole")

_KEY = "5Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5SgQe"


def store(controller: Controller) -> Path:
    return controller.inventory.parent / ".secrets/second-run.yml"


@contextmanager
def other_store(controller: Controller, **secrets: str) -> Iterator[None]:
    """The controller has these secrets alone, or no folder of secrets."""
    folder = store(controller).parent
    away = ROOT / "build" / "secrets-away"  # not beside it, where other tests look meanwhile
    folder.rename(away)
    try:
        if secrets:
            folder.mkdir(mode=0o700)
            store(controller).write_text(yaml.safe_dump(secrets))
            store(controller).chmod(0o600)
        yield
    finally:
        if folder.exists():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        away.rename(folder)


def refused(server: Server, controller: Controller, *flags: str, **variables: Any) -> str:
    """What a deployment says that changes nothing."""
    before = server.snapshot()
    run = controller.deploy(*flags, **{**ALL, **variables})
    assert run.returncode != 0
    assert differences(before, server.snapshot()) == []
    return run.messages[-1]


@pytest.mark.parametrize("flag", ["--diff", "--check", "--tags=prosody"])
def test_secrets_that_are_gone_are_a_question(
    server: Server, controller: Controller, flag: str
) -> None:
    with other_store(controller):
        said = refused(server, controller, flag)
        assert not store(controller).parent.exists()
    every = ["token_secret", "focus_password", "bridge_password", "recorder_password"]
    assert all(name in said for name in [*every, "gateway_password"])
    assert f"{store(controller)}, which is not there" in said
    assert "-e jitsi_history_new_keys=true" in said


def test_the_secrets_of_another_inventory_are_refused(
    server: Server, controller: Controller
) -> None:
    """Also for another domain, as a server has one."""
    known = yaml.safe_load(store(controller).read_text(encoding="utf-8"))
    with other_store(controller, **{name: f"{value}x" for name, value in known.items()}):
        said = refused(server, controller, jitsi_domain="another.example.org")
    assert "token_secret, focus_password" in said
    assert "a server has one domain" in said


def test_one_line_that_is_gone_is_a_question(server: Server, controller: Controller) -> None:
    known = yaml.safe_load(store(controller).read_text(encoding="utf-8"))
    for name in known:
        rest = {other: value for other, value in known.items() if other != name}
        with other_store(controller, **rest):
            said = refused(server, controller, "--check")
            assert yaml.safe_load(store(controller).read_text(encoding="utf-8")) == rest
        assert f"second-run.yml: {name}. Every link" in said


def test_who_only_reads_makes_none(controller: Controller) -> None:
    with other_store(controller):
        for playbook, more in (("mint.yml", {"room": "standup"}), ("verify.yml", ALL)):
            run = controller.play(playbook, jitsi_domain=DOMAIN, **more)
            assert run.returncode != 0
            assert "has no token_secret, and only a deployment makes one" in run.output
        assert controller.play("explain.yml", jitsi_domain=DOMAIN).returncode == 0
        assert not store(controller).parent.exists()


def test_a_key_of_the_operator_may_change(
    server: Server, controller: Controller, whole: Mapping[str, str]
) -> None:
    run = controller.deploy(**ALL, jitsi_token_secret=_KEY)
    assert run.returncode == 0, run.output[-3000:]
    # To leave it away is no key, but the lack of one
    assert "second-run.yml: token_secret. Every link" in refused(server, controller)
    run = controller.deploy(**ALL, jitsi_history_new_keys=True)
    assert run.returncode == 0, run.output[-3000:]

"""Services that stand on another one are restarted with it."""

from __future__ import annotations

from pathlib import Path

import yaml

ROLES = Path(__file__).parents[2] / "roles"


def topics(role: str, handler: str) -> set[str]:
    """What a handler of a role listens to."""
    handlers = yaml.safe_load((ROLES / role / "handlers/main.yml").read_text(encoding="utf-8"))
    (listens,) = (each["listen"] for each in handlers if each["name"] == handler)
    return {listens} if isinstance(listens, str) else set(listens)


def test_jicofo_restarts_whenever_prosody_does() -> None:
    of_prosody = topics("prosody", "Restart Prosody")
    assert of_prosody
    assert of_prosody <= topics("jicofo", "Restart Jicofo")

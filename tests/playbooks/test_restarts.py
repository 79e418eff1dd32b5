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


def test_a_bridge_restarts_when_java_trusts_others_and_not_with_prosody() -> None:
    """Java reads whom it trusts once. To Prosody a bridge comes back by itself."""
    trust = topics("jicofo", "Rebuild the certificate stores of the system and of Java")
    own = topics("jitsi_videobridge", "Restart the bridge")
    assert trust and trust <= own
    assert not topics("prosody", "Restart Prosody") & own


def test_java_trusts_prosody_before_a_bridge_starts() -> None:
    """Handlers come in the order in which roles are named last."""
    deployed = ROLES.parent / "playbooks/tasks/deploy.yml"
    text = yaml.safe_dump(yaml.safe_load(deployed.read_text(encoding="utf-8")), sort_keys=False)
    last = {role: text.rindex(f"name: {role}\n") for role in ("jicofo", "jitsi_videobridge")}
    assert last["jicofo"] < last["jitsi_videobridge"]

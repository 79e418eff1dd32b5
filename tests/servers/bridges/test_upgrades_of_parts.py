"""An upgrade of a server in two parts stays on both hosts or on none."""

from __future__ import annotations

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences
from tests.servers.upgrades import CASES, HALF_WAY, OPEN_DOOR, SNAPSHOTS, Offers, state

_PART_CASES = [*CASES, "every_bridge_answers"]
_BRIDGE = "jitsi-videobridge2"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the operator sets in every run."""
    return {
        "jitsi_domain": DOMAIN,
        "jitsi_verify_cases": _PART_CASES,
        "jitsi_lock_directory": str(tmp_path_factory.mktemp("locks")),
    }


def are_as_before(before: dict[Server, dict[str, str]], run: Deployment) -> str:
    """Both hosts are at the same snapshot, and the run has looked who gets in. What it says."""
    assert run.returncode != 0, run.output[-3000:]
    said = [" ".join(each.split()) for each in run.messages]
    for host, former in before.items():
        assert differences(former, state(host)) == [], said
        assert run.recap_of(host.name)["failed"] == 1
        host.run(f"test ! -e {SNAPSHOTS}/undecided")
    [names] = {host.run(f"ls {SNAPSHOTS} | grep json") for host in before}
    latest = names.split()[-1].removesuffix(".json")
    back = [each for each in said if f"The host is back at the snapshot {latest}" in each]
    assert len(back) == len(before), said
    assert len([each for each in back if each.endswith("The access cases are right again.")]) == 1
    return "\n".join(back)


def test_a_bridge_that_cannot_be_upgraded_leaves_no_host_with_the_new_versions(
    controller: Controller, server: Server, far: Server, given: dict[str, object]
) -> None:
    before = {host: state(host) for host in (server, far)}
    with (
        Offers(server).later("jicofo", "1.0.3-1"),
        Offers(far).later(_BRIDGE, "1.0.3-1", HALF_WAY),
    ):
        said = are_as_before(before, controller.play("upgrade.yml", **given))
    assert "apt-get cannot install" in said
    assert "bridges-far failed, or cannot be reached any more." in said


def test_plugins_that_let_everybody_in_leave_no_host_with_the_new_versions(
    controller: Controller, server: Server, far: Server, given: dict[str, object]
) -> None:
    before = {host: state(host) for host in (server, far)}
    with (
        Offers(server).later("jitsi-meet-prosody", "1.0.3-1", OPEN_DOOR),
        Offers(far).later(_BRIDGE, "1.0.3-1"),
    ):
        said = are_as_before(before, controller.play("upgrade.yml", **given))
    assert "wrong_room_refused" in said
    assert "bridges-meet failed, or cannot be reached any more." in said


@pytest.mark.parametrize("playbook", ["upgrade.yml", "rollback.yml"])
@pytest.mark.parametrize(
    ("one", "other"), [("bridges-meet", "bridges-far"), ("bridges-far", "bridges-meet")]
)
def test_one_part_alone_is_refused(
    controller: Controller, given: dict[str, object], playbook: str, one: str, other: str
) -> None:
    run = controller.play(playbook, f"--limit={one}", **given)
    assert run.returncode != 0
    assert run.recap_of(one)["changed"] == 0
    said = " ".join(run.messages[-1].split())
    assert f"{other} is a part of the same server as {one}, and was not looked at" in said


def test_a_bridge_alone_is_not_called_backed_up(
    controller: Controller, given: dict[str, object]
) -> None:
    run = controller.play("backup.yml", "--limit=bridges-far", **given)
    assert run.returncode != 0
    said = " ".join(run.messages[-1].split())
    assert "bridges-far stores nothing of its own, and bridges-meet" in said

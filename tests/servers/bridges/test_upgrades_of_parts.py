"""An upgrade of a server in two parts stays on both hosts or on none."""

from __future__ import annotations

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences
from tests.servers.upgrades import CASES, HALF_WAY, OPEN_DOOR, SNAPSHOTS, Offers, state, version

_PART_CASES = [*CASES, "every_bridge_answers"]
_BRIDGE = "jitsi-videobridge2"
_STABLE = "/srv/stand-ins/apt/stable"
# A package whose script ends the connections to its host, and lets no other one come
_LOST = "echo 'systemctl stop ssh; pkill -KILL sshd' > DEBIAN/postinst"


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


def test_a_rollback_that_one_host_cannot_make_leaves_both_at_the_new_versions(
    controller: Controller, server: Server, far: Server, given: dict[str, object]
) -> None:
    with Offers(server).later("jicofo", "1.0.3-1"), Offers(far).later(_BRIDGE, "1.0.3-1"):
        assert controller.play("upgrade.yml", **given).returncode == 0
    new = {host: state(host) for host in (server, far)}
    [former] = far.run(f"ls {SNAPSHOTS}/packages/{_BRIDGE}_1.0.1*").split()
    far.run(f"mv {former} /run/former.deb; echo damaged > {former}; mv {_STABLE} {_STABLE}-gone")
    try:
        said = are_as_before(new, controller.play("rollback.yml", **given))
    finally:
        far.run(f"mv {_STABLE}-gone {_STABLE}; mv /run/former.deb {former}")
    assert "bridges-far failed, or cannot be reached any more." in said
    back = controller.play("rollback.yml", **given)
    assert back.returncode == 0, back.output[-3000:]
    assert version(far, _BRIDGE) == version(server, "jicofo") == "1.0.1-1~standin"


def test_a_signalling_that_is_lost_meanwhile_leaves_the_bridge_as_it_was(
    controller: Controller, server: Server, far: Server, given: dict[str, object]
) -> None:
    """It cannot be reached from the middle of its upgrade on. Another run ends that."""
    before = {host: state(host) for host in (server, far)}
    with (
        Offers(server).later("jicofo", "1.0.3-1", _LOST),
        Offers(far).later(_BRIDGE, "1.0.3-1"),
    ):
        try:
            run = controller.play("upgrade.yml", **given)
        finally:
            server.run("systemctl start ssh")
        assert run.returncode != 0
        said = " ".join(run.output.split())
        assert "bridges-meet failed, or cannot be reached any more." in said, said[-3000:]
        assert differences(before[far], state(far)) == []
        server.run(f"test -e {SNAPSHOTS}/undecided")
    again = controller.play("site.yml", **given)
    assert again.returncode == 0, again.output[-3000:]
    back = controller.play("rollback.yml", **given)
    assert back.returncode == 0, back.output[-3000:]
    for host, former in before.items():
        assert differences(former, state(host)) == []


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

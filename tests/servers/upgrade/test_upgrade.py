"""What an upgrade brings and costs, and that each one that fails leaves the server as it was.

The tests follow each other on one server.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.support import ROOT, Controller, Deployment, Server, differences
from tests.servers.upgrades import HALF_WAY, OPEN, OPEN_DOOR, SNAPSHOTS, Offers, state, version

_PLUGINS = ROOT / "rig/stand_ins/plugins"
_OLD = "1.0.1-1~standin"


def snapshots(server: Server) -> list[str]:
    return sorted(server.run(f"ls {SNAPSHOTS} 2> /dev/null | grep json", ok=(0, 1)).split())


def failed(run: Deployment) -> str:
    """What it says at its end."""
    assert run.returncode != 0, run.output[-3000:]
    return " ".join(run.messages[-1].split())


def is_as_before(server: Server, before: dict[str, str], said: str) -> None:
    """The server is what it was, and the run has looked who gets in."""
    assert differences(before, state(server)) == [], said
    assert "The host is back at the snapshot" in said
    assert said.endswith("The access cases are right again.")
    server.run(f"test ! -e {SNAPSHOTS}/undecided")


def pack(path: Path, *, without: str = "", opened: str = "") -> str:
    """An archive of plugins that lacks one, or has one that lets everybody in."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(_PLUGINS.rglob("*.lua")):
            name = str(file.relative_to(_PLUGINS))
            there = file
            if name == opened:
                there = path.with_name(file.name)
                there.write_text(OPEN, encoding="utf-8")
            if name != without:
                archive.add(there, f"plugins/{name}")
    return str(path)


def test_check_mode_says_what_would_come_and_changes_nothing(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("jicofo", "1.0.3-1"):
        run = controller.play("upgrade.yml", "--check", **given)
    assert run.returncode == 0, run.output[-3000:]
    assert f"jicofo {_OLD} -> 1.0.3-1" in run.output
    assert "Jicofo restarts: meetings lose their focus" in " ".join(run.output.split())
    assert "Nobody is in a meeting now." in run.output
    assert differences(before, state(server)) == []
    server.run(f"test ! -e {SNAPSHOTS}")


def test_new_versions_come_and_go_again_on_request(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before, there = state(server), len(snapshots(server))
    with offers.later("jicofo", "1.0.3-1"):
        run = controller.play("upgrade.yml", **given)
        assert run.returncode == 0, run.output[-3000:]
        assert version(server, "jicofo") == "1.0.3-1"
        assert f"jicofo {_OLD} -> 1.0.3-1" in run.output
    assert server.run(f"stat --format=%a:%U {SNAPSHOTS}") == "700:root\n"
    assert server.run(f"find {SNAPSHOTS} -type f -perm /077 -not -name '*.deb'") == ""

    # No repository has the former version any more
    server.run("mv /srv/stand-ins/apt/stable /srv/stand-ins/apt/gone")
    try:
        back = controller.play("rollback.yml", **given)
    finally:
        server.run("mv /srv/stand-ins/apt/gone /srv/stand-ins/apt/stable")
    assert back.returncode == 0, back.output[-3000:]
    assert version(server, "jicofo") == _OLD
    assert differences(before, state(server)) == []
    assert len(snapshots(server)) == min(there + 2, 3)


def test_a_snapshot_that_is_none_is_refused(
    server: Server, controller: Controller, given: dict[str, object]
) -> None:
    before = state(server)
    run = controller.play("rollback.yml", **given, to="yesterday")
    assert 'to is "yesterday", which is no snapshot of upgrade. Name one of: ' in failed(run)
    assert differences(before, state(server)) == []


def test_plugins_that_let_everybody_in_are_taken_back(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("jitsi-meet-prosody", "1.0.3-1", OPEN_DOOR):
        said = failed(controller.play("upgrade.yml", **given))
        assert "wrong_room_refused" in said or "token for another room" in said
        is_as_before(server, before, said)


def test_a_script_of_a_package_that_fails_half_way_is_taken_back(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("jicofo", "1.0.3-1", HALF_WAY):
        said = failed(controller.play("upgrade.yml", **given))
        assert "apt-get cannot install" in said
        is_as_before(server, before, said)


def test_a_prosody_that_does_not_start_is_taken_back(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("prosody", "99.0-1", "sed -i '2i os.exit(1)' usr/bin/prosody"):
        said = failed(controller.play("upgrade.yml", **given))
        is_as_before(server, before, said)


@contextmanager
def small(server: Server, folder: str, size: str) -> Iterator[None]:
    """A folder is a file system of its own, of this size."""
    server.run(
        f"mkdir -p {folder}; cp -a {folder} /run/kept;"
        f" mount -t tmpfs -o size={size},mode=755 tmpfs {folder}; cp -a /run/kept/. {folder}"
    )
    try:
        yield
    finally:
        # What is there now is as it was, or the test has failed
        server.run(f"umount {folder}; rm -r /run/kept")


def test_a_disk_that_is_full_in_the_middle_is_taken_back(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    large = "head -c 4000000 /dev/urandom > usr/share/jicofo/large"
    with (
        offers.later("jicofo", "1.0.3-1", large),
        small(server, "/usr/share/jicofo", "1m"),
    ):
        said = failed(controller.play("upgrade.yml", **given))
        assert "No space is left on a disk of this host: make room there." in said
        is_as_before(server, before, said)


def test_a_disk_that_is_too_small_is_refused_before_anything_changes(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("jicofo", "1.0.3-1"), small(server, SNAPSHOTS, "8m"):
        said = failed(controller.play("upgrade.yml", **given))
    assert re.search(rf"{SNAPSHOTS} has \d MB free, and \d+ MB are needed .* Make room", said)
    assert differences(before, state(server)) == []


def test_an_archive_that_lacks_a_module_is_refused(
    server: Server, controller: Controller, given: dict[str, object], tmp_path: Path
) -> None:
    before = state(server)
    archive = pack(tmp_path / "plugins.tar.gz", without="mod_token_verification.lua")
    run = controller.play(
        "upgrade.yml", **given, jitsi_tokens_source="archive", jitsi_tokens_archive=archive
    )
    assert "token_verification" in failed(run)
    assert differences(before, state(server)) == []


def without_unpacked(state: Mapping[str, str]) -> dict[str, str]:
    """The state without an archive's folder, which stays, and the note of that."""
    unpacked = ("jitsi-plugins/", "/var/lib/vestibule/before/")
    return {name: known for name, known in state.items() if not any(map(name.count, unpacked))}


def test_a_plain_run_takes_back_an_archive_that_lets_everybody_in(
    server: Server, controller: Controller, given: dict[str, object], tmp_path: Path
) -> None:
    before = without_unpacked(state(server))
    archive = pack(tmp_path / "plugins.tar.gz", opened="mod_token_verification.lua")
    run = controller.play(
        "site.yml", **given, jitsi_tokens_source="archive", jitsi_tokens_archive=archive
    )
    said = failed(run)
    assert "This run has put the former configuration back" in said
    assert said.endswith("The access cases are right again.")
    assert differences(before, without_unpacked(state(server))) == []


def test_no_secret_is_in_what_is_said(server: Server, given: dict[str, object]) -> None:
    """The lists of snapshots have digests alone."""
    key = server.run("grep -o 'app_secret = \"[^\"]*' -rh /etc/prosody/conf.avail | head -1")
    secret = key.partition('"')[2].strip()
    assert len(secret) >= 32
    assert server.run(f"grep -l -F -f - {SNAPSHOTS}/*.json", stdin=secret, ok=(1,)) == ""
    log = "journalctl --all --no-pager --output=verbose | grep -c -F -f -"
    assert server.run(log, stdin=secret, ok=(1,)).strip() == "0"


def test_a_run_that_was_cut_off_begins_where_the_first_one_did(
    server: Server, controller: Controller, given: dict[str, object], offers: Offers
) -> None:
    before = state(server)
    with offers.later("jicofo", "1.0.4-1"):
        with controller.playing("upgrade.yml", **given) as run:
            while version(server, "jicofo") == _OLD:
                assert run.poll() is None, "it ended before it was cut off"
        (first,) = server.run(f"cat {SNAPSHOTS}/undecided").split()
        there = snapshots(server)
        run_again = controller.play("upgrade.yml", **given)
        assert run_again.returncode == 0, run_again.output[-3000:]
        assert f"snapshot {first}" in " ".join(run_again.output.split())
        assert version(server, "jicofo") == "1.0.4-1"
        assert snapshots(server) == there
    back = controller.play("rollback.yml", **given, to=first)
    assert back.returncode == 0, back.output[-3000:]
    assert differences(before, state(server)) == []

"""On a deployed server: versions are kept, changed, and given back as they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.support import Controller, Deployment, Server, differences

from .conftest import BRIEF, NAME

pytestmark = pytest.mark.usefixtures("deployed")

_JITSI = ("jicofo", "jitsi-meet-prosody", "jitsi-meet-tokens")
_OLD = dict.fromkeys(_JITSI, "1.0.1-1~standin")
_NEW = dict.fromkeys(_JITSI, "1.0.2-1~standin")
_REPOSITORY = "/srv/stand-ins/apt"


def installed(server: Server, *names: str) -> dict[str, str]:
    shown = server.run(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(names)}")
    return dict(line.split() for line in shown.splitlines())


def held(server: Server) -> list[str]:
    return server.run("apt-mark showhold").split()


def written(folder: Path) -> dict[str, str]:
    versions: dict[str, str] = yaml.safe_load((folder / f"{NAME}.versions.yml").read_text("utf-8"))[
        "jitsi_versions"
    ]
    return versions


@pytest.fixture(name="locks", scope="module")
def _locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of versions go. They outlive the tests, as the server does."""
    return tmp_path_factory.mktemp("locks")


@pytest.fixture(name="deploy")
def _deploy(controller: Controller, locks: Path) -> Any:
    def deploy(*flags: str, **variables: Any) -> Deployment:
        return controller.deploy(
            *flags, **{**BRIEF, "jitsi_lock_directory": str(locks), **variables}
        )

    return deploy


@contextmanager
def offering(
    server: Server, packages: dict[str, str], address: str = "http://127.0.0.1:8099/apt"
) -> Iterator[None]:
    """Jitsi's repository, or another, has these packages as well. apt only hears of them."""
    source = "/etc/apt/sources.list.d/offering.list"
    stanzas = "\n".join(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: ./none.deb\nSize: 1\n"
        f"SHA256: {'0' * 64}\n"
        for name, version in packages.items()
    )
    try:
        server.run(f"mkdir {_REPOSITORY}/more; cat > {_REPOSITORY}/more/Packages", stdin=stanzas)
        server.run(f"echo 'deb [trusted=yes] {address} more/' > {source}; apt-get update")
        yield
    finally:
        server.run(f"rm -rf {source} {_REPOSITORY}/more; apt-get update")


def test_versions_are_held_and_written_down(server: Server, deploy: Any, locks: Path) -> None:
    run = deploy(jitsi_versions=_OLD)
    assert run.returncode == 0, run.output[-3000:]
    assert installed(server, *_JITSI) == _OLD
    assert held(server) == list(_JITSI)
    versions = written(locks)
    assert list(versions) == sorted(versions)
    assert versions.items() >= _OLD.items()
    assert versions == installed(server, *versions)
    assert versions.keys() >= {"prosody", "nginx", "lua-sec", "default-jre-headless"}

    before = (locks / f"{NAME}.versions.yml").stat()
    again = deploy(jitsi_versions=_OLD)
    assert again.recap["changed"] == 0
    assert (locks / f"{NAME}.versions.yml").stat() == before

    with offering(server, _NEW):
        said = server.run("apt-get --simulate upgrade")
        assert "The following packages have been kept back" in said
        assert "Inst jicofo" not in said
    (locks / f"{NAME}.versions.yml").rename(locks / "old.yml")


def test_another_version_replaces_one_that_we_hold(
    server: Server, deploy: Any, locks: Path
) -> None:
    new = {name: version for name, version in _NEW.items() if name != "jitsi-meet-prosody"}
    server.run("apt-mark hold openssl")  # somebody else's
    run = deploy(jitsi_versions=new, jitsi_tokens_repository_suite="next/")

    assert run.returncode == 0, run.output[-3000:]
    assert installed(server, *new) == new
    assert held(server) == ["jicofo", "jitsi-meet-tokens", "openssl"]
    assert written(locks).items() >= new.items()


def test_the_versions_written_down_come_back(server: Server, deploy: Any, locks: Path) -> None:
    run = deploy(f"--extra-vars=@{locks}/old.yml")

    assert run.returncode == 0, run.output[-3000:]
    assert installed(server, *_JITSI) == _OLD
    old = (locks / "old.yml").read_text("utf-8")
    assert (locks / f"{NAME}.versions.yml").read_text("utf-8") == old
    assert held(server) == sorted(written(locks))


def test_a_package_that_is_not_installed_here_is_refused(server: Server, deploy: Any) -> None:
    before = server.snapshot()
    run = deploy(jitsi_versions={"vlc": "3.0", "jicofo": "1.0.1-1~standin"})

    assert run.returncode != 0
    assert "names vlc, which this deployment does not install. Remove" in run.messages[-1]
    assert differences(before, server.snapshot()) == []


@pytest.mark.parametrize("name", ["jicofo", "lua-sec", "nginx"])
def test_a_version_that_nobody_offers_is_refused(
    server: Server, deploy: Any, locks: Path, name: str
) -> None:
    before, lock = server.snapshot(), written(locks)
    run = deploy(jitsi_versions={name: "0.1-1"})

    assert run.returncode != 0
    said = rf"{name} 0\.1-1 is no longer offered; the repositor.* ha(ve|s) {re.escape(lock[name])}"
    assert re.search(said, run.messages[-1])
    assert differences(before, server.snapshot()) == []  # also of what is held
    assert written(locks) == lock


def test_a_version_that_cannot_be_fetched_costs_no_hold(
    server: Server, deploy: Any, locks: Path
) -> None:
    before, lock = held(server), written(locks)
    assert "lua-inspect" in before
    with offering(server, {"lua-inspect": "9.0-1"}, f"file:{_REPOSITORY}"):
        run = deploy(jitsi_versions={**lock, "lua-inspect": "9.0-1"})

    assert run.returncode != 0
    said = run.messages[-1].partition("apt-get cannot install lua-inspect=9.0-1. It said: ")[2]
    assert "E: Failed to fetch" in said
    assert held(server) == before
    assert installed(server, *lock) == lock


def test_a_package_held_before_it_was_installed_is_named(server: Server, deploy: Any) -> None:
    server.run("apt-mark unhold lua-inspect; sed -i /lua-inspect/d /var/lib/vestibule/held")
    server.run("dpkg --purge --force-depends lua-inspect; apt-mark hold lua-inspect")
    try:
        run = deploy()
    finally:
        server.run("apt-mark unhold lua-inspect")

    assert run.returncode != 0
    assert "lua-inspect has to be installed, but somebody else holds it" in run.messages[-1]
    assert "Release it (apt-mark unhold lua-inspect), then run this again" in run.messages[-1]


def test_only_our_holds_are_released(server: Server, deploy: Any) -> None:
    run = deploy()
    assert run.returncode == 0, run.output[-3000:]
    assert held(server) == ["openssl"]
    server.run("test ! -e /var/lib/vestibule/held; apt-mark unhold openssl")


def test_check_mode_holds_and_writes_nothing(server: Server, deploy: Any, locks: Path) -> None:
    (locks / f"{NAME}.versions.yml").unlink()
    run = deploy("--check", "--diff", jitsi_versions=_OLD)

    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] == 2
    assert "+  prosody: " in run.output
    assert held(server) == []
    assert not (locks / f"{NAME}.versions.yml").exists()


def test_a_host_that_fails_costs_no_other_its_versions(
    deploy: Any, locks: Path, tmp_path: Path
) -> None:
    gone = {"all": {"hosts": {"gone": {"ansible_host": "127.0.0.1", "ansible_port": 9}}}}
    (tmp_path / "gone.yml").write_text(yaml.safe_dump(gone), "utf-8")
    run = deploy(f"--inventory={tmp_path}/gone.yml")

    assert run.recap_of("gone")["unreachable"] == 1, run.output
    assert run.recap_of(NAME)["failed"] == 0, run.output[-3000:]
    assert written(locks)
    assert not (locks / "gone.versions.yml").exists()


def test_versions_that_were_not_proven_are_not_written_down(deploy: Any, locks: Path) -> None:
    (locks / f"{NAME}.versions.yml").unlink()
    assert deploy("--skip-tags=jitsi_verify").returncode == 0
    assert not (locks / f"{NAME}.versions.yml").exists()


def test_the_repository_replaces_nothing_but_jitsis_packages(server: Server) -> None:
    more = dict.fromkeys(("nginx", "prosody", "openssl", "jicofo", "jitsi-meet-web"), "99.0")
    with offering(server, more):
        policy = server.run(f"LC_ALL=C apt-cache policy {' '.join(more)}")
    candidates = {}
    for line in policy.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: "):
            candidates[name] = line.split()[1]
    assert len(candidates) == len(more)
    assert policy.count(" 99.0 ") >= len(more)
    ours = {name for name, candidate in candidates.items() if candidate == "99.0"}
    assert ours == {"jicofo", "jitsi-meet-web"}

"""Archives of plugins on a host: the current one and the one before, whatever goes wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLAYBOOK = str(ROOT / "tests/render/archives.yml")
# Each step uses one archive: its name, and whether Prosody refuses it once it is in use.
STEPS = [
    ("a", False),
    ("b", False),
    ("a", False),
    ("c", False),
    ("no lua", False),
    ("d", True),
]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root owns what the role writes")


@dataclass(frozen=True)
class Host:
    """A folder that stands for the host, and what was said and seen there."""

    folder: Path
    output: str
    names: dict[str, str]  # name of an archive by the first 16 digits of its SHA-256

    def after(self, step: int) -> tuple[set[str], str]:
        """Archives that are there after a step, and the one that is in use."""
        lines = (self.folder / f"after-{step}").read_text(encoding="utf-8").splitlines()[1:]
        there = {self.names.get(line.split()[-1], line) for line in lines if line[0] == "d"}
        (link,) = (line.rpartition("/")[2] for line in lines if line[0] == "l")
        return there, self.names[link]


def pack(folder: Path, name: str) -> dict[str, Any]:
    """An archive with one module, as the action plugin_archive tells of it."""
    path = folder / f"{name}.tar"
    text = f"-- {name}".encode()
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("plugins/mod_auth_token.lua")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    folder = tmp_path_factory.mktemp("host")
    lua = folder / "lua5.4"
    lua.write_text(
        '#!/bin/sh\nwhile read -r path; do if grep -l "no lua" "$path" >&2; then exit 1; fi; done\n'
    )
    lua.chmod(0o755)
    archives = {name: pack(folder, name) for name, _ in STEPS}
    # What a run that was cut off leaves
    rest = folder / "releases" / f"{archives['c']['sha256'][:16]}.part"
    rest.mkdir(parents=True)
    (rest / "mod_auth_token.lua").write_text("-- half of")
    (folder / "releases" / "somebody's").mkdir()
    extra = folder / "extra.json"
    steps = [{"archive": archives[name], "refused": refused} for name, refused in STEPS]
    extra.write_text(json.dumps({"folder": str(folder), "steps": steps}), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"@{extra}", PLAYBOOK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    names = {archive["sha256"][:16]: name for name, archive in archives.items()}
    return Host(folder, " ".join(done.stdout.split()), names)


@pytest.mark.parametrize(
    ("step", "there", "used"),
    [
        pytest.param(0, {"a"}, "a", id="the first"),
        pytest.param(1, {"a", "b"}, "b", id="the one before is kept"),
        pytest.param(2, {"a", "b"}, "a", id="back to the one before"),
        pytest.param(3, {"a", "c"}, "c", id="the one before by use, not by age"),
        pytest.param(4, {"a", "c"}, "c", id="one that is no Lua"),
        pytest.param(5, {"c", "d"}, "c", id="one that Prosody refuses"),
    ],
)
def test_the_archive_in_use_and_the_one_before_are_there(
    host: Host, step: int, there: set[str], used: str
) -> None:
    found, current = host.after(step)
    (others,) = (each for each in found if "somebody" in each)
    assert (found - {others}, current) == (there, used)


def test_what_a_run_left_that_was_cut_off_is_not_used(host: Host) -> None:
    text = (host.folder / "releases/current/mod_auth_token.lua").read_text(encoding="utf-8")
    assert text == "-- c"
    assert not list((host.folder / "releases").glob("*.part"))


def test_refusals_name_the_archive_and_what_is_in_use(host: Host) -> None:
    assert f"The archive {host.folder}/no lua.tar has a module that Lua 5.4 cannot read" in (
        host.output
    )
    assert "goes on with the plugins that it has." in host.output
    assert "Prosody does not run." in host.output
    assert f"had switched to the archive {host.folder}/d.tar. The previous plugins" in host.output

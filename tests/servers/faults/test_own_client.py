"""A web client from an archive: what is none changes nothing, and the one before stays."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.servers.support import ROOT, Controller, Server, differences

from .test_faults import our_files

pytestmark = pytest.mark.usefixtures("deployed")

_CLIENT = ROOT / "rig/stand_ins/packages/jitsi-meet-web/usr/share/jitsi-meet"
_RELEASES = "/usr/local/share/vestibule-web"
_CASES = ["page_opens", "link_leads_in", "dead_ends_lead_on"]


def pack(path: Path, style: str, without: str = "") -> str:
    """An archive of the client that is another one by its style, and its path."""
    with tarfile.open(path, "w:bz2") as archive:
        for file in sorted(_CLIENT.rglob("*")):
            name = str(file.relative_to(_CLIENT))
            if file.is_file() and name != without:
                text = file.read_bytes() + (style.encode() if name == "css/all.css" else b"")
                member = tarfile.TarInfo(f"jitsi-meet/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
    return str(path)


def in_use(server: Server) -> tuple[str, set[str]]:
    """The release in use, and all that are there."""
    there = server.run(f"ls {_RELEASES}").split()
    return server.run(f"readlink {_RELEASES}/current").strip(), {*there} - {"current"}


def test_a_client_of_ones_own_is_served_and_the_one_before_is_kept(
    server: Server, controller: Controller, tmp_path: Path
) -> None:
    first, second = pack(tmp_path / "a.tar", "/* a */"), pack(tmp_path / "b.tar", "/* b */")
    seen = []
    for archive in (first, second, first):
        run = controller.deploy(jitsi_web_archive=archive, jitsi_verify_cases=_CASES)
        assert run.returncode == 0, run.messages
        seen.append(in_use(server))
    (one, alone), (two, both), again = seen
    assert one != two and again == (one, both)
    assert (alone, both) == ({Path(one).name}, {Path(one).name, Path(two).name})
    assert "/* a */" in server.run(f"cat {_RELEASES}/current/css/all.css")

    before = our_files(server)
    none = pack(tmp_path / "none.tar", "", "index.html")
    for archive, checksum, words in (
        (none, None, "lacks index.html"),
        (first, "0" * 64, "jitsi_web_archive_sha256 is 0000"),
    ):
        run = controller.deploy(
            "--skip-tags=jitsi_verify",
            jitsi_web_archive=archive,
            jitsi_web_archive_sha256=checksum,
        )
        assert run.returncode != 0
        assert words in run.messages[-1]
        assert differences(before, our_files(server)) == []
        assert in_use(server) == again

    run = controller.deploy(jitsi_verify_cases=_CASES)
    assert run.returncode == 0, run.messages
    assert server.run(f"ls {_RELEASES}") == ""

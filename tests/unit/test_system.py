"""Systems have names as in Ansible's own facts, with which test_host_probe.py compares."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils import distro
from ansible.module_utils.vestibule import system

RELEASES = [
    (
        'NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n',
        ("Archlinux", "NA", "NA", "NA", "Archlinux"),
    ),
    (
        'NAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n',
        ("Debian", "13", "13", "trixie", "Debian"),
    ),
    (
        'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n',
        ("Ubuntu", "24.04", "24", "noble", "Debian"),
    ),
    ('NAME="Fedora Linux"\nID=fedora\nVERSION_ID=44\n', ("Fedora", "44", "44", "NA", "Fedora")),
    (
        'NAME="Linux Mint"\nVERSION_ID="22"\nID=linuxmint\nID_LIKE="ubuntu debian"\n',
        ("Linuxmint", "22", "22", "NA", "Debian"),
    ),
    ("ID=other\n", ("Other", "NA", "NA", "NA", "Other")),
]


@pytest.mark.parametrize(("release", "known"), RELEASES, ids=[known[0] for _, known in RELEASES])
def test_names_of_systems(
    release: str, known: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "os-release"
    path.write_text(release, encoding="utf-8")
    this = distro.LinuxDistribution(
        include_lsb=False,
        include_uname=False,
        os_release_file=str(path),
        distro_release_file=str(tmp_path / "none"),
        root_dir=None,
    )
    monkeypatch.setattr(this, "_debian_version", "", raising=False)
    monkeypatch.setitem(distro.id.__globals__, "_distro", this)
    facts = system.facts()
    assert tuple(facts.values()) == known

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rig import servers
from rig.command_line import host_name, parse_arguments
from rig.images import IMAGES, STOCK, Image, Registry, Suite, available_images, stocked
from rig.podman import ROOT, Podman, RigError, cgroups_are_unified, limit_within, mounts_at
from rig.servers import Servers, ssh_config

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)


@pytest.mark.parametrize(
    ("mountinfo", "unified"),
    [
        pytest.param(UNIFIED, True, id="version 2 alone"),
        pytest.param(HYBRID, False, id="version 1 with an empty version 2 beside it"),
        pytest.param("", False, id="no cgroups at all"),
    ],
)
def test_cgroups_are_told_apart(mountinfo: str, unified: bool) -> None:
    assert cgroups_are_unified(mountinfo) is unified


@pytest.mark.parametrize(
    ("target", "count"), [("/sys/fs/cgroup", 1), ("/sys/fs", 0), ("/sys/fs/cgroup/unified", 1)]
)
def test_mounts_are_counted_at_their_own_place(target: str, count: int) -> None:
    assert mounts_at(target, HYBRID) == count
    assert mounts_at(target, HYBRID * 2) == 2 * count


@pytest.mark.parametrize("asked", ["demo", "192.0.2.10"])
def test_ssh_takes_the_key_and_insists_on_the_host_key(tmp_path: Path, asked: str) -> None:
    """By name and by address, as people and as Ansible ask; read by ssh itself."""
    folder = tmp_path / "with a blank"
    folder.mkdir()
    file = folder / "ssh_config"
    file.write_text(
        ssh_config("demo", "192.0.2.10", folder / "key", folder / "known_hosts"), "utf-8"
    )
    listed = subprocess.run(
        ["ssh", "-G", "-F", file, asked], capture_output=True, text=True, check=True
    )
    options = dict(line.split(" ", 1) for line in listed.stdout.splitlines())
    assert options["hostname"] == "192.0.2.10"
    assert options["user"] == "root"
    assert options["identityfile"] == str(folder / "key")
    assert options["identitiesonly"] == "yes"
    assert options["userknownhostsfile"] == str(folder / "known_hosts")
    assert options["stricthostkeychecking"] == "true"


@pytest.mark.parametrize(("assigned", "is_set"), [("1", True), ("3", False)])
def test_the_bridge_keeps_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assigned: str, is_set: bool
) -> None:
    bridge = tmp_path / "podman0"
    bridge.mkdir()
    (bridge / "addr_assign_type").write_text(f"{assigned}\n", encoding="utf-8")
    (bridge / "address").write_text("02:00:00:00:00:01\n", encoding="utf-8")
    monkeypatch.setattr(servers, "BRIDGE", bridge)
    podman = Podman(tmp_path)
    ran: list[list[str]] = []
    monkeypatch.setattr(podman, "run", ran.append)
    monkeypatch.setattr(podman, "privileged", list)
    Servers(podman)._keep_bridge()
    set_ = ["ip", "link", "set", "podman0", "address", "02:00:00:00:00:01"]
    assert ran == ([set_] if is_set else [])


@pytest.mark.parametrize(
    "change",
    [
        {"script": "true"},
        {"origin": Suite("trixie", ("systemd",))},
        {"origin": Registry("registry.example.org/debian:13")},
        {"recipe": (Path(__file__),)},
        {"facsimile_of": "Plan 9"},
    ],
    ids=str,
)
def test_another_recipe_is_another_image(change: dict[str, Any]) -> None:
    image = IMAGES["debian13"]
    changed = dataclasses.replace(image, **change)
    assert changed.tag != image.tag
    assert changed.tag.partition(":")[0] == image.tag.partition(":")[0]


def test_what_changes_below_or_in_a_file_changes_the_image(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    file = tmp_path / "recipe/make.sh"
    file.write_text("one", "utf-8")
    below = IMAGES["debian13"]
    image = Image("copy", "Debian 13", below, "true", (tmp_path / "recipe",))

    tags = {image.tag}
    file.write_text("two", "utf-8")
    tags.add(image.tag)
    file.rename(tmp_path / "recipe/other.sh")
    tags.add(image.tag)
    tags.add(dataclasses.replace(image, origin=dataclasses.replace(below, script="true")).tag)
    assert len(tags) == 4


def test_each_image_is_found_by_its_own_name() -> None:
    assert IMAGES
    assert all(name == image.name for name, image in IMAGES.items())


@pytest.mark.parametrize("name", sorted(IMAGES.keys() - {"archlinux"}))
def test_a_stocked_server_is_the_same_system_with_more(name: str) -> None:
    image = IMAGES[name]
    more = stocked(image)
    assert more.label == image.label
    assert more.tag.partition(":")[0] != image.tag.partition(":")[0]
    layer = more.origin if image.facsimile_of else more
    assert isinstance(layer, Image)
    assert [each for each in STOCK if each not in layer.script] == []


def test_images_that_are_taken_as_they_are() -> None:
    assert stocked(IMAGES["archlinux"]) == IMAGES["archlinux"]
    assert [i for i in available_images("registry").values() if stocked(i) != i] == []


def test_the_stand_ins_depend_on_what_is_in_stock() -> None:
    text = (ROOT / "rig/stand_ins/packages/jicofo/DEBIAN/control").read_text("utf-8")
    (depends,) = (line for line in text.splitlines() if line.startswith("Depends:"))
    assert [name for name in STOCK if name not in depends.split(", ")] == []


def test_whatever_is_not_debian_is_called_a_facsimile() -> None:
    images = [image for name, image in IMAGES.items() if not name.startswith("debian")]
    assert len(images) == 4
    for image in images:
        assert image.label.startswith(("Ubuntu 2", "Arch Linux"))
        assert f"facsimile, made of {image.system} packages" in image.label
    assert [IMAGES[name].label for name in ("debian12", "debian13")] == [
        "Debian 12", "Debian 13",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("debian12", "docker.io/library/debian:12"),
        ("ubuntu2204", "docker.io/library/ubuntu:22.04"),
        ("archlinux", "docker.io/library/archlinux:latest"),
    ],
)
def test_registry_has_the_real_ones(name: str, reference: str) -> None:
    """Which they are; nobody has tried them yet."""
    image = available_images("registry")[name]
    assert image.origin == Registry(reference)
    assert "facsimile" not in image.label
    assert "systemctl --quiet mask" in image.script


def test_images_from_elsewhere_are_refused() -> None:
    with pytest.raises(SystemExit, match="VESTIBULE_IMAGES is 'elsewhere'"):
        available_images("elsewhere")


def test_checkouts_share_nothing(tmp_path: Path) -> None:
    one, other = Podman(tmp_path / "one"), Podman(tmp_path / "other")
    assert one.runtime != other.runtime
    assert one.storage != other.storage


def test_limits_stay_within_what_this_process_may_have() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert limit_within(resource.RLIMIT_NOFILE, 1) == "1:1"
    if hard != resource.RLIM_INFINITY:
        assert limit_within(resource.RLIMIT_NOFILE, hard + 1) == f"{hard}:{hard}"


@pytest.mark.parametrize("text", ["", "Demo", "a b", "../x", "démo", "a_b", "--", "-a"])
def test_names_that_are_no_host_names_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="small letters"):
        host_name(text)


@pytest.mark.parametrize("text", ["demo", "default", "a-1"])
def test_host_names_are_taken(text: str) -> None:
    assert host_name(text) == text


def test_what_comes_after_the_dashes_is_the_command() -> None:
    options = parse_arguments(["exec", "--", "podman", "ps", "--all"])
    assert options.command == ["podman", "ps", "--all"]


def test_a_failed_program_is_named_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RigError, match=r"^No luck: the last word$"):
        Podman(tmp_path).run(
            ["sh", "-c", r"printf '%s\n' first 'the last word' '' ' dmesg(1) may' >&2; exit 3"],
            failure="No luck",
        )


def test_without_root_and_sudo_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RigError, match="run this as root or install sudo"):
        Podman(tmp_path).privileged(["mount"])

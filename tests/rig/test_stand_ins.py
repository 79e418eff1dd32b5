"""Stand-in packages: they are what APT takes, and nobody takes them for the real ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from rig.stand_ins import build as builder

PROJECT = Path(__file__).resolve().parents[2]
HOME = PROJECT / "rig/stand_ins"
ROLES = PROJECT / "roles"
NAMES = [
    "jicofo",
    "jitsi-meet-prosody",
    "jitsi-meet-tokens",
    "jitsi-meet-web",
    "jitsi-videobridge2",
]
SUITES = ["stable", "next", "wrongly-signed"]
HEADER = "Stand-in (test double)"
# Prosody's own modules among those that features load
PROSODY = {"bosh", "external_services", "muc", "ping", "smacks", "websocket"}


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def stanzas(text: str) -> list[dict[str, str]]:
    """Stanzas of a control file, without continued lines."""
    return [
        dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(" "))
        for part in text.strip().split("\n\n")
    ]


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("stand-ins")
    assert builder.build(output)
    return output / "apt"


@pytest.fixture(scope="module")
def keyring(apt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the public key that is offered, as gpgv wants it."""
    ring = tmp_path_factory.mktemp("keys") / "stand-ins.gpg"
    run("gpg", "--batch", "--output", ring, "--dearmor", apt / "stand-ins.asc")
    return ring


def test_sources_say_that_they_are_stand_ins() -> None:
    sources = [
        path
        for folder in ("arch", "packages", "plugins")
        for path in (HOME / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(sources) > 40
    assert [path for path in sources if HEADER not in path.read_text("utf-8")[:300]] == []


def test_every_module_that_features_load_from_jitsi_has_a_stand_in() -> None:
    stand_ins = {path.stem.removeprefix("mod_") for path in (HOME / "plugins").glob("mod_*.lua")}
    own = {path.stem.removeprefix("mod_") for path in (ROLES / "jitsi_tokens").rglob("mod_*.lua")}
    loaded = set()
    for path in (ROLES.parent / "features").glob("*.yml"):
        feature = yaml.safe_load(path.read_text("utf-8"))
        for host in feature.get("prosody", {}).get("hosts", {}).values():
            modules = [*host.get("guards", []), host.get("component", "muc")]
            if isinstance(host.get("modules"), list):  # others are computed
                modules += host["modules"]
            loaded.update(modules)

    assert {"muc_wait_for_host", "filter_iq_jibri", "client_proxy"} <= loaded
    assert loaded - PROSODY - own - stand_ins == set()


@pytest.mark.parametrize("suite", SUITES)
def test_index_describes_the_packages(apt: Path, suite: str) -> None:
    entries = stanzas((apt / suite / "Packages").read_text("utf-8"))

    assert sorted(entry["Package"] for entry in entries) == NAMES
    for entry in entries:
        content = (apt / entry["Filename"]).read_bytes()
        assert entry["Filename"].startswith(f"{suite}/")
        assert entry["Size"] == str(len(content))
        assert entry["SHA256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("suite", SUITES)
def test_packages_say_that_they_are_stand_ins(apt: Path, suite: str) -> None:
    entries = stanzas((apt / suite / "Packages").read_text("utf-8"))

    assert [entry["Description"].split(",")[0] for entry in entries] == [
        "Stand-in for tests"
    ] * len(NAMES)
    assert all(entry["Version"].endswith("~standin") for entry in entries)


@pytest.mark.parametrize("suite", SUITES)
def test_release_vouches_for_the_index(apt: Path, suite: str) -> None:
    listed = {
        line.split()[2]: line.split()[0]
        for line in (apt / suite / "Release").read_text("utf-8").splitlines()
        if line.startswith(" ")
    }

    assert sorted(listed) == ["Packages", "Packages.gz"]
    for name, digest in listed.items():
        assert hashlib.sha256((apt / suite / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("suite", ["stable", "next"])
def test_release_is_signed_with_the_key_that_is_offered(
    apt: Path, keyring: Path, suite: str
) -> None:
    run("gpgv", "--keyring", keyring, apt / suite / "InRelease")
    run("gpgv", "--keyring", keyring, apt / suite / "Release.gpg", apt / suite / "Release")


def test_wrongly_signed_repository_is_signed_with_another_key(apt: Path, keyring: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("gpgv", "--keyring", keyring, apt / "wrongly-signed/InRelease")
    assert "No public key" in caught.value.stderr


def test_fingerprint_is_that_of_the_key(apt: Path) -> None:
    rows = run("gpg", "--with-colons", "--show-keys", apt / "stand-ins.asc").splitlines()
    fingerprints = [row.split(":")[9] for row in rows if row.startswith("fpr:")]

    assert [(apt / "fingerprint").read_text("utf-8").strip()] == fingerprints


def test_next_is_newer_than_stable() -> None:
    run("dpkg", "--compare-versions", builder.NEXT, "gt", builder.STABLE)


def test_real_packages_are_newer_than_their_stand_ins() -> None:
    run("dpkg", "--compare-versions", "1.0.2-1", "gt", builder.NEXT)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (
            "jitsi-meet-prosody",
            [
                "./usr/share/jitsi-meet/prosody-plugins/mod_auth_token.lua",
                "./usr/share/jitsi-meet/prosody-plugins/token/util.lib.lua",
                "./usr/share/jitsi-meet-prosody/prosody.cfg.lua-jvb.example",
            ],
        ),
        ("jicofo", ["./etc/init.d/jicofo", "./usr/share/jicofo/jicofo.sh"]),
        (
            "jitsi-videobridge2",
            [
                "./etc/jitsi/videobridge/logging.properties",
                "./lib/systemd/system/jitsi-videobridge2.service",
                "./usr/share/jitsi-videobridge/jvb.sh",
            ],
        ),
    ],
)
def test_package_has_the_paths_of_the_real_one(apt: Path, name: str, paths: list[str]) -> None:
    (package,) = (apt / "stable").glob(f"{name}_*.deb")
    modes = {
        line.split()[5]: line.split()[0:2] for line in run("dpkg-deb", "-c", package).splitlines()
    }

    assert set(paths) <= set(modes)
    assert {owner for _, owner in modes.values()} == {"root/root"}
    assert not [path for path, (mode, _) in modes.items() if mode[5] == "w" or mode[8] == "w"]


def test_files_below_etc_are_conffiles(apt: Path) -> None:
    (package,) = (apt / "stable").glob("jicofo_*.deb")

    assert run("dpkg-deb", "--info", package, "conffiles").splitlines() == [
        "/etc/init.d/jicofo",
        "/etc/jitsi/jicofo/logging.properties",
        "/etc/logrotate.d/jicofo",
    ]


def test_maintainer_scripts_are_there_and_can_be_run(apt: Path, tmp_path: Path) -> None:
    (package,) = (apt / "stable").glob("jitsi-meet-tokens_*.deb")
    run("dpkg-deb", "--control", package, tmp_path / "control")

    scripts = [tmp_path / "control" / name for name in ("config", "postinst", "postrm")]
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_same_sources_give_the_same_packages(apt: Path, tmp_path: Path) -> None:
    builder.build(tmp_path)

    packages = sorted(path.relative_to(apt) for path in apt.rglob("*.deb"))
    assert len(packages) == len(SUITES) * len(NAMES)
    assert [
        name
        for name in packages
        if (apt / name).read_bytes() != (tmp_path / "apt" / name).read_bytes()
    ] == []


def test_same_sources_are_not_built_again(apt: Path) -> None:
    before = (apt / "stable/InRelease").read_bytes()

    assert not builder.build(apt.parent)
    assert (apt / "stable/InRelease").read_bytes() == before


def test_changed_sources_are_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(HOME, sources)
    for name in ("HERE", "PACKAGES", "PLUGINS"):
        path = getattr(builder, name)
        monkeypatch.setattr(builder, name, sources / path.relative_to(HOME))
    assert builder.build(tmp_path / "out")

    (sources / "packages/jicofo/usr/share/jicofo/jicofo.sh").chmod(0o644)

    assert builder.build(tmp_path / "out")


@pytest.mark.parametrize(
    ("layout", "suffix", "plugins", "settings"),
    [
        ("source", "", "usr/lib/jitsi-meet-prosody", "etc/jicofo/jicofo.conf"),
        (
            "bin", "-bin", "usr/share/jitsi-meet-prosody-plugins",
            "etc/jitsi/jicofo/sip-communicator.properties",
        ),
    ],
)  # fmt: skip
def test_aur_has_two_layouts(
    apt: Path, keyring: Path, layout: str, suffix: str, plugins: str, settings: str
) -> None:
    repository = apt.parent / "pacman" / layout
    names = {}
    for package in (f"jitsi-meet-prosody{suffix}", f"jicofo{suffix}"):
        [file] = repository.glob(f"{package}-1*.pkg.tar.gz")
        run("gpgv", "--keyring", keyring, f"{file}.sig", file)
        with tarfile.open(file) as archive:
            names[package] = archive.getnames()
    assert f"{plugins}/mod_auth_token.lua" in names[f"jitsi-meet-prosody{suffix}"]
    assert settings in names[f"jicofo{suffix}"]
    run("gpgv", "--keyring", keyring, repository / "jitsi.db.sig", repository / "jitsi.db")


def test_unit_of_the_aur_names_files_that_are_there(apt: Path) -> None:
    files = [
        (file, service)
        for service in ("jicofo", "jitsi-videobridge")
        for file in (apt.parent / "pacman").glob(f"*/{service}*.pkg.tar.gz")
    ]
    assert len(files) == 4
    for file, service in files:
        with tarfile.open(file) as archive:
            names = archive.getnames()
            unit = archive.extractfile(f"usr/lib/systemd/system/{service}.service")
            assert unit is not None
            text = unit.read().decode()
        assert "@" not in text
        paths = [line.split("=/")[1].split()[0] for line in text.splitlines() if "=/" in line]
        assert len(paths) == 3
        assert [path for path in paths if path not in names] == []


def test_everything_is_in_one_file(apt: Path) -> None:
    with tarfile.open(apt.parent / "repositories.tar") as archive:
        names = archive.getnames()
    assert "apt/stable/InRelease" in names
    assert "pacman/bin/jitsi.db" in names

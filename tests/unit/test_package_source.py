"""Module ``package_source``: the right key alone, checked before it is added, and removed again."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import managers, sources
from ansible.module_utils.vestibule.openpgp import fingerprints

import package_source
from package_source import SourceError, check_key, diagnose

RunModule = Callable[..., dict[str, Any]]


class Keys:
    """Keys made by GnuPG in a home of their own."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def gpg(self, *arguments: str) -> str:
        batch = ["gpg", "--homedir", str(self._home), "--batch", "--passphrase", ""]
        done = subprocess.run([*batch, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def export(self, *fingerprints: str) -> str:
        """Public keys in one armoured text."""
        return self.gpg("--armor", "--export", *fingerprints)

    def make(self, name: str, kind: str) -> str:
        """Fingerprint of a new key."""
        self.gpg("--quick-generate-key", name, kind, "sign", "0")
        rows = self.gpg("--with-colons", "--list-keys", name).splitlines()
        return next(row.split(":")[9] for row in rows if row.startswith("fpr"))


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    yield Keys(home)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


@pytest.fixture(name="pair", scope="module")
def _pair(keys: Keys) -> tuple[str, str]:
    """Fingerprints of two keys, one of each kind that repositories have."""
    return keys.make("one", "ed25519"), keys.make("two", "rsa2048")


def test_fingerprints_are_those_that_gnupg_tells(keys: Keys, pair: tuple[str, str]) -> None:
    for fingerprint in pair:
        assert fingerprints(keys.export(fingerprint)) == [fingerprint]


def test_subkeys_do_not_count(keys: Keys, pair: tuple[str, str]) -> None:
    keys.gpg("--quick-add-key", pair[0], "cv25519", "encr", "0")
    assert fingerprints(keys.export(pair[0])) == [pair[0]]


def test_the_expected_key_is_accepted(keys: Keys, pair: tuple[str, str]) -> None:
    check_key(keys.export(pair[0]), pair[0], "x_")


def test_another_key_is_refused(keys: Keys, pair: tuple[str, str]) -> None:
    words = f"prosody_repository_key has the fingerprint {pair[1]}, not {pair[0]} as prosody_rep"
    with pytest.raises(SourceError, match=words):
        check_key(keys.export(pair[1]), pair[0], "prosody_repository_")


def test_a_second_key_in_the_file_is_refused(keys: Keys, pair: tuple[str, str]) -> None:
    with pytest.raises(SourceError, match=rf"holds other keys beside .* one \({pair[1]}\)"):
        check_key(keys.export(*pair), pair[0], "x_")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda key: "\n", "x_key cannot be read, or holds nothing", id="empty"),
        pytest.param(lambda key: "<html>", "no ASCII-armoured", id="a page"),
        pytest.param(lambda key: key[: len(key) // 2], "armour is incomplete", id="half"),
        pytest.param(lambda key: key.replace("\n\n", "\n\n!"), "no base64", id="not base64"),
        pytest.param(
            lambda key: (
                "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"
                f"{base64.b64encode(b'text').decode()}\n-----END PGP PUBLIC KEY BLOCK-----"
            ),
            "something else between",
            id="text",
        ),
        pytest.param(
            lambda key: (
                "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"
                f"{base64.b64encode(bytes([0x98, 51, 4])).decode()}\n"
                "-----END PGP PUBLIC KEY BLOCK-----"
            ),
            "cut off",
            id="packet cut off",
        ),
    ],
)
def test_what_is_no_key_is_refused(
    keys: Keys, pair: tuple[str, str], change: Callable[[str], str], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        check_key(change(keys.export(pair[0])), pair[0], "x_")


@pytest.mark.parametrize("fingerprint", ["", "1234", "g" * 40])
def test_a_fingerprint_that_is_none_is_named(fingerprint: str) -> None:
    with pytest.raises(SourceError, match=r"x\.fingerprint is no fingerprint"):
        check_key("", fingerprint, "x.")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param("Err:1 x\nE: NO_PUBKEY 12", "is not signed by the key in x_key", id="signed"),
        pytest.param("E: Could not connect", "cannot be read from this host", id="out of reach"),
    ],
)
def test_what_apt_says_becomes_a_sentence(output: str, words: str) -> None:
    assert words in diagnose(output, "https://example.org", "stable/", "x_")


class AptHost:
    """A host with programs of apt that stand in for the real ones, and the module on it."""

    def __init__(self, folder: Path, run_module: RunModule, key: str, fingerprint: str) -> None:
        self.folder, self._run, self._key, self._fingerprint = folder, run_module, key, fingerprint
        for name in ("preferences.d", "sources.list.d"):
            (folder / "etc" / name).mkdir(parents=True)
        self.program("apt-get", 'echo "$@" > calls')
        self.program("apt-cache", "cat offers")
        self.program("dpkg-query", "printf 'prosody\\t13.0.1-1\\tinstalled\\tinstall\\n'")
        self.offer()

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def offer(self, *rows: str) -> None:
        """What apt-cache madison prints."""
        (self.folder / "offers").write_text("".join(f"{row}\n" for row in rows))

    def files(self) -> dict[str, str]:
        """What is in the files of apt, by name."""
        return {
            path.name: path.read_text()
            for path in sorted((self.folder / "etc").rglob("*"))
            if path.is_file()
        }

    def __call__(self, **options: Any) -> dict[str, Any]:
        source = {
            "name": "prosody",
            "role": "prosody",
            "url": "https://packages.example.org/debian",
            "suite": "jammy",
            "packages": "prosody prosody-*",
            "priority": 990,
            "key": self._key,
            "fingerprint": self._fingerprint,
            "variable": "prosody_repository_",
        }
        return self._run(package_source, **{**source, **options})


@pytest.fixture(name="apt")
def _apt(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_module: RunModule,
    keys: Keys,
    pair: tuple[str, str],
) -> AptHost:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sources, "APT", f"{tmp_path}/etc")
    return AptHost(tmp_path, run_module, keys.export(pair[0]), pair[0])


def test_a_source_is_signed_by_its_own_key_and_brings_its_packages_alone(apt: AptHost) -> None:
    result = apt()
    files = apt.files()
    assert result["changed"] is True
    assert [Path(path).name for path in result["paths"]] == list(files)
    assert files["vestibule-prosody.asc"] == apt()["key"]
    assert files["vestibule-prosody.sources"].splitlines()[1:] == [
        f"# Signed by the key {apt._fingerprint}.",
        "Types: deb",
        "URIs: https://packages.example.org/debian",
        "Suites: jammy",
        "Components: main",
        f"Signed-By: {apt.folder}/etc/keyrings/vestibule-prosody.asc",
    ]
    general, special = files["vestibule-prosody"].split("else.\n")[1].split("\n\n")
    assert general.splitlines() == [
        "Package: *",
        'Pin: origin "packages.example.org"',
        "Pin-Priority: -1",
    ]
    assert special.splitlines() == [
        "Package: prosody prosody-*",
        'Pin: origin "packages.example.org"',
        "Pin-Priority: 990",
    ]
    modes = {path.stat().st_mode & 0o7777 for path in (apt.folder / "etc").rglob("*.*/*")}
    assert modes == {0o644}
    assert apt()["changed"] is False


def test_a_flat_repository_has_no_components(apt: AptHost) -> None:
    apt(suite="stable/")
    assert "Suites: stable/\nSigned-By: " in apt.files()["vestibule-prosody.sources"]


def test_the_port_of_an_address_is_no_part_of_its_origin(apt: AptHost) -> None:
    apt(url="https://packages.example.org:8443/debian")
    assert 'Pin: origin "packages.example.org"' in apt.files()["vestibule-prosody"]


def test_check_mode_shows_the_files_and_writes_none(apt: AptHost) -> None:
    told = apt(_ansible_check_mode=True, _ansible_diff=True)
    assert told["changed"] is True
    assert apt.files() == {}
    shown = {Path(each["after_header"]).name: each["after"] for each in told["diff"]}
    apt()
    assert shown == apt.files()


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "https://x.example.org/ y"), ("suite", "jammy\nTrusted: yes"), ("suite", "")],
)
@pytest.mark.parametrize("state", ["present", "checked"])
def test_a_value_that_is_no_line_is_refused(
    apt: AptHost, state: str, field: str, value: str
) -> None:
    failed = apt(state=state, **{field: value})
    assert failed["msg"].startswith(f"{field} of the repository prosody is empty, or has spaces")
    assert apt.files() == {}


@pytest.mark.parametrize("spelling", ["{}", "{} ", "lower", "spaced"])
def test_a_fingerprint_may_be_written_as_people_do(apt: AptHost, spelling: str) -> None:
    expected = apt._fingerprint
    written = {
        "lower": expected.lower(),
        "spaced": " ".join(expected[at : at + 4] for at in range(0, 40, 4)),
    }.get(spelling, spelling.format(expected))
    apt(fingerprint=written)
    assert f"# Signed by the key {expected}.\n" in apt.files()["vestibule-prosody.sources"]


@pytest.mark.parametrize("state", ["present", "checked"])
def test_a_wrong_key_is_neither_checked_nor_written(
    apt: AptHost, keys: Keys, pair: tuple[str, str], state: str
) -> None:
    failed = apt(state=state, key=keys.export(pair[1]))
    assert failed["msg"].startswith("prosody_repository_key has the fingerprint")
    assert apt.files() == {}
    assert not (apt.folder / "calls").exists()


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_source_is_checked_apart_from_all_others_in_bounded_time(
    apt: AptHost, check_mode: bool
) -> None:
    checked = apt(state="checked", _ansible_check_mode=check_mode)
    assert (checked["changed"], checked["key"]) == (False, apt._key)
    assert apt.files() == {}
    called = (apt.folder / "calls").read_text().split()
    assert called[0] == "update"
    assert {"-oDir::Etc::sourceparts=-", "-oAcquire::https::Timeout=8"} < set(called)
    (lists,) = (word for word in called if word.startswith("-oDir::State::lists="))
    assert not Path(lists.partition("=")[2]).exists()


def test_a_source_that_apt_cannot_read_is_refused(apt: AptHost) -> None:
    apt.program("apt-get", "echo 'E: Could not connect'; exit 100")
    failed = apt(state="checked")
    assert failed["msg"].startswith(
        "The repository https://packages.example.org/debian jammy cannot be read from this host."
        " Check prosody_repository_url, prosody_repository_suite, and"
    )
    assert failed["msg"].endswith("apt-get said: E: Could not connect")


def test_a_version_that_the_repository_does_not_have_is_named(apt: AptHost) -> None:
    apt.offer(
        "jicofo | 1.0-2 | https://packages.example.org/debian jammy/main Packages",
        "jicofo | 1.0-1 | https://packages.example.org/debian jammy/main Packages",
        "jicofo | 1.0-9 | https://packages.example.org/debian jammy/main Sources",
    )
    passed = apt(state="checked", versions={"jicofo": "1.0-1", "nginx": "of another repository"})
    assert passed["changed"] is False
    said = apt(state="checked", versions={"jicofo": "1.0-9"})["msg"]
    assert said.startswith("jicofo 1.0-9 is no longer offered; the repository https://pack")
    assert " jammy has 1.0-2, 1.0-1. Correct jitsi_versions" in said


def test_a_source_is_removed_and_nothing_else(apt: AptHost) -> None:
    others = apt.folder / "etc/preferences.d/vestibule-prosody-of-others"
    others.touch()
    apt()
    assert apt(state="absent", _ansible_check_mode=True)["changed"] is True
    assert len(apt.files()) == 4
    gone = apt(state="absent")
    assert gone["changed"] is True
    # Its pins stand as long as it does
    assert [Path(path).suffix for path in gone["paths"]] == [".sources", "", ".asc"]
    assert list(apt.files()) == [others.name]
    assert apt(state="absent")["changed"] is False


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("others", "orphans"),
    [
        pytest.param(["0.11.13-1"], {"prosody": ["0.11.13-1"]}, id="another version"),
        pytest.param(["13.0.2-1", "13.0.1-1"], {}, id="the same version"),
        pytest.param([], {"prosody": []}, id="none"),
    ],
)
def test_a_package_that_nobody_else_offers_is_told(
    apt: AptHost, check_mode: bool, others: list[str], orphans: dict[str, list[str]]
) -> None:
    apt(url="https://packages.example.org/debian/")
    apt.offer(
        "   prosody | 13.0.1-1 | https://packages.example.org/debian jammy/main amd64 Packages",
        *(
            f"   prosody | {version} | http://archive.example.org/ubuntu jammy/universe Packages"
            for version in others
        ),
    )
    staying = ["prosody", "nginx"]  # of which the host has one
    gone = apt(state="absent", staying=staying, _ansible_check_mode=check_mode)
    assert (gone["changed"], gone["orphans"]) == (True, orphans)


FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
OTHER = "F" * 40
# What gpg 2.4 prints with --with-colons: a key with one subkey, then another key
LISTING = f"""\
tru::1:1763724000:0:3:1:5
pub:f:255:22:89ABCDEF01234567:1763724000:::-:::scESC::::::23::0:
fpr:::::::::{FINGERPRINT}:
uid:f::::1763724000::AAAA::Somebody::::::::::0:
sub:f:255:18:1111111111111111:1763724000::::::e::::::23:
fpr:::::::::{"1" * 40}:
pub:-:255:22:FFFFFFFFFFFFFFFF:1763724000:::-:::scESC::::::23::0:
fpr:::::::::{OTHER}:
"""
FILE = "/etc/pacman.d/vestibule-jitsi.conf"


def test_subkeys_are_no_keys_of_their_own() -> None:
    assert managers.primary_keys(LISTING) == {FINGERPRINT: "f", OTHER: "-"}


@pytest.mark.parametrize(
    ("before", "present", "after"),
    [
        pytest.param("[core]\n", True, f"[core]\nInclude = {FILE}\n", id="added at the end"),
        pytest.param("[core]", True, f"[core]\nInclude = {FILE}\n", id="no last line break"),
        pytest.param(
            f"Include={FILE}\n[core]\n", True, f"Include={FILE}\n[core]\n", id="there already"
        ),
        pytest.param(
            f"Include = {FILE}\n[core]\nInclude = {FILE}\n",
            True,
            f"[core]\nInclude = {FILE}\n",
            id="there twice",
        ),
        pytest.param(f"[core]\nInclude = {FILE}\n", False, "[core]\n", id="removed"),
        pytest.param(
            "[core]\nInclude = /etc/pacman.d/mirrorlist\n",
            False,
            "[core]\nInclude = /etc/pacman.d/mirrorlist\n",
            id="another line",
        ),
        pytest.param(
            f"#Include = {FILE}\n", True, f"#Include = {FILE}\nInclude = {FILE}\n", id="a comment"
        ),
    ],
)
def test_one_line_of_pacman_conf_is_ours(before: str, present: bool, after: str) -> None:
    assert managers.with_include(before, FILE, present) == after
    assert managers.with_include(after, FILE, present) == after


@pytest.fixture
def pacman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ``pacman.conf``, and a host with pacman alone that trusts no key yet."""
    (tmp_path / "pacman.conf").write_text("[core]\n", encoding="utf-8")
    monkeypatch.setattr(sources, "PACMAN", str(tmp_path))
    monkeypatch.setattr(managers, "PACMAN_CONF", f"{tmp_path}/pacman.conf")
    monkeypatch.setattr(managers, "of", managers.Pacman)
    trusted = tmp_path / "trusted"
    monkeypatch.setattr(managers.Pacman, "trusts", lambda *_: trusted.exists())
    monkeypatch.setattr(
        package_source.PacmanSource, "trust", lambda source: trusted.write_text(source._fingerprint)
    )
    return tmp_path


@pytest.fixture(name="add_repository")
def _add_repository(
    pacman: Path, run_module: RunModule, keys: Keys, pair: tuple[str, str]
) -> Callable[..., dict[str, Any]]:
    def add_repository(**options: Any) -> dict[str, Any]:
        source = {
            "name": "jitsi",
            "role": "jitsi_tokens",
            "repository": "jitsi",
            "url": "https://arch.example.org/$arch",
            "key": keys.export(pair[0]),
            "fingerprint": pair[0].lower(),
            "variable": "v.",
        }
        return run_module(package_source, **{**source, **options})

    return add_repository


def test_a_host_tells_of_a_repository_that_counts(
    pacman: Path, add_repository: RunModule, pair: tuple[str, str]
) -> None:
    """So that a run which has nothing to do, and one that only looks, need not ask pacman."""
    configuration, file = pacman / "pacman.conf", pacman / "vestibule-jitsi.conf"

    def told(*, trusted: bool = True) -> object:
        return sources.read_pacman(configuration.read_text(), lambda _: trusted)

    assert told() == {}
    add_repository()
    assert told() == {
        "jitsi": {
            "name": "jitsi",
            "role": "jitsi_tokens",
            "repository": "jitsi",
            "url": "https://arch.example.org/$arch",
            "fingerprint": pair[0].upper(),
        }
    }
    assert told(trusted=False) == {"jitsi": {}}
    included = configuration.read_text()
    configuration.write_text("[core]\n")
    assert told() == {"jitsi": {}}
    configuration.write_text(included)
    file.write_text(file.read_text().replace("Required", "Never"))
    assert told() == {"jitsi": {}}
    file.unlink()
    assert told() == {"jitsi": {}}


def test_a_repository_is_added_once(
    pacman: Path, add_repository: RunModule, pair: tuple[str, str]
) -> None:
    assert add_repository()["changed"]
    assert "SigLevel = Required" in (pacman / "vestibule-jitsi.conf").read_text()
    included = f"Include = {pacman}/vestibule-jitsi.conf\n"
    assert (pacman / "pacman.conf").read_text() == f"[core]\n{included}"
    assert (pacman / "trusted").read_text() == pair[0]
    assert not add_repository()["changed"]


def test_pacman_conf_keeps_its_mode_and_stays_a_link(
    pacman: Path, add_repository: RunModule
) -> None:
    real = (pacman / "pacman.conf").rename(pacman / "pacman-of-the-operator.conf")
    real.chmod(0o640)
    (pacman / "pacman.conf").symlink_to(real)
    add_repository()
    assert "Include = " in real.read_text()
    add_repository(state="absent")
    assert real.read_text() == "[core]\n"
    assert (pacman / "pacman.conf").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


def test_check_mode_adds_no_repository(pacman: Path, add_repository: RunModule) -> None:
    assert add_repository(_ansible_check_mode=True)["changed"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]
    assert (pacman / "pacman.conf").read_text() == "[core]\n"


def test_a_repository_is_removed(pacman: Path, add_repository: RunModule) -> None:
    add_repository()
    assert add_repository(state="absent")["changed"]
    assert (pacman / "pacman.conf").read_text() == "[core]\n"
    assert not (pacman / "vestibule-jitsi.conf").exists()
    assert not add_repository(state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"repository": ""}, "v.name is missing", id="no name"),
        pytest.param({"repository": "a]\n[b"}, "v.name", id="a name that breaks out"),
        pytest.param({"url": ""}, "v.server is no address", id="no server"),
        pytest.param({"url": "https://a\nSigLevel = Never"}, "v.server", id="a second line"),
        pytest.param({"fingerprint": OTHER}, "v.key has the fingerprint", id="another key"),
        pytest.param({"key": "armour"}, "v.key holds no ASCII-armoured", id="no key"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    pacman: Path, add_repository: RunModule, options: dict[str, str], words: str
) -> None:
    result = add_repository(**options)
    assert result["failed"]
    assert words in result["msg"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]


def test_a_repository_out_of_reach_is_reported(
    pacman: Path, add_repository: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_command(module: Any, argv: list[str], **options: Any) -> tuple[int, str, str]:
        return (1, "", "error: timed out\n") if argv[0] == "pacman" else (0, "", "")

    monkeypatch.setattr(basic.AnsibleModule, "run_command", run_command)
    result = add_repository(state="checked")
    assert result["failed"]
    assert "Check name, server and key in v, and the host's network" in result["msg"]
    assert "It said: error: timed out" in result["msg"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]

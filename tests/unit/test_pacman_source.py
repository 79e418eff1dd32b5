"""Module ``pacman_source``: a repository that pacman did not know, and the key that signs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

import pacman_source
from pacman_source import Host, include, judge_key, primary_keys

RunModule = Callable[..., dict[str, Any]]

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
    assert primary_keys(LISTING) == {FINGERPRINT: "f", OTHER: "-"}


@pytest.mark.parametrize(
    ("found", "fingerprint", "words"),
    [
        pytest.param([FINGERPRINT], FINGERPRINT, None, id="the expected key"),
        pytest.param([OTHER], FINGERPRINT, f"has the fingerprint {OTHER}", id="another key"),
        pytest.param([FINGERPRINT, OTHER], FINGERPRINT, OTHER, id="one more key"),
        pytest.param([], FINGERPRINT, "holds no OpenPGP key", id="no key"),
        pytest.param([FINGERPRINT], "", "is no fingerprint", id="no fingerprint"),
        pytest.param([FINGERPRINT], FINGERPRINT[-16:], "is no fingerprint", id="a short one"),
    ],
)
def test_only_the_expected_key_will_do(
    found: list[str], fingerprint: str, words: str | None
) -> None:
    sentence = judge_key(found, fingerprint, "v")
    assert sentence == "" if words is None else words in sentence


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
    assert include(before, FILE, present) == after
    assert include(after, FILE, present) == after


@pytest.fixture
def pacman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ``pacman.conf``, and a host that trusts no key yet."""
    (tmp_path / "pacman.conf").write_text("[core]\n", encoding="utf-8")
    trusted = tmp_path / "trusted"

    def trust(host: Host, key: str, fingerprint: str) -> None:
        trusted.write_text(fingerprint, encoding="utf-8")

    monkeypatch.setattr(Host, "keys_in", lambda host, key: [FINGERPRINT])
    monkeypatch.setattr(Host, "trusts", lambda host, fingerprint: trusted.exists())
    monkeypatch.setattr(Host, "trust", trust)
    return tmp_path


def name_repository(run_module: RunModule, folder: Path, **options: Any) -> dict[str, Any]:
    return run_module(
        pacman_source,
        **{
            "name": "jitsi",
            "server": "https://arch.example.org/$arch",
            "key": "armour",
            "fingerprint": FINGERPRINT.lower(),
            "path": str(folder / "jitsi.conf"),
            "configuration": str(folder / "pacman.conf"),
            "variable": "v",
            **options,
        },
    )


def test_a_repository_is_named_once(pacman: Path, run_module: RunModule) -> None:
    assert name_repository(run_module, pacman)["changed"]
    assert "SigLevel = Required" in (pacman / "jitsi.conf").read_text()
    assert (pacman / "pacman.conf").read_text().endswith(f"Include = {pacman}/jitsi.conf\n")
    assert (pacman / "trusted").read_text() == FINGERPRINT
    assert not name_repository(run_module, pacman)["changed"]


def test_check_mode_names_no_repository(pacman: Path, run_module: RunModule) -> None:
    assert name_repository(run_module, pacman, _ansible_check_mode=True)["changed"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]
    assert (pacman / "pacman.conf").read_text() == "[core]\n"


def test_a_repository_is_forgotten(pacman: Path, run_module: RunModule) -> None:
    name_repository(run_module, pacman)
    assert name_repository(run_module, pacman, state="absent")["changed"]
    assert (pacman / "pacman.conf").read_text() == "[core]\n"
    assert not (pacman / "jitsi.conf").exists()
    assert not name_repository(run_module, pacman, state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"name": ""}, "v.name is missing", id="no name"),
        pytest.param({"name": "a]\n[b"}, "v.name", id="a name that breaks out"),
        pytest.param({"server": ""}, "v.server is no address", id="no server"),
        pytest.param({"server": "https://a\nSigLevel = Never"}, "v.server", id="a second line"),
        pytest.param({"fingerprint": OTHER}, "v.key has the fingerprint", id="another key"),
    ],
)
def test_what_cannot_be_named_changes_nothing(
    pacman: Path, run_module: RunModule, options: dict[str, str], words: str
) -> None:
    result = name_repository(run_module, pacman, **options)
    assert result["failed"]
    assert words in result["msg"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]


def test_a_repository_out_of_reach_is_tried_and_named(
    pacman: Path, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_command(module: Any, argv: list[str], **options: Any) -> tuple[int, str, str]:
        return (1, "", "error: timed out\n") if argv[0] == "pacman" else (0, "", "")

    monkeypatch.setattr(basic.AnsibleModule, "run_command", run_command)
    result = name_repository(run_module, pacman, state="tried")
    assert result["failed"]
    assert "Check name, server and key in v, and the host's way out" in result["msg"]
    assert "It said: error: timed out" in result["msg"]
    assert [path.name for path in pacman.iterdir()] == ["pacman.conf"]

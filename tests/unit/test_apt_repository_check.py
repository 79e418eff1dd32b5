"""The key of a repository: it is the expected one, and the only one in its file."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apt_repository_check import check_key, check_versions, diagnose, fingerprints


class Keys:
    """Keys made by GnuPG in a home of their own."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def gpg(self, *arguments: str) -> str:
        batch = ["gpg", "--homedir", str(self._home), "--batch", "--passphrase", ""]
        done = subprocess.run([*batch, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

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
        assert fingerprints(keys.gpg("--armor", "--export", fingerprint)) == [fingerprint]


def test_subkeys_do_not_count(keys: Keys, pair: tuple[str, str]) -> None:
    keys.gpg("--quick-add-key", pair[0], "cv25519", "encr", "0")
    assert fingerprints(keys.gpg("--armor", "--export", pair[0])) == [pair[0]]


@pytest.mark.parametrize("spelling", ["{}", "{} ", "lower", "spaced"])
def test_the_expected_key_is_accepted(keys: Keys, pair: tuple[str, str], spelling: str) -> None:
    fingerprint = pair[0]
    if spelling == "lower":
        fingerprint = fingerprint.lower()
    elif spelling == "spaced":
        fingerprint = " ".join(fingerprint[at : at + 4] for at in range(0, 40, 4))
    else:
        fingerprint = spelling.format(fingerprint)
    assert check_key(keys.gpg("--armor", "--export", pair[0]), fingerprint, "x") == ""


def test_another_key_is_refused(keys: Keys, pair: tuple[str, str]) -> None:
    said = check_key(keys.gpg("--armor", "--export", pair[1]), pair[0], "prosody_repository")
    assert f"prosody_repository_key has the fingerprint {pair[1]}, not {pair[0]}" in said


def test_a_second_key_in_the_file_is_refused(keys: Keys, pair: tuple[str, str]) -> None:
    said = check_key(keys.gpg("--armor", "--export", *pair), pair[0], "x")
    assert f"holds other keys beside the expected one ({pair[1]})" in said


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
    key = keys.gpg("--armor", "--export", pair[0])
    assert words in check_key(change(key), pair[0], "x")


@pytest.mark.parametrize("fingerprint", ["", "1234", "g" * 40])
def test_a_fingerprint_that_is_none_is_named(fingerprint: str) -> None:
    assert "x_fingerprint is no fingerprint" in check_key("", fingerprint, "x")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param("Err:1 x\nE: NO_PUBKEY 12", "is not signed by the key in x_key", id="signed"),
        pytest.param("E: Could not connect", "cannot be read from this host", id="out of reach"),
    ],
)
def test_what_apt_says_becomes_a_sentence(output: str, words: str) -> None:
    assert words in diagnose(output, "https://example.org", "stable/", "x")


def test_a_version_that_the_repository_does_not_have_is_named() -> None:
    madison = (
        "jicofo | 1.0-2 | https://example.org stable/ Packages\n"
        "jicofo | 1.0-1 | https://example.org stable/ Packages\n"
        "jicofo | 1.0-9 | https://example.org stable/ Sources\n"
    )

    def said(**versions: str) -> str:
        return check_versions(madison, versions, "https://example.org", "stable/")

    assert said(jicofo="1.0-1", nginx="of another repository") == ""
    assert said(jicofo="1.0-9").startswith("jicofo 1.0-9 is no longer offered; the repository")
    assert " https://example.org stable/ has 1.0-2, 1.0-1. Correct " in said(jicofo="1.0-9")

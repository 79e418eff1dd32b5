"""Looks for secrets wherever they may have got, in whatever spelling."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.support import Server

_SAMPLER = Path(__file__).with_name("sample_processes.py").read_text(encoding="utf-8")
# A token or a beginning of one (RFC 7519): base64url of `{"alg"`, of `{"typ"`, or of any `{"` up to
# a dot. `eyJ` alone also stands in the hashes and keys that -vvv shows, once in many runs.
TOKEN = re.compile(r"eyJ(hbGci|0eXAi|[A-Za-z0-9_-]{8,}[.])")
_WORD = re.compile(r"[A-Za-z0-9_-]{16,}")


def needles(secret: str) -> set[str]:
    """Texts that are part of a secret in every spelling.

    Quoting for Lua, JSON, shells and URLs changes special characters only, so the long words in a
    secret stay. In base64 a word looks in three ways, according to where it begins in the text.
    """
    words = _WORD.findall(secret)
    assert words, "a secret without a long word cannot be found in every spelling"
    encoded = set()
    for word in words:
        for shift in range(3):
            text = base64.b64encode(b"x" * shift + word.encode()).decode().rstrip("=")
            # The letters at both ends also depend on the neighbours
            encoded.add(text[shift + 1 : -2])
            encoded.add(text[shift + 1 : -2].translate(str.maketrans("+/", "-_")))
    return {*words, *encoded}


def found_in(text: str, secrets: Mapping[str, str]) -> set[str]:
    """Names of the secrets that are in a text."""
    return {
        name
        for name, secret in secrets.items()
        if any(needle in text for needle in needles(secret))
    }


def files_of_server(server: Server, secrets: Mapping[str, str]) -> dict[str, set[str]]:
    """Path to names of secrets, for every file in the server that has one."""
    patterns = "\n".join(needle for secret in secrets.values() for needle in needles(secret))
    matches = server.run(
        "grep --recursive --text --only-matching --no-messages --devices=skip --fixed-strings"
        " --file=- --null $(ls -d /* | grep -vxE '/(proc|sys|dev)')",
        stdin=patterns,
        ok=(0, 1, 2),  # no match; files that went away meanwhile
    )
    found: dict[str, set[str]] = {}
    for line in matches.splitlines():
        path, _, match = line.partition("\0")
        found.setdefault(path, set()).update(found_in(match, secrets) or {"?"})
    return found


def files_of_controller(folders: list[Path], secrets: Mapping[str, str]) -> dict[str, set[str]]:
    """Path to names of secrets, for every file in these folders of the controller."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = {str(path): found_in(path.read_text(errors="replace"), secrets) for path in files}
    return {path: names for path, names in found.items() if names}


def journal(server: Server) -> str:
    """Everything that the journal of the server has, fields included."""
    return server.run("journalctl --sync; journalctl --all --no-pager --output=verbose")


class Samples:
    """What processes were given, once the sampling has ended."""

    def __init__(self) -> None:
        self.text = ""


@contextmanager
def sampling(argv: list[str]) -> Iterator[Samples]:
    """Look at the processes of the machine on which ``argv``, a Python, runs."""
    samples = Samples()
    with subprocess.Popen(
        [*argv, "-c", _SAMPLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sampler:
        assert sampler.stdout
        sampler.stdout.readline()
        try:
            yield samples
        finally:
            output, _ = sampler.communicate(timeout=120)
            samples.text = output.decode(errors="replace")
            assert samples.text


@contextmanager
def sampling_both(server: Server) -> Iterator[tuple[Samples, Samples]]:
    """Look at the processes of the server and of this machine."""
    with sampling(server.argv("python3")) as there, sampling([sys.executable]) as here:
        yield there, here

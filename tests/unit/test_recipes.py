"""The programs in examples/ run with their libraries, and their links lead in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vestibule.model.compiler import build_model
from vestibule.model.features import load_features
from vestibule.tokens.address import address_part
from vestibule.tokens.meeting_url import meeting_url
from vestibule.tokens.verdict import Key, judge, rules_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BUILD = ROOT / "build/examples"
DOMAIN = "meet.example.org"
SECRET = "4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S"
RULES = rules_of(
    build_model(load_features(), {"jitsi_domain": DOMAIN, "jitsi_features": ["affiliation"]}),
    [Key(SECRET)],
)
ROOMS = ["standup", "Standup", "Büro 7", "ﬁn ½", "日本 会議", "a~-_.b", "İstanbul", "100 %", "Σάς"]

Make = Callable[[str, str], str]


def run(argv: list[str], folder: Path) -> str:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "JITSI_SECRET": SECRET, "LC_ALL": "C.UTF-8", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def in_python() -> list[str]:
    return [sys.executable, str(EXAMPLES / "python/link.py")]


def in_javascript(program: str) -> list[str]:
    """With the libraries of the lock file, which are installed once."""
    folder = BUILD / "javascript"
    lock, installed = EXAMPLES / "javascript/package-lock.json", folder / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        shutil.copytree(EXAMPLES / "javascript", folder, dirs_exist_ok=True)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        shutil.copy(lock, installed)
    shutil.copy(EXAMPLES / "javascript" / program, folder / program)
    return ["node", str(folder / program)]


def in_go() -> list[str]:
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / "link-in-go"
    run(["go", "build", "-mod=readonly", "-o", str(program), "."], EXAMPLES / "go")
    return [str(program)]


LANGUAGES: dict[str, Callable[[], list[str]]] = {
    "Python, PyJWT": in_python,
    "JavaScript, jsonwebtoken": lambda: in_javascript("with-jsonwebtoken.mjs"),
    "JavaScript, jose": lambda: in_javascript("with-jose.mjs"),
    "Go, golang-jwt": in_go,
}


@pytest.fixture(name="program", params=LANGUAGES, scope="module")
def _program(request: pytest.FixtureRequest) -> list[str]:
    return LANGUAGES[request.param]()


@pytest.mark.parametrize("room", ROOMS)
def test_the_link_leads_in(program: list[str], room: str) -> None:
    name = "Ann \u0410\u043d\u043d\u0430 👩‍🚀"
    link = run([*program, DOMAIN, room, name], ROOT)
    address, _, token = link.partition("?jwt=")
    verdict = judge(token, RULES, time.time(), address_part(room))
    assert verdict.enters, verdict.findings
    assert verdict.role == "owner"
    assert any(name[:3] in each.words for each in verdict.findings if each.claim == "context.user")
    ours = meeting_url(token, domain=DOMAIN, room=room)
    assert urlsplit(address).path == urlsplit(ours).path


def test_every_program_is_run() -> None:
    programs = {
        str(path.relative_to(EXAMPLES))
        for ending in ("*.py", "*.mjs", "*.go")
        for path in EXAMPLES.rglob(ending)
    }
    assert programs == {
        "python/link.py",
        "javascript/with-jsonwebtoken.mjs",
        "javascript/with-jose.mjs",
        "go/main.go",
    }

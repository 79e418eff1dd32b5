"""The programs in examples/ run with their libraries, and their links lead in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from vestibule.access.tokens import forge
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

TIMES = ("iat", "nbf", "exp")


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


# Tokens of others, with the variables that docs/recipes.md names for them
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "Moodle": (
        {"jitsi_features": ["affiliation"]},
        {"kid": "jitsi/custom_key_name", "typ": "JWT", "alg": "HS256"},
        {
            "context": {
                "user": {
                    "affiliation": "owner",
                    "avatar": "",
                    "name": "Ann",
                    "email": "",
                    "id": "",
                },
                "group": "",
            },
            "aud": "jitsi",
            "iss": "vestibule",
            "sub": DOMAIN,
            "room": "Course-101_Session",
            "exp": 24 * 3600,
            "moderator": True,
        },
    ),
    "Nextcloud": (
        {},
        {"typ": "JWT", "alg": "HS256"},
        {
            "context": {"user": {"name": None}},
            "aud": "jitsi",
            "iss": "vestibule",
            "sub": "*",
            "room": "3d5e2c1a-7f64-4b0e-9a0a-1c2d3e4f5a6b",
            "exp": 12 * 3600,
        },
    ),
    "Keycloak": (
        {"jitsi_token_issuer": "meet", "jitsi_token_audience": "meet"},
        {"alg": "HS256", "typ": "JWT"},
        {
            "aud": "meet",
            "iss": "meet",
            "sub": DOMAIN,
            "room": "B%C3%BCro%207",
            "iat": 0,
            "nbf": 0,
            "exp": 3600,
            "context": {
                "user": {
                    "id": "f3",
                    "name": "Ann",
                    "email": "",
                    "lobby_bypass": True,
                    "security_bypass": True,
                }
            },
        },
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_tokens_of_others_lead_in(name: str) -> None:
    variables, header, claims = OTHERS[name]
    now = int(time.time())
    claims = {**claims, **{each: claims[each] + now for each in TIMES if each in claims}}
    model = build_model(load_features(), {"jitsi_domain": DOMAIN, **variables})
    verdict = judge(forge(header, claims, SECRET), rules_of(model, [Key(SECRET)]), now)
    assert verdict.enters, verdict.findings
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    assert f"## {name}\n" in page


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

"""The generated pages are those that the sources make today, and what they name exists."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import generate_docs
import pytest
import yaml

from vestibule.model.compiler import build_model
from vestibule.model.features import load_features
from vestibule.tokens.minting import mint


@pytest.mark.parametrize("page", generate_docs.PAGES, ids=lambda page: page.name)
def test_generated_pages_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate_docs.PAGES[page](), (
        f"{page.name} is stale. Run .venv/bin/python scripts/generate_docs.py."
    )


@pytest.mark.parametrize("name", ["prosody_hosts", "prosody_extra_packages"])
def test_what_a_playbook_sets_is_no_variable_of_the_operator(name: str) -> None:
    assert f"`{name}`" not in generate_docs.variables()


LINKS = [
    (page, link)
    for page in (*generate_docs.ROOT.glob("*.md"), *generate_docs.ROOT.glob("docs/*.md"))
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    if "://" not in link
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda each: getattr(each, "name", each))
def test_links_lead_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    assert target.exists()
    if anchor:
        titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
        assert anchor in anchors


def test_complaints_name_cases_that_there_are() -> None:
    text = (generate_docs.ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = text.split("## Complaints", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 10
    page = generate_docs.features()
    for row in rows:
        cases = re.findall(r"`(\w+)`", row[3])
        assert cases, row
        assert not [case for case in cases if f"| `{case}` |" not in page], row


UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}
OPERATIONS = (generate_docs.ROOT / "docs/operations.md").read_text(encoding="utf-8")
ROOMS = [
    "Standup",
    "Büro 7",
    "ﬁn ½",
    "日本 会議",
    "a!'()*~-_.b",
    "İstanbul",
    "100 % & mehr?",
    "Σάς",
]
# By the word before an example: program, what stands before and behind it, the ending of its file
LANGUAGES = {
    "Python": (
        sys.executable,
        "import sys\n",
        "for name in sys.argv[1:]: print(room_claim(name))",
        "py",
    ),
    "JavaScript": (
        "node",
        "",
        "for (const name of process.argv.slice(2)) console.log(roomClaim(name));",
        "js",
    ),
    "Java": (
        "java",
        "class Example {\n",
        """public static void main(String[] names) {
            for (String name : names) System.out.println(roomClaim(name)); } }""",
        "java",
    ),
    "Perl": (
        "perl",
        "",
        'print room_claim(decode("UTF-8", $_)), "\\n" for @ARGV;',
        "pl",
    ),
}


def example(before: str) -> str:
    """The indented lines behind a sentence of the operator's guide."""
    text = OPERATIONS.split(f"{before}\n\n", 1)[1]
    found = re.match(r"(?:(?: {4}.*)?\n)+", text)
    assert found
    return re.sub(r"^ {4}", "", found[0], flags=re.MULTILINE)


@pytest.mark.parametrize(
    "language", [name for name, each in LANGUAGES.items() if shutil.which(each[0])]
)
def test_examples_write_a_room_as_mint_does(language: str, tmp_path: Path) -> None:
    program, before, behind, ending = LANGUAGES[language]
    words = (
        f"In {language}:" if language != "Python" else "`mint.yml` does that by itself. In Python:"
    )
    assert OPERATIONS.count(words) == 1
    path = tmp_path / f"Example.{ending}"
    path.write_text(f"{before}{example(words)}{behind}\n", encoding="utf-8")
    run = subprocess.run(
        [program, str(path), *ROOMS], capture_output=True, text=True, check=False, env=UTF8
    )
    assert run.stdout.splitlines() == [claim(room) for room in ROOMS], run.stderr


def claim(room: str) -> str:
    """As a token of ours has it, in lower case, as the server compares."""
    token = mint(
        {"room": room},
        secret="4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S",
        issuer="vestibule",
        audience="jitsi",
        domain="meet.example.org",
    )
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return str(claims["room"]).lower()


@pytest.mark.parametrize(
    "before",
    [
        "Variables of another role that begin so are named in `jitsi_foreign_variables`:",
        "## Another port, and a reverse proxy in front",
        "`jitsi_extra_jicofo` adds to `jicofo.conf`, nested as it is below `jicofo` there:",
    ],
)
def test_examples_of_variables_are_taken(before: str) -> None:
    words = re.sub(r"\s+", " ", before)
    text = re.sub(r"(?<! )\n(?! |\n)", " ", OPERATIONS)
    found = re.match(r"\s*\n((?:(?: {4}.*)?\n)+)", text.split(words, 1)[1])
    assert found
    given = yaml.safe_load(found[1])
    assert given
    options = {name: each for name, each in given.items() if name.startswith("jitsi_")}
    build_model(load_features(), {"jitsi_domain": "meet.example.org", **options})


def test_the_variables_of_each_role_are_listed() -> None:
    """But for jitsi_access, which is given the features and sets the others."""
    roles = {path.parents[1].name for path in generate_docs.ROOT.glob("roles/*/defaults/main.yml")}
    assert set(generate_docs._ROLES) == roles - {"jitsi_access"}

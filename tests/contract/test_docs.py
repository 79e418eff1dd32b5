"""The generated pages are those that the sources make today, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import generate_docs
import pytest


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

"""The generated pages are those that the sources make today."""

from __future__ import annotations

import generate_docs


def test_variables_page_is_fresh() -> None:
    assert generate_docs.TARGET.read_text(encoding="utf-8") == generate_docs.variables(), (
        "docs/variables.md is stale. Run scripts/generate_docs.py."
    )

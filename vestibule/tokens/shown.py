"""What others wrote, for a terminal."""

from __future__ import annotations

import json
import unicodedata

_LONGEST = 64  # characters


def shown(value: object) -> str:
    """A value as JSON, cut, without what moves the cursor."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(
        each if each.isprintable() and unicodedata.category(each) not in ("Cf", "Cs") else "?"
        for each in text
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

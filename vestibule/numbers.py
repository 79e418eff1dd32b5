"""Numbers that YAML reads otherwise than people write them: 0100 is 64 there, and 1:30 is 90.

Ansible's tags say where a value was written (ansible-core 2.19); without them nothing is found.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_TOKEN = re.compile(r"[-+.0-9][^\s,\]}#]*")
_SECRET = re.compile("secret|passw|passphrase|private|hmac", re.IGNORECASE)
_PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def changed_number(given: Mapping[str, Any]) -> str:
    """A sentence about the first number that is not what its writer sees, or an empty text."""
    for variable, top in given.items():
        for place, value in _numbers(variable, top):
            written = _written(value)
            if written and not _PLAIN.fullmatch(written[0]):
                if _SECRET.search(place):
                    return (
                        f"{place} is a number that YAML reads otherwise than it is written"
                        f" ({written[1]}). Put it in quotes."
                    )
                return (
                    f"{place} is written {written[0]} ({written[1]}), which YAML reads as {value}."
                    " Write plain decimal digits, or put it in quotes if it is a text."
                )
    return ""


def _numbers(place: str, value: Any) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{place}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(f"{place}[{index}]", item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place, value


def _written(value: float) -> tuple[str, str] | None:
    """How a number stands in its file, and where. None where that cannot be said."""
    if "ansible" not in sys.modules:  # slow to load, and nobody else tags
        return None
    try:
        from ansible._internal._datatag._tags import Origin  # noqa: PLC0415
    except ImportError:
        return None
    origin = Origin.get_tag(value)
    if not origin or not origin.path or not origin.line_num or not origin.col_num:
        return None
    try:
        line = Path(origin.path).read_text(encoding="utf-8").splitlines()[origin.line_num - 1]
    except (OSError, ValueError, IndexError):
        return None
    token = _TOKEN.match(line[origin.col_num - 1 :])
    # In an encrypted file something else stands there
    if not token or yaml.safe_load(token[0]) != value:
        return None
    return token[0], f"{origin.path}, line {origin.line_num}"

"""How long a token lives, as people write it: 2h30m."""

from __future__ import annotations

import re

from vestibule.tokens.shown import shown

_FORM = re.compile("(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?", re.IGNORECASE)
_SECONDS = (86400, 3600, 60, 1)
_LONGEST = 40  # characters; longer ones are no durations that somebody means


class DurationError(ValueError):
    """It is no duration. The message is the end of a sentence that names it."""


def seconds(text: str, longest: int) -> int:
    """The seconds of a duration, at most ``longest``. Raises DurationError."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if not found or not text:
        raise DurationError(
            f"is {shown(text)}, no duration. Use days, hours, minutes and seconds in this"
            " order, e.g. 2h30m, 90m, 45s or 1d."
        )
    total = sum(int(part or 0) * size for part, size in zip(found.groups(), _SECONDS, strict=True))
    if total == 0:
        raise DurationError(f"is {shown(text)}, no time at all. Use for example 2h.")
    if total > longest:
        raise DurationError(
            f"is {shown(text)}, which is more than the {words(longest)} that the server takes. Ask"
            " for less, or raise jitsi_token_max_lifetime and deploy that first."
        )
    return total


def words(total: int) -> str:
    """The duration as people write it, 1d2h3m4s."""
    parts, left = [], total
    for unit, size in zip("dhms", _SECONDS, strict=True):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"

"""Times and spans of time for people."""

from __future__ import annotations

import datetime
import math

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def span(seconds: float) -> str:
    """How long that is, by its one or two greatest units: ``2 hours 30 minutes``."""
    left = abs(int(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}{'' if number == 1 else 's'}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 seconds"


def moment(time: float, now: float) -> str:
    """When that is: ``12 minutes ago (2026-11-30 01:02 UTC)``. Both in seconds since 1970."""
    apart = time - now
    words = f"in {span(apart)}" if apart > 0 else f"{span(apart)} ago"
    if abs(apart) < 1:
        words = "now"
    return f"{words} ({clock(time)})"


def clock(time: float) -> str:
    """The time with its zone, in minutes."""
    try:
        at = datetime.datetime.fromtimestamp(math.floor(time), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{time:.0f} seconds since 1970"
    return at.strftime("%Y-%m-%d %H:%M UTC")

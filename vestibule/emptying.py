"""Waiting until nobody is in a meeting any more, and what people see meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from vestibule.draining import until_empty
from vestibule.tokens.durations import DurationError, seconds

LONGEST = 86400  # seconds
SPARE = 900  # seconds for the change itself, after which meetings may begin whatever became of it


def limit_of(text: object) -> int:
    """Seconds of a duration such as 30m. Raises ValueError with a sentence."""
    try:
        return seconds(str(text), LONGEST)
    except DurationError as error:
        if "more than" in str(error):
            raise ValueError(
                f'wait_for_empty is "{str(text)[:40]}", which is more than a day. Wait for less.'
            ) from None
        raise ValueError(f"wait_for_empty {error}") from None


def wait(
    ask: Callable[[], Mapping[str, Any]],
    say: Callable[[str], None],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until nobody is there; how many seconds it took. ``say`` is told each change.

    Raises StillThere after ``limit`` seconds.
    """
    remedy = (
        ", so nothing was changed. Run this again at another time, wait longer"
        " (-e wait_for_empty=2h), or leave that out to change it at once."
    )
    return until_empty(ask(), ask, say, limit, remedy, clock, pause)

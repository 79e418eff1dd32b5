"""Waiting until a bridge, or a server, has run empty, and what people see meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

PAUSE = 5.0  # seconds between two questions to the host, which announces nothing


class StillThere(Exception):
    """People are still there when the time is over. The message is a sentence."""


def describe(told: Mapping[str, Any]) -> str:
    """How many people and meetings, in words."""
    people, meetings = told["people"], told["meetings"]
    if not people:
        return "nobody"
    return (
        f"{people} {'person' if people == 1 else 'people'} in"
        f" {meetings} {'meeting' if meetings == 1 else 'meetings'}"
    )


def duration(seconds: float) -> str:
    """Seconds or minutes, in words."""
    return f"{round(seconds)} s" if seconds < 120 else f"{round(seconds / 60)} min"


def drain(
    ask: Callable[[str], Mapping[str, Any]],
    say: Callable[[str], None],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Leave new meetings to other bridges and wait until nobody is there; how many seconds it took.

    ``ask`` takes a state of the module bridge_drain and returns what that tells. ``say`` is told
    each change. Raises StillThere after ``limit`` seconds; the bridge goes on draining.
    """
    remedy = (
        ". The bridge goes on leaving new meetings to others: run this again to wait longer, stop"
        " it to end these meetings, or take it back with -e drain=false."
    )
    told = ask("drained")
    return until_empty(told, lambda: ask("asked"), say, limit, remedy, clock, pause)


def until_empty(
    told: Mapping[str, Any],
    ask: Callable[[], Mapping[str, Any]],
    say: Callable[[str], None],
    limit: float,
    remedy: str,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> float:
    """Wait until nobody is there; how many seconds it took. ``told`` is the first answer.

    ``say`` is told each change. Raises StillThere after ``limit`` seconds, whose message ends with
    ``remedy``.
    """
    began, shown = clock(), ""
    while told["people"]:
        left = began + limit - clock()
        if left <= 0:
            raise StillThere(f"There are still {describe(told)} after {duration(limit)}{remedy}")
        if describe(told) != shown:
            shown = describe(told)
            say(f"{shown}, waiting for {duration(left)} at most")
        pause(min(PAUSE, left))
        told = ask()
    return clock() - began

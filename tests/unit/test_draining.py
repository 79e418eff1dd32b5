"""Waiting until a bridge has run empty."""

from __future__ import annotations

import pytest

from vestibule.draining import PAUSE, StillThere, describe, drain, duration


class Bridge:
    """A bridge whose people leave one after the other, and a clock that only waiting moves."""

    def __init__(self, *people: int) -> None:
        self.people, self.now = list(people), 100.0
        self.told: list[str] = []
        self.said: list[str] = []

    def ask(self, state: str) -> dict[str, int]:
        self.told.append(state)
        people = self.people.pop(0) if len(self.people) > 1 else self.people[0]
        return {"people": people, "meetings": -(-people // 3)}

    def drain(self, limit: float) -> float:
        def pause(seconds: float) -> None:
            self.now += seconds

        return drain(self.ask, self.said.append, limit, lambda: self.now, pause)


def test_an_empty_bridge_is_not_waited_for() -> None:
    bridge = Bridge(0)
    assert bridge.drain(0) == 0
    assert bridge.told == ["drained"]
    assert bridge.said == []


def test_each_change_is_said_once() -> None:
    bridge = Bridge(5, 5, 1, 0)
    assert bridge.drain(600) == 3 * PAUSE
    assert bridge.told == ["drained", "asked", "asked", "asked"]
    assert bridge.said == [
        "5 people in 2 meetings, waiting for 10 min at most",
        "1 person in 1 meeting, waiting for 10 min at most",
    ]


@pytest.mark.parametrize("limit", [0, 1, 60])
def test_who_stays_is_named_when_the_time_is_over(limit: float) -> None:
    bridge = Bridge(2)
    with pytest.raises(StillThere, match=f"still 2 people in 1 meeting after {limit} s"):
        bridge.drain(limit)
    assert bridge.now == 100 + limit


def test_words_for_numbers() -> None:
    assert describe({"people": 0, "meetings": 1}) == "nobody"
    assert (duration(90), duration(3600)) == ("90 s", "60 min")

"""Waiting until nobody is in a meeting, for a time that is one."""

from __future__ import annotations

import pytest

from vestibule.draining import PAUSE, StillThere
from vestibule.emptying import limit_of, wait


class Prosody:
    """People leave one after the other, and only waiting moves the clock."""

    def __init__(self, *people: int) -> None:
        self.people, self.now = list(people), 100.0
        self.said: list[str] = []
        self.asked = False

    def ask(self) -> dict[str, int]:
        self.now += (
            2 if not self.asked else 0
        )  # the first answer takes its time, which is not theirs
        self.asked = True
        people = self.people.pop(0) if len(self.people) > 1 else self.people[0]
        return {"people": people, "meetings": -(-people // 3)}

    def wait(self, limit: float) -> float:
        def pause(seconds: float) -> None:
            self.now += seconds

        return wait(self.ask, self.said.append, limit, lambda: self.now, pause)


def test_nobody_is_not_waited_for() -> None:
    prosody = Prosody(0)
    assert prosody.wait(0) == 0
    assert prosody.said == []


def test_each_change_is_said_once() -> None:
    prosody = Prosody(5, 5, 1, 0)
    assert prosody.wait(600) == 3 * PAUSE
    assert prosody.said == [
        "5 people in 2 meetings, waiting for 10 min at most",
        "1 person in 1 meeting, waiting for 10 min at most",
    ]


def test_no_longer_than_allowed() -> None:
    prosody = Prosody(2)
    with pytest.raises(StillThere, match=r"There are still 2 people in 1 meeting after 7 s, so no"):
        prosody.wait(7)
    assert prosody.now == 109


def test_a_duration_is_read() -> None:
    assert limit_of("30m") == 1800


@pytest.mark.parametrize("text", ["", "half an hour", "30", "-5m", "0s", None, 1800, True, ["30m"]])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^wait_for_empty is "):
        limit_of(text)


def test_more_than_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^wait_for_empty is "25h", which is more than a day'):
        limit_of("25h")

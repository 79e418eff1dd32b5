"""What a case is, and what counts as the refusal that it expects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..attempts import ENTERED, Attempt
from ..scene import Control, Entrance, nothing
from ..xmpp import Refused, Stage


@dataclass(frozen=True)
class Refusal:
    """An answer that counts as the expected refusal.

    ``conditions`` empty: whatever the server calls it. ``words`` is a regular expression.
    ``detail`` names an element that has to stand beside the condition.
    """

    stage: Stage
    conditions: tuple[str, ...] = ()
    words: str = ""
    detail: str = ""

    def covers(self, refused: Refused) -> bool:
        """Whether this is what the server said."""
        return (
            refused.stage == self.stage
            and (not self.conditions or refused.condition in self.conditions)
            and re.search(self.words, refused.text) is not None
            and (not self.detail or self.detail in refused.details)
        )


def once(entrance: Entrance) -> Sequence[Entrance]:
    """The entrance alone."""
    return (entrance,)


@dataclass(frozen=True)
class Case:
    """One thing that people try in one or more ways.

    All ``attempts`` have to meet one of the ``refusals``; where there are none, they have to end
    with the ``outcome``. ``needs`` names the feature without which an attempt makes no sense: its
    host is not there. A ``slow`` case mostly waits for the server's clock. ``only_over`` names the
    one transport that the case is about. A case ``in_browser`` needs a browser on the controller.
    ``places`` are those where it is played, each with its control, where one is not enough.
    """

    name: str
    words: str
    attempts: Mapping[str, Attempt]
    refusals: tuple[Refusal, ...] = ()
    control: Control = nothing
    outcome: str = ENTERED
    needs: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False
    only_over: str = ""
    in_browser: bool = False
    places: Callable[[Entrance], Sequence[Entrance]] = once

    @property
    def expected(self) -> str:
        """What has to happen, for people."""
        if not self.refusals:
            return self.outcome
        conditions = [refusal.conditions[0] for refusal in self.refusals if refusal.conditions]
        conditions = list(dict.fromkeys(conditions))
        return f"refused: {' or '.join(conditions)}" if conditions else "refused"

    def attempts_with(self, features: frozenset[str]) -> Mapping[str, Attempt]:
        """The attempts that make sense on a server with these features."""
        return {
            way: attempt
            for way, attempt in self.attempts.items()
            if way not in self.needs or self.needs[way] in features
        }


def at_login(words: str, *conditions: str) -> Refusal:
    """A SASL failure that says so, not-allowed where no conditions are given."""
    return Refusal(Stage.LOGIN, conditions or ("not-allowed",), words)


def at_join(words: str, *conditions: str, detail: str = "") -> Refusal:
    """A presence error that says so, not-allowed where no conditions are given."""
    return Refusal(Stage.JOIN, conditions or ("not-allowed",), words, detail)


def by_role(*conditions: str) -> Refusal:
    """The room leaves them this role, or one of these."""
    return Refusal(Stage.ROLE, conditions)

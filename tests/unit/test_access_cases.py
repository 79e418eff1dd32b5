"""The registry: every refusal has a control, and every case that a feature names can be played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from vestibule.access.cases import CASES, GROUPS, Case, Refusal, choose
from vestibule.access.report import WORDS
from vestibule.access.scene import nothing
from vestibule.access.xmpp import Refused, Stage

FEATURES = sorted((Path(__file__).parents[2] / "features").glob("*.yml"))


def promised() -> set[str]:
    """Names of the cases that the feature files say to prove them."""
    names = set()
    for path in FEATURES:
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("proves", []):
            names.add(entry if isinstance(entry, str) else entry["case"])
    return names


def test_there_are_cases() -> None:
    assert len(CASES) >= 31
    assert len(CASES) == sum(map(len, GROUPS)), "two cases have one name"


def test_features_promise_the_cases_that_there_are() -> None:
    assert promised() == set(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_tries_something(case: Case) -> None:
    assert case.attempts


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refusals])
def test_every_refusal_has_a_control(name: str) -> None:
    assert CASES[name].control is not nothing


def named(words: str) -> list[str]:
    """Names of the cases with one of these words in them; others do not say what is expected."""
    return [name for name in CASES if re.search(f"_({words})(_|$)", name)]


@pytest.mark.parametrize("name", named("refused|closed|waits|not|cannot"))
def test_what_is_called_refused_is(name: str) -> None:
    assert CASES[name].refusals


@pytest.mark.parametrize("name", named("enters|admits|allowed|moderates"))
def test_what_is_called_admitted_is(name: str) -> None:
    assert not CASES[name].refusals


REFUSAL = Refusal(Stage.LOGIN, ("not-allowed", "not-authorized"), "exp.* missing")


@pytest.mark.parametrize(
    ("refused", "covered"),
    [
        (Refused(Stage.LOGIN, "not-allowed", "exp claim is missing"), True),
        (Refused(Stage.LOGIN, "not-authorized", "'exp' claim is missing"), True),
        (Refused(Stage.LOGIN, "not-allowed", "Invalid signature"), False),
        (Refused(Stage.LOGIN, "temporary-auth-failure", "exp claim is missing"), False),
        (Refused(Stage.JOIN, "not-allowed", "exp claim is missing"), False),
        (Refused(Stage.LOGIN, "not-allowed"), False),
    ],
)
def test_only_the_expected_refusal_counts(refused: Refused, covered: bool) -> None:
    assert REFUSAL.covers(refused) is covered


def test_a_refusal_may_have_to_name_what_stands_beside_its_condition() -> None:
    waits = Refusal(Stage.JOIN, ("registration-required",), detail="lobbyroom")
    lobby = {"lobbyroom": "standup@lobby.meet.example.org"}
    assert waits.covers(Refused(Stage.JOIN, "registration-required", details=lobby))
    assert not waits.covers(Refused(Stage.JOIN, "registration-required"))


def test_attempts_at_a_host_that_is_not_there_are_left_out() -> None:
    case = CASES["only_focus_creates_rooms"]
    assert case.attempts_with(frozenset({"breakout"})) == case.attempts
    without = case.attempts_with(frozenset())
    assert case.attempts.keys() - without.keys() == {"breakout room"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_something_is_left_to_try_without_any_optional_feature(case: Case) -> None:
    assert case.needs.keys() <= case.attempts.keys()
    assert case.attempts_with(frozenset())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words_fit_their_column(case: Case) -> None:
    assert len(case.words) <= WORDS


def test_a_refusal_without_conditions_takes_any() -> None:
    assert Refusal(Stage.JOIN).covers(Refused(Stage.JOIN, "conflict"))
    assert not Refusal(Stage.JOIN).covers(Refused(Stage.STREAM, "conflict"))


def test_cases_are_played_once_and_in_the_order_of_the_registry() -> None:
    names = ["expired_refused", "valid_token_enters", "expired_refused"]
    assert [case.name for case in choose(names)] == ["valid_token_enters", "expired_refused"]


def test_an_unknown_case_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"expird_refused is no access case.* expired_refused"):
        choose(["valid_token_enters", "expird_refused"])


def test_no_case_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no case"):
        choose([])

"""The report: honest totals, the log of the right moment, and never a token."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestibule.access.cases import CASES
from vestibule.access.play import Verdict
from vestibule.access.report import (
    LogLine,
    explanation,
    line,
    read_journal,
    redact,
    summary,
    totals,
    write_json,
)
from vestibule.access.tokens import Issuer

ISSUER = Issuer("0123456789abcdef0123456789abcdef", "vestibule", "jitsi", "meet.example.org")


def verdict(**changes: Any) -> Verdict:
    facts: dict[str, Any] = {
        "case": CASES["expired_refused"],
        "transport": "websocket",
        "got": "refused: not-allowed (Not acceptable by exp)",
        "ok": True,
        "ms": 38,
        "began": 100.0,
        "ended": 101.0,
    }
    return Verdict(**{**facts, **changes})


WRONG = verdict(transport="bosh", got="logs in", ok=False)

wrapped = pytest.mark.parametrize(
    "around", ["{}", "Token {} not allowed", "GET /http-bind?room=x&token={}&y=z", "Bearer {}"]
)


@wrapped
@given(room=st.text(max_size=40), padding=st.integers(0, 200))
def test_no_part_of_a_token_survives(around: str, room: str, padding: int) -> None:
    token = ISSUER.token(room=room, padding="x" * padding)
    shown = redact(around.format(token))
    assert not [part for part in token.split(".") if part in shown]


@pytest.mark.parametrize(
    "hostile",
    [
        "token=anything at all",
        "Bearer c2VjcmV0",
        "bnVsbA.eyJyb29tIjoieCJ9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl",
        "a%20token=eyJhbGciOiJub25lIn0",
    ],
)
def test_what_stood_for_a_token_is_hidden(hostile: str) -> None:
    shown = redact(hostile)
    assert "…" in shown
    assert not any(part in shown for part in ("anything", "c2VjcmV0", "c2lnbmF0", "eyJhbGci"))


def test_a_secret_is_hidden_wherever_it_stands() -> None:
    assert redact("no secret, a s3cr3t", "s3cr3t", "") == "no secret, a …"


def test_ordinary_words_stay() -> None:
    said = "refused: not-allowed (Room and token mismatched) on conference.meet.example.org"
    assert redact(said) == said


def test_a_line_says_what_was_tried_and_what_came_of_it() -> None:
    shown = line(verdict())
    assert shown.split()[:4] == ["ok", "websocket", "expired", "token"]
    assert shown.endswith("refused: not-allowed (Not acceptable by exp)  38 ms")


def test_a_wrong_line_says_what_was_expected() -> None:
    assert line(WRONG).startswith("WRONG  bosh")
    assert "logs in; expected refused: not-allowed" in line(WRONG)


def test_totals_count_cases_transports_and_verdicts() -> None:
    assert totals([verdict(), WRONG], 9.84) == (
        "1 case over 2 transports: 1 right, 1 wrong in 9.8 s"
    )


def test_the_summary_names_the_first_wrong_ones_and_counts_the_rest() -> None:
    shown = summary([verdict(), *[WRONG] * 5])
    assert shown.startswith("5 of 6 verdicts are wrong: expired_refused over bosh")
    assert shown.endswith("; and 2 more")


def test_another_key_is_told_from_a_door_that_does_not_open() -> None:
    other_key = replace(WRONG, got="control failed: refused: not-allowed (Invalid signature)")
    assert "checks tokens with another key" in summary([verdict(), other_key])
    assert "checks tokens with another key" not in summary([verdict(), other_key, WRONG])


def test_the_log_is_that_of_the_moment_when_it_was_played_again_without_tokens() -> None:
    token = ISSUER.token(room="standup")
    log = [
        LogLine(100.5, "warn of the first time"),
        LogLine(199.0, "warn too early"),
        LogLine(200.5, f"meet.example.org:auth_token      warn   Error verifying token {token}"),
        LogLine(202.0, "warn too late"),
    ]
    again = replace(WRONG, began=200.0, ended=201.0, got="no answer")
    assert explanation(WRONG, again, log) == [
        "expired_refused over bosh: expired token",
        "  expected  refused: not-allowed",
        "  got       logs in",
        "  again     no answer",
        "  the server's log of that moment:",
        "    meet.example.org:auth_token warn Error verifying token eyJ…",
    ]


def test_a_log_that_cannot_be_read_leaves_the_rest() -> None:
    assert explanation(WRONG, WRONG, [])[-1] == "  again     logs in"


def test_journal_lines_are_put_on_our_clock() -> None:
    journal = "130.5 host prosody[1]: c2s1 warn No\n  and more of it\n131.0 host prosody[1]: Yes\n"
    assert read_journal(journal, 30.0) == [
        LogLine(100.5, "prosody[1]: c2s1 warn No"),
        LogLine(101.0, "prosody[1]: Yes"),
    ]


def test_the_json_has_the_rows_and_nothing_but(tmp_path: Path) -> None:
    path = tmp_path / "new" / "server-access.json"
    write_json(path, [verdict(got=f"logs in with {ISSUER.token(room='x')}")])
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {
            "case": "expired_refused",
            "transport": "websocket",
            "expected": "refused: not-allowed",
            "got": "logs in with eyJ…",
            "ok": True,
            "ms": 38,
        }
    ]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_new_report_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "server-access.json"
    write_json(path, [verdict(), WRONG])
    write_json(path, [WRONG])
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 1

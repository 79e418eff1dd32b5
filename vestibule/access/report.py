"""Verdicts as lines for people and as JSON for machines, without anything that opens a door."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestibule import json_files

from .play import EXPLAINED, QUIET, Verdict

WORDS = 42  # columns that the words of a case may take
_LINES = 15  # of the server's log for one verdict
_OTHER_KEY = "Invalid signature"  # in mod_auth_token's refusal of a token with a good header
_SECRETS = (
    # Parts of a token: base64url of {"… , which is how header and claims begin
    (re.compile(r"eyJ[\w.=+/%-]*"), "eyJ…"),
    # Any other three parts with a signature of 256 bits or more
    (re.compile(r"[\w-]+\.[\w-]+\.[\w-]{43,}"), "…"),
    (re.compile(r"\btoken=[^&\s\"'<>]*"), "token=…"),
    (re.compile(r"\bBearer\s+\S+"), "Bearer …"),
)


@dataclass(frozen=True)
class LogLine:
    """One line of the server's log."""

    at: float  # seconds since the epoch, by the controller's clock
    text: str


def redact(text: str, *secrets: str) -> str:
    """``text`` without tokens, and without these secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def line(verdict: Verdict) -> str:
    """What became of one case, on one line."""
    got = verdict.got if verdict.ok else f"{verdict.got}; expected {verdict.case.expected}"
    if verdict.left_out:
        got += f", {len(verdict.left_out)} not made"
    return (
        f"{'ok' if verdict.ok else 'WRONG':<5}  {verdict.transport:<9}"
        f"  {verdict.case.words:<{WORDS}}  {redact(got)}  {verdict.ms} ms"
    )


def totals(verdicts: Sequence[Verdict], seconds: float) -> str:
    """How it went altogether."""
    cases = len({verdict.case.name for verdict in verdicts})
    transports = len({verdict.transport for verdict in verdicts})
    right = sum(verdict.ok for verdict in verdicts)
    return (
        f"{_count(cases, 'case')} over {_count(transports, 'transport')}: "
        f"{right} right, {len(verdicts) - right} wrong in {seconds:.1f} s"
    )


def explanation(verdict: Verdict, again: Verdict, log: Iterable[LogLine]) -> list[str]:
    """A wrong verdict in full, with what the server logged while it was played ``again``, alone."""
    lines = [
        f"{verdict.case.name} over {verdict.transport}: {verdict.case.words}",
        f"  expected  {verdict.case.expected}",
        f"  got       {redact(verdict.got)}",
        f"  again     {redact(again.got)}",
    ]
    meanwhile = [
        " ".join(redact(entry.text).split())
        for entry in log
        if again.began - QUIET / 2 <= entry.at <= again.ended + QUIET / 2
    ]
    if meanwhile:
        lines.append("  the server's log of that moment:")
        lines += [f"    {text}" for text in meanwhile[-_LINES:]]
    return lines


def read_journal(journal: str, ahead: float) -> list[LogLine]:
    """Lines of ``journalctl --output short-unix``, from a host whose clock is ``ahead`` seconds."""
    lines = []
    for entry in journal.splitlines():
        at, _, rest = entry.partition(" ")
        _, _, message = rest.partition(" ")
        with contextlib.suppress(ValueError):  # a line of a longer message has no time of its own
            lines.append(LogLine(float(at) - ahead, message))
    return lines


def summary(verdicts: Sequence[Verdict]) -> str:
    """All wrong verdicts in one sentence."""
    wrong = [verdict for verdict in verdicts if not verdict.ok]
    named = "; ".join(
        f"{verdict.case.name} over {verdict.transport} (expected {verdict.case.expected},"
        f" got {redact(verdict.got)})"
        for verdict in wrong[:EXPLAINED]
    )
    more = f"; and {len(wrong) - EXPLAINED} more" if len(wrong) > EXPLAINED else ""
    said = f"{len(wrong)} of {len(verdicts)} verdicts are wrong: {named}{more}"
    if all(_OTHER_KEY in verdict.got for verdict in wrong):
        said += (
            ". The server checks tokens with another key than the one that signs them here. Run"
            " playbooks/site.yml, which brings it the key of this inventory"
        )
    return said


def write_json(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the verdicts for machines."""
    rows = [
        {
            "case": verdict.case.name,
            "transport": verdict.transport,
            "expected": verdict.case.expected,
            "got": redact(verdict.got),
            "ok": verdict.ok,
            "ms": verdict.ms,
        }
        for verdict in verdicts
    ]
    json_files.write(path, rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

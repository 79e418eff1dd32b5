"""Why a token is let in, or not, in words."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict
from urllib.parse import parse_qs, urlsplit

from vestibule.command import CommandError
from vestibule.tokens.verdict import PROVIDER, Finding, Verdict

LONGEST = 1 << 21  # characters that are read of standard input
_WIDTH = 96
_SIGNS = {True: "ok", False: "NO", None: "-"}


def token_in(text: str) -> tuple[str, str]:
    """The token in what was given, and what it was taken from."""
    given = text.strip()
    if not given:
        raise CommandError(
            "Standard input is empty. Send the token there, and never as an argument."
        )
    if re.match("https?://", given):
        try:
            query = parse_qs(urlsplit(given).query)
        except ValueError:
            raise CommandError("That is no link. Send the token, or its whole link.") from None
        if "jwt" not in query:
            raise CommandError(
                "That is a link without jwt= in it. Send the token, or its whole link."
            )
        return query["jwt"][0], "This is the token of that link."
    if given.lower().startswith("bearer "):
        return given.partition(" ")[2].strip(), "This is the token behind Bearer."
    return given, ""


def in_words(verdict: Verdict, domain: str) -> list[str]:
    """The lines for a terminal. Without ``domain`` nobody has judged it."""
    findings = verdict.findings
    width = max((len(each.claim) for each in findings), default=0)
    return [
        _headline(verdict, domain),
        "",
        *(line for each in findings for line in _lines(each, width)),
    ]


def _headline(verdict: Verdict, domain: str) -> str:
    if not domain:
        if verdict.enters:
            return "Without --inventory, this is what the token says of itself; nobody verified it."
        return f"Every deployment refuses it: {verdict.reason}."
    if verdict.is_open:
        return (
            f"Whether {domain} lets it in cannot be said here: that hangs on its signature, and"
            f" keys of {PROVIDER} are on the server only."
        )
    if verdict.enters:
        role = "as an owner" if verdict.role == "owner" else "as a member"
        return f"{domain} lets it in, {role}, into {verdict.rooms}."
    return f"{domain} refuses it at the {verdict.stage}: {verdict.reason}."


def _lines(finding: Finding, width: int) -> list[str]:
    head = f"  {_SIGNS[finding.fits]:<3} {finding.claim:<{width}}  "
    return textwrap.wrap(
        finding.words,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )


def as_json(verdict: Verdict, domain: str) -> str:
    """The verdict for programs. Without ``domain`` nobody has judged, and enters is null.

    It is null as well where the signature decides, and nobody here can verify it.
    """
    judged = verdict.reason != "" or (bool(domain) and not verdict.is_open)
    return json.dumps(
        {
            "deployment": domain or None,
            "enters": verdict.enters if judged else None,
            "stage": verdict.stage or None,
            "reason": verdict.reason or None,
            "rooms": verdict.rooms or None,
            "role": verdict.role or None,
            "features": list(verdict.features),
            "signed_here": verdict.ours if domain and not verdict.is_unseen else None,
            "findings": [asdict(each) for each in verdict.findings],
        },
        ensure_ascii=False,
    )

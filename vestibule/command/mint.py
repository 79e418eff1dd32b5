"""Links with a token in them, for one person or for many."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vestibule.command.deployment import Deployment
from vestibule.tokens.durations import DurationError, seconds
from vestibule.tokens.meeting_url import MeetingUrlError, meeting_url
from vestibule.tokens.minting import TokenError, mint
from vestibule.tokens.request import LONGEST_NAME, RequestError, Spelling, breaks_lines, read
from vestibule.tokens.times import clock

FLAGS = Spelling(
    {
        "room": "--room",
        "display_name": "--name",
        "moderator": "--owner",
        "lifetime": "--for",
        "tenant": "--tenant",
        "features": "--feature",
        "email": "--email",
    },
    "{name} {value}",
)
# Of a table, whose columns have these names
COLUMNS = Spelling(
    {"display_name": "name", "moderator": "owner", "lifetime": "for"},
    "{value} in the column {name}",
)


class NoLink(ValueError):
    """There is no such link. The message is a sentence for whoever asked."""


@dataclass(frozen=True)
class Link:
    """A link, and what it is good for."""

    link: str
    room: str
    tenant: str
    name: str
    email: str
    role: str
    expires: str


def link_for(asked: Mapping[str, Any], deployment: Deployment, spelling: Spelling) -> Link:
    """The link for one person, with the claims that playbooks/mint.yml gives. Raises NoLink.

    ``asked`` has room, display_name, moderator, lifetime (a duration), tenant, features (names with
    commas between them) and email, or some of them.
    """
    options = deployment.model["options"]
    given, email = dict(asked), asked.get("email") or ""
    given.pop("email", None)
    try:
        if "lifetime" in given:
            given["lifetime"] = seconds(given["lifetime"], options["token_max_lifetime"])
        request = read(given, options, (), spelling)
        now = int(time.time())
        user = {"name": request["display_name"], "moderator": request["moderator"]}
        if email:
            user["email"] = _email(email, spelling)
        token = mint(
            {"room": request["room"]},
            secret=deployment.secret,
            kid=options["token_mint_kid"],
            issuer=options["token_mint_issuer"],
            audience=options["token_audience"],
            domain=deployment.domain,
            tenant=request["tenant"],
            lifetime=request["lifetime"],
            max_lifetime=options["token_max_lifetime"],
            user=user,
            features=request["features"] or None,
            now=now,
        )
        link = meeting_url(
            token,
            domain=deployment.domain,
            room=request["room"],
            tenant=request["tenant"],
            port=deployment.port,
        )
    except DurationError as error:
        raise NoLink(f"{spelling.name('lifetime')} {error}") from None
    except (MeetingUrlError, RequestError, TokenError) as error:
        raise NoLink(str(error)) from None
    return Link(
        link,
        request["room"],
        request["tenant"] or "",
        request["display_name"],
        email,
        "owner" if request["moderator"] else "member",
        clock(now + request["lifetime"]),
    )


def _email(value: Any, spelling: Spelling) -> str:
    if (
        not isinstance(value, str)
        or "@" not in value
        or breaks_lines(value)
        or len(value.encode(errors="replace")) > LONGEST_NAME
    ):
        raise RequestError(
            f"{spelling.name('email')} is no address. Say e.g."
            f" {spelling.example('email', 'ann@example.org')}, or leave it out."
        )
    return value

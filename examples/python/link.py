"""Prints a link into a meeting: JITSI_SECRET=… python link.py meet.example.org standup Ann.

Needs PyJWT.
"""

from __future__ import annotations

import os
import sys
import time
import unicodedata
import urllib.parse

import jwt

LIFETIME = 3600  # seconds; jitsi_token_max_lifetime bounds it


def room_claim(name: str) -> str:
    """The name as Jitsi's client writes it into the address of the room."""
    plain = unicodedata.normalize("NFKC", name).lower()
    return urllib.parse.quote(plain, safe="!'()*").lower()


def link(secret: str, domain: str, room: str, person: str) -> str:
    """A link for somebody who moderates, where the deployment has the feature affiliation."""
    now = int(time.time())
    claims = {
        "iss": "vestibule",  # jitsi_token_issuer
        "aud": "jitsi",  # jitsi_token_audience
        "sub": domain,  # the tenant for rooms under /tenant/
        "room": room_claim(room),
        "iat": now,
        "exp": now + LIFETIME,
        "context": {"user": {"name": person, "affiliation": "owner"}},
    }
    token = jwt.encode(claims, secret, algorithm="HS256")
    return f"https://{domain}/{urllib.parse.quote(room, safe='')}?jwt={token}"


if __name__ == "__main__":
    print(link(os.environ["JITSI_SECRET"], *sys.argv[1:4]))

"""Filter ``jitsi_jwt``: tokens that verify, and sentences where none can be made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.jitsi_jwt import FilterModule
from vestibule.tokens.minting import SECRET_LENGTH, SKEW

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_800_000_000
SECRET = "canary-Zm9yIHRlc3RzLCBub3QgZm9yIG1lZXRpbmdz"
SERVER = {
    "secret": SECRET,
    "issuer": "vestibule",
    "audience": "jitsi",
    "domain": "meet.example.org",
    "now": NOW,
}
mint = FilterModule().filters()["jitsi_jwt"]

# RFC 7515, appendix A.1: the key, and the token in compact serialization.
RFC_KEY = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
RFC_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)


def decode_part(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def verify(token: str, key: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token whose HS256 signature is right, without PyJWT's help."""
    header, claims, signature = token.split(".")
    expected = hmac.digest(key, f"{header}.{claims}".encode(), hashlib.sha256)
    assert hmac.compare_digest(decode_part(signature), expected)
    return json.loads(decode_part(header)), json.loads(decode_part(claims))


def minted(claims: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The claims of the token that the filter makes."""
    header, found = verify(mint(claims, **{**SERVER, **arguments}), SECRET.encode())
    assert header == {"alg": "HS256", "typ": "JWT"}  # Prosody refuses another typ
    return found


def test_the_verifier_of_these_tests_agrees_with_the_rfc() -> None:
    header, claims = verify(RFC_TOKEN, decode_part(RFC_KEY))
    assert header == {"typ": "JWT", "alg": "HS256"}
    assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    with pytest.raises(AssertionError):
        verify(RFC_TOKEN, decode_part(RFC_KEY)[:-1])


def test_claims_are_filled_in() -> None:
    assert minted({"room": "standup"}) == {
        "iss": "vestibule",
        "aud": "jitsi",
        "sub": "meet.example.org",
        "room": "standup",
        "iat": NOW,
        "nbf": NOW - SKEW,
        "exp": NOW + 3600,
    }


def test_who_and_what_go_into_the_context() -> None:
    found = minted(
        {"room": "*"},
        user={"name": "Žofie", "moderator": True, "affiliation": "owner"},
        features={"recording": True, "livestreaming": False},
    )
    assert found["room"] == "*"
    assert found["context"] == {
        "user": {"name": "Žofie", "moderator": True, "affiliation": "owner"},
        "features": {"recording": True, "livestreaming": False},
    }


@pytest.mark.parametrize(
    ("claims", "arguments", "subject"),
    [
        ({}, {}, "meet.example.org"),
        ({}, {"tenant": "acme"}, "acme"),
        ({"sub": "*"}, {}, "*"),
    ],
    ids=["the domain", "the tenant", "every tenant"],
)
def test_the_subject(claims: dict[str, Any], arguments: dict[str, Any], subject: str) -> None:
    assert minted({"room": "a", **claims}, **arguments)["sub"] == subject


@pytest.mark.parametrize(
    ("room", "claim"),
    [
        ("Standup-2_a.b~c", "Standup-2_a.b~c"),
        ("my room", "my%20room"),
        ("Ž\N{LATIN SMALL LIGATURE FI}", "%c5%befi"),
        ("my%20room", "my%20room"),
        ("*", "*"),
    ],
)
def test_a_room_is_claimed_as_it_stands_in_its_address(room: str, claim: str) -> None:
    assert minted({"room": room})["room"] == claim


def test_other_claims_are_kept() -> None:
    assert minted({"room": "a", "jti": "7", "user_id": 5, "x": [1.5, {"y": False}]}) == {
        **minted({"room": "a"}),
        "jti": "7",
        "user_id": 5,
        "x": [1.5, {"y": False}],
    }


def test_the_clock_is_the_default() -> None:
    before = int(time.time())
    token = mint({"room": "a"}, **{**SERVER, "now": None}, lifetime=60)
    found = jwt.decode(token, SECRET, algorithms=["HS256"], audience="jitsi")
    assert before <= found["iat"] <= time.time()
    assert found["exp"] - found["iat"] == 60


def test_parts_of_seconds_are_dropped() -> None:
    assert minted({"room": "a"}, now=NOW + 0.9)["iat"] == NOW


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
json_values = st.recursive(
    texts | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=SECRET_LENGTH, max_size=80)
    .map(lambda text: text + SECRET)
    .filter(lambda secret: "-----BEGIN" not in secret),
    issuer=texts,
    audience=texts,
    lifetime=st.integers(1, 10**9),
    user=st.dictionaries(texts, json_values),
    features=st.dictionaries(texts, st.booleans()),
)
def test_pyjwt_reads_what_was_minted(
    secret: str,
    issuer: str,
    audience: str,
    lifetime: int,
    user: dict[str, Any],
    features: dict[str, bool],
) -> None:
    now = int(time.time())
    token = mint(
        {"room": "a"},
        **{**SERVER, "secret": secret, "issuer": issuer, "audience": audience, "now": now},
        lifetime=lifetime + 60,
        user=user,
        features=features,
    )
    found = jwt.decode(token, secret, algorithms=["HS256"], audience=audience, issuer=issuer)
    assert found["context"] == {"user": user, "features": features}
    assert found["exp"] == now + lifetime + 60
    verify(token, secret.encode())


@pytest.mark.parametrize(
    ("claims", "arguments", "sentence"),
    [
        (
            {"room": "a"},
            {"secret": "canary-" + "x" * 24},
            "The secret is shorter than 32 characters. Put a longer one into jitsi_token_secret, "
            "or leave that variable out and one is made.",
        ),
        ({"room": "a"}, {"secret": None}, "secret is of type NoneType. Use text."),
        ({"room": "a"}, {"secret": " " * 40}, "secret is empty. Give it some text."),
        (
            {"room": "a"},
            {"secret": "canary\ud800" + SECRET},
            "secret is text that UTF-8 cannot encode. Use other text.",
        ),
        (
            {"room": "canary\ud800"},
            {},
            "claims['room'] is text that UTF-8 cannot encode. Use other text.",
        ),
        (
            {"room": "a"},
            {"secret": "ssh-rsa " + SECRET},
            "The secret is a key in PEM or SSH form, not a secret of HS256. Put random text into "
            "jitsi_token_secret, or leave that variable out and some is made.",
        ),
        ({}, {}, "The claim room is missing. Name the room, or '*' for every room."),
        ({"room": ""}, {}, "claims['room'] is empty. Give it some text."),
        ({"room": ["canary"]}, {}, "claims['room'] is of type list. Use text."),
        ("canary", {}, "claims is of type str. Use a mapping."),
        ({"room": "a", "sub": 5}, {}, "claims['sub'] is of type int. Use text."),
        (
            {"room": "a", "exp": 5},
            {},
            "The claim exp is made from lifetime. Give that instead.",
        ),
        (
            {"room": "a", "sub": "*"},
            {"tenant": "acme"},
            "Both tenant and the claim sub are given. Leave one of them out.",
        ),
        ({"room": "a"}, {"tenant": " "}, "tenant is empty. Give it some text."),
        ({"room": "a"}, {"issuer": ""}, "issuer is empty. Give it some text."),
        ({"room": "a"}, {"audience": ["jitsi"]}, "audience is of type list. Use text."),
        ({"room": "a"}, {"domain": 5}, "domain is of type int. Use text."),
        (
            {"room": "a"},
            {"user": {"tags": ["x", None]}},
            "user['tags'][1] is null, which Prosody takes for true. Leave it out.",
        ),
        (
            {"room": "a"},
            {"user": {"email": None}},
            "user['email'] is null, which Prosody takes for true. Leave it out.",
        ),
        (
            {"room": "a"},
            {"user": {"size": math.nan}},
            "user['size'] is of type float, or infinite. Use text, a number, a boolean, a list or "
            "a mapping.",
        ),
        (
            {"room": "a", "x": {"y": b"canary"}},
            {},
            "claims['x']['y'] is of type bytes, or infinite. Use text, a number, a boolean, a list "
            "or a mapping.",
        ),
        ({"room": "a"}, {"user": "canary"}, "user is of type str. Use a mapping."),
        ({"room": "a"}, {"user": {5: "canary"}}, "user has a key of type int. Use text."),
        (
            {"room": "a"},
            {"features": {"recording": "true"}},
            "features['recording'] is of type str. Use true or false.",
        ),
        ({"room": "a"}, {"features": ["recording"]}, "features is of type list. Use a mapping."),
        ({"room": "a"}, {"isuer": "x"}, "There is no argument isuer. Did you mean issuer?"),
        (
            {"room": "a"},
            {"zzz": "x"},
            "There is no argument zzz. There are audience, domain, features, issuer, kid, "
            "lifetime, max_lifetime, now, secret, tenant, user.",
        ),
    ]
    + [
        (
            {"room": "a"},
            {"max_lifetime": longest},
            "max_lifetime is no whole number of seconds above 0. Use for example 3600.",
        )
        for longest in (0, True, 86400.5, "86400")
    ]
    + [
        (
            {"room": "a"},
            {"lifetime": lifetime},
            "lifetime is no whole number of seconds above 0. Use for example 3600.",
        )
        for lifetime in (0, -1, True, 1.5, "3600", None)
    ]
    + [
        (
            {"room": "a"},
            {"lifetime": 61, "max_lifetime": 60},
            "lifetime is more than the 60 seconds that the server takes. Ask for less, or raise "
            "jitsi_token_max_lifetime and deploy that first.",
        )
    ]
    + [
        (
            {"room": "a"},
            {"now": now},
            "now is no time in seconds since 1970. Leave it out for the clock.",
        )
        for now in (True, "now", math.inf)
    ],
)
def test_what_is_wrong_is_said_without_its_value(
    claims: Any, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        mint(claims, **{**SERVER, **arguments})
    assert str(error.value) == sentence


@pytest.mark.parametrize("name", ["secret", "issuer", "audience", "domain"])
def test_a_missing_argument_is_named(name: str) -> None:
    arguments = {key: value for key, value in SERVER.items() if key != name}
    with pytest.raises(AnsibleFilterError) as error:
        mint({"room": "a"}, **arguments)
    assert str(error.value) == f"The argument {name} is missing."


def test_the_shortest_good_secret() -> None:
    token = mint({"room": "a"}, **{**SERVER, "secret": SECRET[-SECRET_LENGTH:]})
    verify(token, SECRET[-SECRET_LENGTH:].encode())


PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  vars:
    who: {name: "{{ first }} L.", tags: ["{{ first }}"], moderator: "{{ 1 > 0 }}"}
    first: Ada
  tasks:
    - ansible.builtin.copy:
        content: >-
          {{ {'room': first | lower}
             | jitsi_jwt(secret=secret, issuer='vestibule', audience='jitsi', lifetime=60,
                         domain='meet.example.org', user=who, features={'recording': true})
             | jitsi_meeting_url(domain='meet.example.org', room='ada', config={'x': who.tags}) }}
        dest: link
        mode: "0600"
"""


def test_it_takes_the_values_that_ansible_gives(tmp_path: Path) -> None:
    """Ansible's texts and containers are subclasses with tags, some rendered when read."""
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "vars.json").write_text(json.dumps({"secret": SECRET}))
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nfilter_plugins = {ROOT}/filter_plugins\n")
    play = subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            "@vars.json",
            "play.yml",
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        check=False,
        capture_output=True,
        text=True,
    )
    assert play.returncode == 0, play.stdout + play.stderr
    url = urlsplit((tmp_path / "link").read_text())
    _, claims = verify(parse_qs(url.query)["jwt"][0], SECRET.encode())
    assert claims["room"] == "ada"
    assert claims["context"] == {
        "user": {"name": "Ada L.", "tags": ["Ada"], "moderator": True},
        "features": {"recording": True},
    }
    assert url.fragment == "config.x=%5B%22Ada%22%5D"

"""Good tokens are good by PyJWT's own judgement, bad ones differ in the one thing they should."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest

from vestibule.access.tokens import (
    ABSENT,
    HEADER,
    Issuer,
    MintError,
    encode_part,
    forge,
    forge_rsa,
    from_now,
    minted_by,
)

SECRET = "0123456789abcdef0123456789abcdef"
ISSUER = Issuer(SECRET, "vestibule", "jitsi", "meet.example.org")


def judged(token: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        SECRET,
        algorithms=["HS256"],
        audience="jitsi",
        issuer="vestibule",
        options={"require": ["exp", "iss", "aud", "sub"]},
    )


def part(token: str, number: int) -> Any:
    encoded = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))


def test_a_token_opens_its_room() -> None:
    assert judged(ISSUER.token(room="standup"))["room"] == "standup"


def test_a_changed_claim_changes_nothing_else() -> None:
    token = ISSUER.token(room="standup", sub=["list"], exp=ABSENT)
    plain = ISSUER.claims(room="standup")
    del plain["exp"]
    assert part(token, 0) == dict(HEADER)
    assert part(token, 1) == {**plain, "sub": ["list"]}


def test_an_expired_token_is_refused_for_being_expired() -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        judged(ISSUER.token(room="standup", exp=from_now(-120)))


def test_a_forged_token_with_the_right_header_is_a_true_one() -> None:
    assert judged(forge(HEADER, ISSUER.claims(room="standup"), SECRET))["room"] == "standup"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_the_signature_of_another_algorithm_is_true() -> None:
    token = forge({**HEADER, "alg": "HS512"}, {"room": "standup"}, SECRET, "sha512")
    assert jwt.decode(token, SECRET, algorithms=["HS512"]) == {"room": "standup"}


def test_a_forged_header_may_be_no_object() -> None:
    assert part(forge(None, {"room": "standup"}, SECRET), 0) is None


def test_an_rsa_token_says_so_and_has_no_hmac() -> None:
    token = forge_rsa(ISSUER.claims(room="standup"))
    assert part(token, 0)["alg"] == "RS256"
    with pytest.raises(jwt.InvalidAlgorithmError):
        judged(token)


def test_parts_are_base64url_without_padding() -> None:
    # RFC 7515, appendix C
    assert encode_part(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"


def test_nobody_sees_the_secret_of_an_issuer() -> None:
    assert SECRET not in repr(ISSUER)


MINT = """import json, sys, jwt
print(jwt.encode(json.load(sys.stdin), "0123456789abcdef0123456789abcdef"))"""


def test_a_command_signs_what_it_reads() -> None:
    issuer = Issuer(
        "", "vestibule", "jitsi", "meet.example.org", command=(sys.executable, "-c", MINT)
    )
    assert judged(issuer.token(room="standup"))["room"] == "standup"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(issuer.token(), "x" * 32, algorithms=["HS256"], audience="jitsi")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; print('eyJ-a-key'); sys.exit(3)", "exit code 3"),
        ("print('no token')", "with the claims that it was given"),
        ("print('a.b.c')", "with the claims that it was given"),
        ("print('')", "with the claims that it was given"),
        (MINT.replace("json.load(sys.stdin)", "{'room': 'mine'}"), "sign what it reads as it is"),
        (MINT + "\nprint('and more')", "nothing else"),
    ],
)
def test_a_command_that_mints_something_else_is_named(program: str, said: str) -> None:
    with pytest.raises(MintError, match=said) as error:
        minted_by((sys.executable, "-c", program), b'{"room": "standup"}')
    assert "jitsi_verify_mint_command" in str(error.value)
    assert "eyJ" not in str(error.value)


def test_a_command_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(MintError, match=r"mint cannot be run \(No such file"):
        minted_by((str(tmp_path / "mint"),), b"{}")

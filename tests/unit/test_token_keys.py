"""Keys that sign tokens: what an operator may write, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from vestibule.model import ModelError
from vestibule.model.compiler import compile_model
from vestibule.model.token_keys import PROOF, PROOF_FILE, public_key
from vestibule.tokens.key_file import key_file, key_of_proof, secrets_by_kid, text_of

SECRET = "4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5SgQe"
OTHER = "m7Hq2ZcX0vRt5LwKpB8nYd3JfG6sQe1uTxA"
DOMAIN = {"jitsi_domain": "meet.example.org"}
APP = {"kid": "app", "algorithm": "HS256", "secret": SECRET}
SECOND = {**APP, "kid": "second", "secret": OTHER}
PEM = serialization.Encoding.PEM


def private(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(PEM, form, serialization.NoEncryption())
    return text.decode()


def public(key: Any, form: Any = serialization.PublicFormat.SubjectPublicKeyInfo) -> str:
    text: bytes = key.public_key().public_bytes(PEM, form)
    return text.decode()


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


RSA = rsa_key(2048)
IDP = {"kid": "idp", "algorithm": "RS256", "public_key": public(RSA)}


def options_of(**given: Any) -> dict[str, Any]:
    options: dict[str, Any] = compile_model({**DOMAIN, **given}, (), "")["options"]
    return options


def refusal(**given: Any) -> str:
    with pytest.raises(ModelError) as error:
        options_of(**given)
    return str(error.value)


def file_of(**given: Any) -> dict[str, Any]:
    """The file of keys of an inventory."""
    options = options_of(**given)
    secrets = secrets_by_kid(
        options["token_keys"], given.get("jitsi_token_keys", []), {"token_key_1": OTHER}
    )
    content: dict[str, Any] = json.loads(key_file(options, secrets, SECRET))
    return content


def test_without_keys_there_is_the_one_secret() -> None:
    assert file_of() == {
        "made_by": "Vestibule",
        "keys": [{"algorithm": "HS256", "secret": SECRET, "issuers": ["vestibule"]}],
        "revoked": {},
    }


def test_each_key_says_for_whom_and_until_when_it_signs() -> None:
    content = file_of(
        jitsi_features=["tenants"],
        jitsi_token_issuers=["vestibule", "https://id.example.org"],
        jitsi_token_keys=[
            {**APP, "not_before": "1970-01-02T00:00:00+01:00", "not_after": "2199-01-01T00:00Z"},
            {"kid": "b", "algorithm": "HS256", "secret_name": "token_key_1", "tenants": ["acme"]},
            {**IDP, "issuers": ["https://id.example.org"]},
        ],
        jitsi_token_revoked={"users": ["u"], "issued_before": "1970-01-01T00:00:10Z"},
    )
    everybody = ["vestibule", "https://id.example.org"]
    assert content["keys"] == [
        {**APP, "issuers": everybody, "not_before": 82800, "not_after": 7226582400},
        {
            "kid": "b",
            "algorithm": "HS256",
            "secret": OTHER,
            "issuers": everybody,
            "tenants": ["acme"],
        },
        {**IDP, "issuers": ["https://id.example.org"]},
    ]
    assert content["revoked"] == {"users": ["u"], "issued_before": 10}


def test_no_secret_is_in_the_model() -> None:
    model = compile_model({**DOMAIN, "jitsi_token_keys": [APP]}, (), "")
    assert SECRET not in repr(model)


def test_one_name_is_a_list_of_one_and_the_first_of_a_list_is_the_one() -> None:
    options = options_of(jitsi_token_issuer="a", jitsi_token_audiences=["b", "c"])
    assert options["token_issuers"] == ["a"]
    assert (options["token_audience"], options["token_audiences"]) == ("b", ["b", "c"])


@pytest.mark.parametrize(
    ("keys", "more", "kid", "issuer"),
    [
        ([APP], {}, "app", "vestibule"),
        ([IDP], {}, "", PROOF),
        ([{**APP, "not_after": "2020-01-01T00:00:00Z"}, IDP], {}, "", PROOF),
        ([{**APP, "tenants": ["acme"]}, IDP], {"jitsi_features": ["tenants"]}, "", PROOF),
        (
            [APP, SECOND],
            {"jitsi_token_mint_kid": "second"},
            "second",
            "vestibule",
        ),
        (
            [APP, SECOND],
            {"jitsi_token_revoked": {"kids": ["app"]}},
            "second",
            "vestibule",
        ),
        (
            [{**APP, "issuers": ["x"]}],
            {"jitsi_token_issuers": ["vestibule", "x"]},
            "app",
            "x",
        ),
    ],
)
def test_the_first_secret_that_counts_mints(
    keys: list[Any], more: dict[str, Any], kid: str, issuer: str
) -> None:
    options = options_of(jitsi_token_keys=keys, **more)
    assert (options["token_mint_kid"], options["token_mint_issuer"]) == (kid, issuer)


def test_prosody_is_told_of_the_file_and_of_the_issuer_of_a_proof() -> None:
    model = compile_model({**DOMAIN, "jitsi_token_keys": [IDP]}, (), "")
    settings = model["prosody"]["hosts"]["meet.example.org"]["settings"]
    assert settings["token_keys_others"] == [PROOF_FILE]
    assert settings["asap_accepted_issuers"] == ["vestibule", PROOF]
    key = key_of_proof(1000, 60)
    assert json.loads(text_of([key], {}))["keys"] == [key]
    assert (key["issuers"], key["not_after"]) == ([PROOF], 1060)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + public(RSA),
        public(RSA).replace("\n", "\r\n"),
        public(RSA).replace("\n", "\r"),
        f"\n  {public(RSA)}\n\n",
        public(RSA, serialization.PublicFormat.PKCS1),
    ],
    ids=["BOM", "CRLF", "CR", "spaces", "PKCS1"],
)
def test_every_form_of_a_public_key_is_taken_as_one(text: str) -> None:
    assert public_key("x", text) == public(RSA)


def test_a_file_on_the_controller_is_read(tmp_path: Path) -> None:
    path = tmp_path / "idp.pem"
    path.write_bytes(b"\xef\xbb\xbf" + public(RSA).replace("\n", "\r\n").encode())
    key = {"kid": "idp", "algorithm": "RS512", "public_key_file": str(path)}
    assert options_of(jitsi_token_keys=[key])["token_keys"][0]["public_key"] == public(RSA)
    absent, large = str(tmp_path / "absent.pem"), tmp_path / "large.pem"
    large.write_bytes(b"x" * 70000)
    assert absent in refusal(jitsi_token_keys=[{**key, "public_key_file": absent}])
    assert "64 KiB" in refusal(jitsi_token_keys=[{**key, "public_key_file": str(large)}])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (private(RSA), "is no name of a file"),
        (f"keys/{private(RSA).replace(chr(10), ' ')}", "is no name of a file"),
        ("x" * 5000, "is no name of a file"),
        ("a\0b", "is no name of a file"),
        ("", "is no name of a file"),
        ("x" * 300, "cannot be read"),
        ("~nobody-has-this-name/x", "cannot be read"),
        ("\ud800", "is no name of a file"),
    ],
)
def test_what_names_no_file_is_refused_and_no_key_shown(name: str, words: str) -> None:
    key = {"kid": "idp", "algorithm": "RS256", "public_key_file": name}
    said = refusal(jitsi_token_keys=[key])
    assert words in said
    assert "jitsi_token_keys[0].public_key_file" in said
    assert private(RSA).splitlines()[1] not in said
    assert len(said) < 600


SMALL, EC, ED = (
    rsa_key(1024),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (public(SMALL), "has 1024 bits"),
        (public(EC), "is no RSA key"),
        (public(ED), "is no RSA key"),
        (private(RSA), "is a private key"),
        (private(EC), "is a private key"),
        (public(RSA) + public(RSA), "more than one"),
        ("idp.pem", "no public key in PEM form"),
        (public(RSA)[:200], "no public key|cannot be read"),
        ("", "no public key in PEM form"),
        (public(RSA).replace("A", "*"), "cannot be read"),
    ],
)
def test_other_keys_are_refused_and_not_shown(text: str, words: str) -> None:
    said = refusal(jitsi_token_keys=[{**IDP, "public_key": text}])
    assert any(each in said for each in words.split("|")), said
    assert "jitsi_token_keys[0].public_key" in said
    assert not [line for line in text.splitlines() if line[:1].isalnum() and line in said]


def same(**changes: Any) -> dict[str, Any]:
    return {name: each for name, each in {**APP, **changes}.items() if each is not None}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("app", "must be a list of keys"),
        ([], None),
        (["app"], "must be a mapping"),
        ([same(kid=None)], "kid must be the kid"),
        ([same(kid=2026)], "in quotes if it is a number"),
        ([same(kid="")], "kid must be the kid"),
        ([same(kid="a" * 257)], "at most 256"),
        ([same(kid="a b")], "kid must be the kid"),
        ([same(kid="a\0b")], "kid must be the kid"),
        ([same(kid=f"{PROOF}-1")], "Choose another"),
        ([APP, same(secret=OTHER)], "the kid app twice"),
        ([APP, same(kid="b")], "one key as app and as b"),
        ([same(algorithm="HS512")], "none that Vestibule takes"),
        ([same(algorithm="none")], "none that Vestibule takes"),
        ([same(algorithm=None)], "none that Vestibule takes"),
        ([same(algorithm=["HS256"])], "none that Vestibule takes"),
        ([same(algorithm="ES256")], "cannot verify"),
        ([same(algorithm="EdDSA")], "cannot verify"),
        ([same(algorithm="RS256")], "is a key of RS256 and has secret"),
        ([same(secret=None)], "must have one of secret and secret_name"),
        ([same(secret_name="token_key_1")], "must have one of secret and secret_name"),
        ([same(public_key="x")], "is a key of HS256 and has public_key"),
        ([same(secret="")], "is set and empty"),
        ([same(secret="short")], "shorter than 32"),
        ([same(secret="a" * 40)], "can be guessed"),
        ([same(secret=12345)], "not a text"),
        ([same(secret=SECRET + "\n")], "line break"),
        ([same(secret=public(RSA))], "line break"),
        ([same(secret=None, secret_name="focus_password")], "must begin with token_"),
        ([same(secret=None, secret_name="Token_1")], "must begin with token_"),
        ([same(secret=None, secret_name="token_key_1_former")], "rotate.yml makes"),
        ([same(issuers="vestibule")], "must be a list of texts"),
        ([same(issuers=["vestibule", "vestibule"])], "vestibule twice"),
        ([same(issuers=["other"])], "Add it to jitsi_token_issuers"),
        ([same(tenants=["acme"])], "needs the feature tenants"),
        ([same(not_after="2026-12-31")], "no time with a zone"),
        ([same(not_after="2026-12-31T00:00:00")], "no time with a zone"),
        ([same(not_after="2026-13-31T00:00:00Z")], "no time with a zone"),
        ([same(not_after=1800000000)], "no time with a zone"),
        (
            [same(not_before="2199-01-01T00:00:00Z", not_after="2198-12-31T23:00:00-01:00")],
            "not_after is not after not_before",
        ),
        ([same(not_after="2020-01-01T00:00:00Z")], "no key that counts now"),
        ([same(not_before="2199-01-01T00:00:00Z")], "no key that counts now"),
        ([same(nbf=1)], "a member that keys do not have"),
        ([same(kid=f"k{number}", secret=OTHER) for number in range(65)], "more than 64"),
    ],
)
def test_what_is_no_set_of_keys_is_refused(keys: Any, words: str | None) -> None:
    if words is None:
        assert options_of(jitsi_token_keys=keys)["token_keys"] == []
        return
    said = refusal(jitsi_token_keys=keys)
    assert words in said
    assert "jitsi_token_keys" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"jitsi_tenants": ["globex"]}, "acme, which is not in jitsi_tenants"),
        ({"jitsi_token_mint_kid": "nobody"}, "can mint"),
        ({"jitsi_token_mint_kid": "acme"}, "can mint"),
        ({"jitsi_token_mint_kid": 5}, "in quotes"),
        ({"jitsi_token_mint_kid": "app", "jitsi_token_revoked": {"kids": ["app"]}}, "mints"),
        ({"jitsi_token_issuers": ["*"]}, "jitsi_token_issuer"),
        ({"jitsi_token_issuers": "a"}, "must be a list"),
        ({"jitsi_token_issuers": ["a", "a"]}, "a twice"),
        (
            {"jitsi_token_issuer": "a", "jitsi_token_issuers": ["b"]},
            "not in jitsi_token_issuers",
        ),
        ({"jitsi_token_audience": "a", "jitsi_token_audiences": ["b"]}, "jitsi_token_audiences"),
        ({"jitsi_token_revoked": ["u"]}, "must map kids"),
        ({"jitsi_token_revoked": {"user": ["u"]}}, "must map kids"),
        ({"jitsi_token_revoked": {"users": "u"}}, "must be a list of texts"),
        ({"jitsi_token_revoked": {"users": [5]}}, "must be a list of texts"),
        ({"jitsi_token_revoked": {"issued_before": "2199-01-01T00:00:00Z"}}, "still to come"),
        ({"jitsi_token_revoked": {"issued_before": "yesterday"}}, "no time with a zone"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], words: str) -> None:
    acme = {"kid": "acme", "algorithm": "HS256", "secret": OTHER, "tenants": ["acme"]}
    whole = {"jitsi_features": ["tenants"], "jitsi_token_keys": [APP, acme], **given}
    assert words in refusal(**whole)

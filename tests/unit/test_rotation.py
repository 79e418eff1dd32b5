"""Rotations: which stage comes next, what the secrets remember, and what is cut off goes on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from vestibule.model.compiler import compile_model
from vestibule.rotation import RotationError, run
from vestibule.rotation.request import Request, request_of
from vestibule.rotation.stages import Deployment, finish, stage_of, status_of, tidy
from vestibule.rotation.state import CREDENTIALS_LIVE, State, rotations_of
from vestibule.tokens.key_file import key_file
from vestibule.tokens.verdict import keys_of

from .test_token_keys import RSA, public, rsa_key

ROOT = Path(__file__).parents[2]
SECRET = "4Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5SgQe"
NOW = 1_800_000_000
LIFE = 86400
DOMAIN = {"jitsi_domain": "meet.example.org"}
APP = {"kid": "app", "algorithm": "HS256", "secret_name": "token_key_1"}
IDP = {"kid": "idp-1", "algorithm": "RS256", "public_key": public(RSA)}
NEXT_IDP = {"kid": "idp-2", "algorithm": "RS256", "public_key": public(rsa_key(2048))}
NO_VAULT = SimpleNamespace(secrets=None, is_encrypted=lambda _: False)


def deployment(**given: Any) -> Deployment:
    model = compile_model({**DOMAIN, **given}, (), "")
    return Deployment(
        model["options"], model["accounts"], True, bool(given.get("jitsi_token_secret")), LIFE, "s"
    )


ONE = deployment()
MANY = deployment(jitsi_token_keys=[APP, IDP, NEXT_IDP])


def store(**more: str) -> dict[str, str]:
    names = ("token_secret", "token_key_1", "focus_password", "bridge_password", "turn_secret")
    return {**{name: f"{name}-{SECRET}" for name in names}, **more}


def play(
    known: dict[str, str],
    of: Deployment = ONE,
    *,
    at: int = NOW,
    cut_off: bool = False,
    **asked: Any,
) -> str:
    """A run, which may be cut off before it notes that it is done; what it said."""
    stage = stage_of(Request(**asked), known, of, at)
    if stage.change:
        state = State.of(known)
        stage.change(known, state)
        tidy(state, of.options)
        state.put(known)
    if not cut_off:
        state = State.of(known)
        finish(known, state, stage.names)
        state.put(known, state.count)
    return " ".join((*stage.before, *stage.after))


def verifying(known: dict[str, str], of: Deployment = ONE, at: int = NOW) -> list[str]:
    """Secrets by which a server with that store verifies at a time, what mints first."""
    secrets = {"app": known["token_key_1"]}
    text = key_file(of.options, secrets, known["token_secret"], rotations_of(known, at))
    keys = json.loads(text)["keys"]
    return [key.get("secret", key.get("kid")) for key in keys if at < key.get("not_after", at + 1)]


def test_the_one_secret_goes_through_three_stages() -> None:
    known = store()
    old = known["token_secret"]
    assert "Stage 1 of 3" in play(known)
    new = known["token_secret_next"]
    assert verifying(known) == [old, new]
    assert known["token_secret"] == old
    assert "app_secret" not in known

    assert "Stage 2 of 3" in play(known)
    assert known["token_secret"] == new
    assert verifying(known) == [new, old]
    assert verifying(known, at=NOW + LIFE - 1) == [new, old]
    assert verifying(known, at=NOW + LIFE) == [new]
    assert rotations_of(known, NOW).app_secret == old

    waiting = dict(known)
    assert "ends in 1 second" in play(known, at=NOW + LIFE - 1)
    assert known == waiting

    assert "Stage 3 of 3" in play(known, at=NOW + LIFE)
    assert verifying(known) == [new]
    assert old not in [value for name, value in known.items() if name != "app_secret"]
    assert status_of(known, NOW) == ["No rotation has begun."]

    play(known)
    play(known)
    assert known["app_secret"] == old  # as Prosody would start anew with another one


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_is_cut_off_goes_on_where_it_was(stage: int) -> None:
    whole, known = store(), store()
    for number in (1, 2, 3):
        at = NOW + LIFE * number
        if number == stage:
            play(known, at=at, cut_off=True)
            left = copy.copy(known)
            play(known, at=at)
            assert verifying(left, at=at) == verifying(known, at=at)  # the same, once more
        else:
            play(known, at=at)
        play(whole, at=at)
        assert known.keys() == whole.keys()
        assert status_of(known, at) == status_of(whole, at)


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_after_a_leak_nothing_old_is_left(runs: int) -> None:
    known = store()
    old = known["token_secret"]
    for _ in range(runs):
        play(known)
    told = play(known, at_once=True, cut_off=True)
    assert "Refused from now on" in told
    assert verifying(known) == [known["token_secret"]]
    assert known["token_secret"] != old
    kept = known["token_secret"]
    assert "complete" in play(known)  # and no other rotation begins
    assert known["token_secret"] == kept
    assert not any(name.endswith(("_next", "_former")) for name in known)


def test_a_key_by_its_kid_keeps_it() -> None:
    known = store()
    old = known["token_key_1"]
    play(known, MANY)
    play(known, MANY)
    text = key_file(MANY.options, {"app": known["token_key_1"]}, "", rotations_of(known, NOW))
    keys = json.loads(text)["keys"]
    assert [key["kid"] for key in keys] == ["app", "app", "idp-1", "idp-2"]
    assert [key.get("secret") for key in keys[:2]] == [known["token_key_1"], old]
    assert [key.get("not_after") for key in keys[:2]] == [None, NOW + LIFE]
    told = keys_of(MANY.options, {"app": known["token_key_1"]}, rotations_of(known, NOW))
    assert [(key.kid, key.valid_until) for key in told] == [
        ("app", None),
        ("app", NOW + LIFE),
        ("idp-1", None),
        ("idp-2", None),
    ]


def test_an_end_that_the_operator_set_stays() -> None:
    of = deployment(jitsi_token_keys=[{**APP, "not_after": "2027-01-15T10:00:00Z"}])
    known = store()
    play(known, of)
    play(known, of)
    keys = json.loads(
        key_file(of.options, {"app": known["token_key_1"]}, "", rotations_of(known, NOW))
    )["keys"]
    ends = of.options["token_keys"][0]["not_after"]
    assert [key["not_after"] for key in keys] == [ends, min(ends, NOW + LIFE)]


def test_a_public_key_is_followed_by_another() -> None:
    known = store()
    assert "private key of idp-2" in play(known, MANY, kid="idp-1", successor="idp-2")
    assert verifying(known, MANY)[1:] == ["idp-1", "idp-2"]
    assert "Stage 2 of 3" in play(known, MANY)  # the one that has begun
    assert verifying(known, MANY)[1:] == ["idp-1", "idp-2"]
    assert verifying(known, MANY, NOW + LIFE)[1:] == ["idp-2"]
    assert "Stage 3 of 3" in play(known, MANY, at=NOW + LIFE)
    assert "Remove it" in play(known, MANY, at=NOW + LIFE, kid="idp-1")
    play(known, deployment(jitsi_token_keys=[APP, NEXT_IDP]), at=NOW + LIFE)
    assert State.of(known).public == {}
    leaked = store()
    play(leaked, MANY, kid="idp-1", successor="idp-2", at_once=True)
    assert verifying(leaked, MANY)[1:] == ["idp-2"]


@pytest.mark.parametrize(
    ("of", "asked", "sentence"),
    [
        pytest.param(ONE, {"kid": "app"}, "there are none", id="no keys"),
        pytest.param(MANY, {"kid": "nobody"}, "There are app, idp-1", id="another kid"),
        pytest.param(MANY, {"successor": "idp-2"}, "successor is for public", id="of a secret"),
        pytest.param(MANY, {"kid": "idp-1"}, "-e successor=", id="no successor"),
        pytest.param(
            MANY, {"kid": "idp-1", "successor": "app"}, "another public key", id="no public key"
        ),
        pytest.param(
            MANY, {"kid": "idp-1", "successor": "idp-1"}, "another public key", id="itself"
        ),
        pytest.param(
            deployment(jitsi_token_keys=[APP, IDP, {**NEXT_IDP, "issuers": ["vestibule"]}]),
            {"kid": "idp-1", "successor": "idp-2"},
            "",
            id="the same issuers by name",
        ),
        pytest.param(
            deployment(
                jitsi_token_issuers=["vestibule", "other"],
                jitsi_token_keys=[APP, IDP, {**NEXT_IDP, "issuers": ["other"]}],
            ),
            {"kid": "idp-1", "successor": "idp-2"},
            "may not sign for all issuers",
            id="fewer issuers",
        ),
        pytest.param(
            deployment(
                jitsi_features=["tenants"],
                jitsi_token_keys=[APP, IDP, {**NEXT_IDP, "tenants": ["acme"]}],
            ),
            {"kid": "idp-1", "successor": "idp-2"},
            "may not sign for all tenants",
            id="fewer tenants",
        ),
        pytest.param(
            deployment(
                jitsi_token_keys=[APP, IDP, {**NEXT_IDP, "not_before": "2199-01-01T00:00:00Z"}]
            ),
            {"kid": "idp-1", "successor": "idp-2"},
            "does not count now",
            id="too early",
        ),
        pytest.param(
            deployment(jitsi_token_keys=[IDP, NEXT_IDP]), {}, "Say -e kid=", id="which one"
        ),
        pytest.param(
            deployment(jitsi_token_secret=SECRET), {}, "Move its text", id="of the inventory"
        ),
        pytest.param(
            deployment(jitsi_token_keys=[{"kid": "x", "algorithm": "HS256", "secret": SECRET}]),
            {},
            "name that in secret_name",
            id="a secret in the inventory",
        ),
        pytest.param(
            deployment(jitsi_features_off=["bridge"]), {"what": ("bridges",)}, "no bridges", id="b"
        ),
    ],
)
def test_what_cannot_be_is_said(of: Deployment, asked: dict[str, Any], sentence: str) -> None:
    known = store()
    if not sentence:
        assert stage_of(Request(**asked), known, of, NOW).before
        return
    with pytest.raises(RotationError) as error:
        stage_of(Request(**asked), known, of, NOW)
    assert sentence in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"rotate": "everything"}, "Say -e rotate="),
        ({"rotate": "tokens,turn"}, "one after the other"),
        ({"rotate": "turn", "kid": "app"}, "about keys of tokens"),
        ({"kid": 5}, "no kid"),
        ({"successor": ""}, "no kid"),
        ({"at_once": "1"}, "neither true nor false"),
        ({"status": 1}, "neither true nor false"),
    ],
)
def test_other_requests_are_said(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RotationError, match=sentence):
        request_of(given, ())


def test_a_request() -> None:
    assert request_of({}, ["room", "inventory_dir"]) == Request()
    assert request_of({"rotate": "focus, turn", "at_once": "yes"}, ()) == Request(
        ("focus", "turn"), at_once=True
    )
    with pytest.raises(RotationError, match="-e at_once=true"):
        request_of({}, ["now"])
    with pytest.raises(RotationError, match="Did you mean successor"):
        request_of({}, ["sucessor"])


def test_passwords_change_at_once_and_turn_keeps_the_former() -> None:
    known = store()
    before = dict(known)
    asked: Any = {"what": ("focus", "turn")}
    assert "restarted" in play(known, cut_off=True, **asked)
    assert known["focus_password"] != before["focus_password"]
    between = rotations_of(known, NOW)
    assert set(between.changing) == {before["focus_password"], before["turn_secret"]}
    assert between.turn_former == before["turn_secret"]
    changed = known["focus_password"]
    play(known, **asked)
    assert known["focus_password"] == changed  # the one that was cut off
    assert "focus_password_former" not in known
    assert rotations_of(known, NOW).changing == []
    assert rotations_of(known, NOW).turn_former == before["turn_secret"]
    assert rotations_of(known, NOW + CREDENTIALS_LIVE).turn_former == ""
    with pytest.raises(RotationError, match="counts until"):
        play(known, **asked)
    play(known, at_once=True, **asked)
    assert "turn_secret_former" not in known
    assert known["bridge_password"] == before["bridge_password"]


def test_more_passwords_than_in_the_run_that_was_cut_off() -> None:
    known = store()
    play(known, what=("focus",), cut_off=True)
    changed, former = known["focus_password"], known["focus_password_former"]
    play(known, what=("focus", "bridges"), cut_off=True)
    assert (known["focus_password"], known["focus_password_former"]) == (changed, former)
    assert known["bridge_password_former"] != known["bridge_password"]


def test_a_leak_ends_what_a_run_kept_that_was_cut_off() -> None:
    known = store()
    play(known, what=("turn",), cut_off=True)
    changed = known["turn_secret"]
    play(known, what=("turn",), at_once=True, cut_off=True)
    assert known["turn_secret"] == changed
    assert rotations_of(known, NOW).turn_former == ""
    play(known, what=("turn",), at_once=True)
    assert "turn_secret_former" not in known


def test_credentials_live_as_long_as_the_feature_says() -> None:
    text = (ROOT / "features/turn.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["turn_servers"]["services"]
    lives = {each["ttl"] for each in services if "ttl" in each}
    assert lives == {CREDENTIALS_LIVE}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        '{"count": 1}',
        '{"count": "x"}',
        '{"count": 1, "secrets": {"token_secret": {"stage": "x"}}, "public": {}}',
    ],
)
def test_a_line_that_nobody_wrote_is_no_stage(said: str) -> None:
    with pytest.raises(RotationError, match="Restore the file"):
        State.of({"rotations": said})


@pytest.fixture(name="begin")
def _begin(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A run on a folder of secrets."""
    folder = tmp_path / ".secrets"
    folder.mkdir(mode=0o700)
    file = folder / "meet.yml"
    file.write_text(yaml.safe_dump(store()), encoding="utf-8")
    file.chmod(0o600)

    def begin(*, only_say: bool = False, step: str = "begin", **asked: Any) -> dict[str, Any]:
        arguments = {
            "step": step,
            "names": ["token_secret"],
            "asked": asked,
            "variables": [],
            "options": ONE.options,
            "accounts": {},
            "has_turn": True,
            "has_own_secret": False,
            "clock_tolerance": 30,
        }
        return run.step(arguments, "meet", str(tmp_path), NO_VAULT, only_say=only_say)

    return begin


def test_a_run_changes_the_secrets_and_tells_none(
    begin: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / ".secrets/meet.yml"
    before = file.read_text(encoding="utf-8")
    assert begin(only_say=True)["deploys"] is False
    assert begin(status="true")["before"] == ["No rotation has begun."]
    assert file.read_text(encoding="utf-8") == before
    told = begin()
    known = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert told["proof"] == "token_secret_next"
    assert not any(value in json.dumps(told) for value in known.values())
    assert "was not yet seen" in begin(status=True)["before"][0]
    begin(step="end")
    assert "stage 1 of 3" in begin(status=True)["before"][0]
    assert run.told("meet", str(tmp_path), NO_VAULT)["count"] == 1
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_secrets_there_is_nothing_to_rotate(
    begin: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / ".secrets/meet.yml").unlink()
    with pytest.raises(RotationError, match="Copy it from whoever"):
        begin()
    assert run.told("meet", str(tmp_path), NO_VAULT)["count"] == 0
    assert run.told("meet", None, NO_VAULT)["verifying"] == {}

"""Module ``look``: it names secrets of which a host has others, and shows none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import carried_secrets
from ansible.module_utils.vestibule.prosody_account import data_file

import look
from vestibule.rendering import to_lua
from vestibule.tokens.key_file import text_of

RunModule = Callable[..., dict[str, Any]]
KEY = "kanarienvogel-4Zx8k2Qv9LmT4rB7wYc1NfH6u"
PASSWORD = "canary-5Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S"
TURN = "canary-6Zx8k2Qv9LmT4rB7wYc1NfH6uKp3Jd5S"
JVB = "jvb@auth.m.example.org"
MARK = "Made by Vestibule, role x. Changes made here are overwritten.\n"


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host that another domain was deployed to."""
    monkeypatch.setattr(carried_secrets, "PROSODY", str(tmp_path / "*.secrets.cfg.lua"))
    monkeypatch.setattr(carried_secrets, "DATA", str(tmp_path / "data"))
    monkeypatch.setattr(carried_secrets, "TURN", str(tmp_path / "turnserver.conf"))
    monkeypatch.setattr(carried_secrets, "KEYS", str(tmp_path / "keys.json"))
    put_key(tmp_path, KEY)
    (tmp_path / "turnserver.conf").write_text(
        f"# {MARK}use-auth-secret\nstatic-auth-secret={TURN}\n"
    )
    content = {"jicofo": {"xmpp": {"client": {"password": PASSWORD}}}}
    (tmp_path / "jicofo.conf").write_text(f"# {MARK}{json.dumps(content)}\n")
    account = data_file(str(tmp_path / "data"), "auth.old.example.org", "accounts", "jvb")
    account.parent.mkdir(parents=True)
    account.write_text("return {};")
    return tmp_path


def put_key(host: Path, key: str, mark: str = MARK) -> None:
    text = f'-- {mark}\nVirtualHost "old.example.org"\n    app_secret = {to_lua(key)}\n'
    (host / "old.secrets.cfg.lua").write_text(text, encoding="utf-8")


def carried(run_module: RunModule, host: Path, **more: Any) -> list[str]:
    """Names of the secrets that differ."""
    result = run_module(
        look,
        wishes={},
        secrets={
            "app_secret": KEY,
            "app_secret_given": False,
            "jicofo_password": PASSWORD,
            "jicofo": str(host),
            "turn_secret": TURN,
            "turn_wanted": True,
            "accounts": {"bridge_password": {"jid": JVB, "password": "x"}},
            **more,
        },
    )
    assert not any(each in json.dumps(result) for each in (KEY, PASSWORD, TURN))
    names: list[str] = result["ansible_facts"]["vestibule_carried"]
    return names


def test_the_same_secrets_are_no_question(host: Path, run_module: RunModule) -> None:
    assert carried(run_module, host) == []


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        pytest.param({"app_secret": ""}, ["token_secret"], id="no key"),
        pytest.param({"app_secret": f"{KEY}x"}, ["token_secret"], id="another key"),
        pytest.param(
            {"app_secret": f"{KEY}x", "app_secret_given": True}, [], id="the operator's key"
        ),
        pytest.param({"jicofo_password": ""}, ["focus_password"], id="no password of Jicofo"),
        pytest.param({"jicofo_password": KEY}, ["focus_password"], id="another one"),
        pytest.param({"turn_secret": ""}, ["turn_secret"], id="no secret of TURN"),
        pytest.param({"turn_secret": KEY}, ["turn_secret"], id="another one of TURN"),
        pytest.param({"turn_secret": "", "turn_wanted": False}, [], id="TURN is going"),
        pytest.param(
            {"accounts": {"bridge_password": {"jid": JVB, "password": ""}}},
            ["bridge_password"],
            id="no password of bridges",
        ),
        pytest.param(
            {"accounts": {"recorder_password": {"jid": "recorder@recorder.x", "password": ""}}},
            [],
            id="a feature that is new",
        ),
    ],
)
def test_others_are_named(
    wanted: dict[str, Any], names: list[str], host: Path, run_module: RunModule
) -> None:
    assert carried(run_module, host, **wanted) == names


@pytest.mark.parametrize("key", [KEY, f"{KEY}\"'\\\n%s{{{{ x }}}}äß→"])
def test_keys_are_read_as_lua_reads_them(key: str, host: Path, run_module: RunModule) -> None:
    put_key(host, key)
    assert carried(run_module, host, app_secret=key) == []


def test_what_others_configured_is_no_store(host: Path, run_module: RunModule) -> None:
    put_key(host, "of another hand", mark="by hand")
    (host / "jicofo.conf").write_text('{"jicofo": {"xmpp": {"client": {"password": "x"}}}}')
    (host / "turnserver.conf").write_text("static-auth-secret=x\n")
    assert carried(run_module, host) == []
    # Jitsi's packages make accounts as well
    accounts = {"bridge_password": {"jid": JVB, "password": ""}}
    assert carried(run_module, host, accounts=accounts) == []


def test_a_fresh_host_has_none(tmp_path: Path, host: Path, run_module: RunModule) -> None:
    (host / "old.secrets.cfg.lua").unlink()
    (host / "turnserver.conf").unlink()
    (host / "jicofo.conf").unlink()
    empty = {"app_secret": "", "jicofo_password": ""}
    assert carried(run_module, host, **empty) == []


def test_a_copy_from_before_a_rotation_is_known(host: Path, run_module: RunModule) -> None:
    keys = host / "keys.json"
    keys.write_text(text_of([], {}, 3), encoding="utf-8")
    assert carried(run_module, host, rotated=3) == []
    assert carried(run_module, host, rotated=4) == []
    assert carried(run_module, host, rotated=2) == ["rotations"]
    assert carried(run_module, host) == ["rotations"]
    for strange in (text_of([], {}), "", "[]", '{"rotated": 3}', '{"made_by": "Vestibule", "rotat'):
        keys.write_text(strange, encoding="utf-8")
        assert carried(run_module, host) == []


def test_a_password_that_is_being_replaced_is_no_question(
    host: Path, run_module: RunModule
) -> None:
    other = {"jicofo_password": f"{KEY}-new", "turn_secret": f"{KEY}-new"}
    assert carried(run_module, host, **other) == ["focus_password", "turn_secret"]
    assert carried(run_module, host, **other, changing=[PASSWORD]) == ["turn_secret"]
    assert carried(run_module, host, **other, changing=[PASSWORD, TURN]) == []

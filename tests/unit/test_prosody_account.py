"""Module ``prosody_account``: what is stored is judged right, and passwords stay out of sight."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.vestibule import leftovers, prosody_account
from ansible.module_utils.vestibule.prosody_account import (
    AccountError,
    Storage,
    data_file,
    parse_lua_data,
    password_is_current,
    read_accounts,
    read_subscriptions,
    scram_keys,
    sees_user,
)
from hypothesis import given
from hypothesis import strategies as st
from lupa import lua54

RunModule = Callable[..., dict[str, Any]]

# Written by Prosody 0.12.3 and 13.0.1 for this password
PASSWORD = "it's a 'long' \\ password"
ACCOUNTS = {
    "0.12.3": """\
return {
	["salt"] = "57a2c691-7367-4bfb-822c-86b320f4aecd";
	["stored_key"] = "65b6cf1f7b7f0f73ff46e49f9d48f94b97b6e45e";
	["iteration_count"] = 10000;
	["server_key"] = "23031a39b1220caebd0c8f071e9a0fec9bf2ffd9";
};
""",
    "13.0.1": """\
return {
	["created"] = 1795246225;
	["salt"] = "a76b4525-4592-4c07-a406-aecbb4ddb8c8";
	["stored_key"] = "d5c4f03ad2915b261018ed0fe7f1128822a6e5de";
	["server_key"] = "c033d36e19705f47922bac1feb2f628e78d54ab0";
	["iteration_count"] = 10000;
	["updated"] = 1795246423;
};
""",
}
ROSTER = """\
return {
	[false] = {
		["version"] = 3;
		["pending"] = {};
	};
	["focus.m.example.org"] = {
		["groups"] = {};
		["subscription"] = "from";
	};
};
"""
FOCUS = "focus@auth.m.example.org"
CONTACT = {"user": FOCUS, "contact": "focus.m.example.org"}


# What Prosody stores


@pytest.mark.parametrize("version", ACCOUNTS)
def test_the_password_that_prosody_stored_is_current(version: str) -> None:
    stored = parse_lua_data(ACCOUNTS[version])
    assert password_is_current(stored, PASSWORD)
    assert not password_is_current(stored, PASSWORD + " ")


@pytest.mark.parametrize(
    ("algorithm", "salt", "nonces", "proof", "signature"),
    [
        pytest.param(
            "sha1",
            "QSXCR+Q6sek8bf92",
            ("fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"),
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            id="RFC 5802 section 5",
        ),
        pytest.param(
            "sha256",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            ("rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            id="RFC 7677 section 3",
        ),
    ],
)
def test_scram_keys_are_those_of_the_rfc(
    algorithm: str, salt: str, nonces: tuple[str, str], proof: str, signature: str
) -> None:
    raw_salt = base64.b64decode(salt).decode("latin-1")
    stored_key, server_key = map(bytes.fromhex, scram_keys("pencil", raw_salt, 4096, algorithm))

    client, both = nonces[0], "".join(nonces)
    message = f"n=user,r={client},r={both},s={salt},i=4096,c=biws,r={both}".encode()
    assert hmac.digest(server_key, message, algorithm) == base64.b64decode(signature)
    mask = hmac.digest(stored_key, message, algorithm)
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mask, strict=True))
    assert hashlib.new(algorithm, client_key).digest() == stored_key


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param({"disabled": True}, id="disabled account"),
        pytest.param({"salt": None}, id="no salt"),
        pytest.param({"iteration_count": "10000"}, id="iterations as text"),
        pytest.param({"stored_key": "ab"}, id="key of no known hash"),
        pytest.param({"server_key": "0" * 40}, id="server key of another password"),
    ],
)
def test_an_account_that_cannot_log_in_is_not_current(difference: dict[str, Any]) -> None:
    stored = parse_lua_data(ACCOUNTS["13.0.1"])
    assert password_is_current(stored, PASSWORD)
    assert not password_is_current({**stored, **difference}, PASSWORD)


@pytest.mark.parametrize(
    ("subscription", "seen"),
    [("from", True), ("both", True), ("to", False), ("none", False), (None, False)],
)
def test_a_contact_sees_the_user_by_subscription(subscription: str | None, seen: bool) -> None:
    assert sees_user({"c.example.org": {"subscription": subscription}}, "c.example.org") is seen


def test_a_request_that_waits_for_an_answer_is_no_subscription() -> None:
    assert not sees_user({False: {"pending": {"c.example.org": True}}}, "c.example.org")


def test_data_files_are_where_prosody_puts_them() -> None:
    assert data_file("/var/lib/prosody", "auth.meet-x.example.org", "accounts", "jvb_1") == Path(
        "/var/lib/prosody/auth%2emeet%2dx%2eexample%2eorg/accounts/jvb%5f1.dat"
    )


# Prosody's data language


def to_prosody(value: Any) -> str:
    """Write ``value`` as util/serialization.lua of Prosody does."""
    if isinstance(value, dict):
        return (
            "{"
            + "".join(f"\n\t[{to_prosody(k)}] = {to_prosody(v)};" for k, v in value.items())
            + "}"
        )
    if isinstance(value, str):
        return (
            '"'
            + "".join(
                f"\\{char}"
                if char in "\"'\\"
                else char
                if " " <= char <= "~"
                else f"\\{ord(char):03d}"
                for char in value
            )
            + '"'
        )
    return (
        {True: "true", False: "false", None: "nil"}[value]
        if isinstance(value, bool | None)
        else format(value, ".18g")
    )


KEYS = st.text(st.characters(max_codepoint=255)) | st.booleans()
SCALARS = KEYS | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.dictionaries(
    KEYS, st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner)), max_size=5
)


def from_lua(value: Any) -> Any:
    """A table of a real Lua as dictionary, its strings as Latin-1."""
    if lua54.lua_type(value) == "table":
        return {from_lua(key): from_lua(each) for key, each in value.items()}
    return value.decode("latin-1") if isinstance(value, bytes) else value


@given(TABLES)
def test_data_is_read_as_lua_reads_it(table: dict[Any, Any]) -> None:
    text = f"return {to_prosody(table)};\n"
    real = lua54.LuaRuntime(encoding=None).execute(text.encode("latin-1"))
    assert parse_lua_data(text) == from_lua(real) == table


def test_lists_count_from_one() -> None:
    assert parse_lua_data('return {\n\t"a";\n\t"b";\n};\n') == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "return 1",
        'return { ["stored_key"] = "SECRET" .. "x"; };',
        "return os.exit();",
        'return { ["a"] = os.execute("SECRET"); };',
        'os.execute("SECRET") return {};',
        "return {}; return {};",
        'return { ["stored_key"] = "SECRET',
        'return { ["stored_key"] = "SECRET"',
        'return { ["SECRET"] "x"; };',
        "return { [{}] = 1; };",
        "return { [nil] = 1; };",
        "return { [[SECRET]] };",
        "return { -- SECRET\n};",
        'return { ["a"] = "\\xSECRET"; };',
        "return function() end;",
    ],
)
def test_anything_but_data_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="unexpected text") as error:
        parse_lua_data(text)
    assert "SECRET" not in str(error.value)


# Parameters


@pytest.mark.parametrize(
    "jid",
    [
        "focus",
        "auth.example.org",
        "Focus@auth.example.org",
        "a@b@c",
        "a@b/c",
        "a b@c",
        "",
        "a\tb@c",
    ],
)
def test_an_address_that_is_none_is_refused(jid: str) -> None:
    with pytest.raises(AccountError, match="is no address of an account"):
        read_accounts({jid: "secret"})
    with pytest.raises(AccountError, match="is no address of an account"):
        read_subscriptions([{"user": jid, "contact": "focus.example.org"}])


@pytest.mark.parametrize("contact", ["Focus.example.org", "a@b/c", "", "a b"])
def test_a_contact_that_is_none_is_refused(contact: str) -> None:
    with pytest.raises(AccountError, match="is no address of a contact"):
        read_subscriptions([{"user": FOCUS, "contact": contact}])


@pytest.mark.parametrize("password", ["", "SECRET\n", "SECRET\t1", "SECRÉT", "SECRET\x7f", 4711])
def test_a_password_that_prosody_might_change_is_refused_without_showing_it(password: Any) -> None:
    with pytest.raises(AccountError, match=r"^The password of focus@\S+ is not a text") as error:
        read_accounts({FOCUS: password})
    assert "SECR" not in str(error.value)
    assert "4711" not in str(error.value)


# The module, with a stand-in for Lua


@pytest.fixture(name="logged", autouse=True)
def _logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module writes into the log of the target."""
    lines: list[str] = []
    monkeypatch.setattr(
        basic.AnsibleModule,
        "log",
        lambda self, msg, log_args=None: lines.append(f"{msg} {log_args}"),
    )
    return lines


@pytest.fixture(name="data_path")
def _data_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage that has the account of focus with PASSWORD, and its roster."""
    for store, text in (("accounts", ACCOUNTS["13.0.1"]), ("roster", ROSTER)):
        path = data_file(str(tmp_path / "data"), "auth.m.example.org", store, "focus")
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(prosody_account, "DATA", str(tmp_path / "data"))
    monkeypatch.setattr(leftovers, "BACKUP", str(tmp_path / "backup"))
    return tmp_path / "data"


@pytest.fixture(name="lua")
def _lua(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter that writes down how it was called and runs ``then.py`` with the steps."""
    interpreter = tmp_path / "lua"
    interpreter.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "data = sys.stdin.read()\n"
        "call = {'argv': sys.argv, 'environ': dict(os.environ), 'stdin': data}\n"
        "(here / 'call.json').write_text(json.dumps(call))\n"
        "steps = [line.split('\\t') for line in data.splitlines()[1:]]\n"
        "exec((here / 'then.py').read_text())\n"
    )
    interpreter.chmod(0o755)
    (tmp_path / "then.py").write_text("")
    prosodyctl = tmp_path / "prosodyctl"
    prosodyctl.write_text(f"#!{interpreter}\n")
    monkeypatch.setattr(
        basic.AnsibleModule,
        "get_bin_path",
        lambda self, name: str(prosodyctl) if prosodyctl.exists() else None,
    )
    return tmp_path


def calls(lua: Path) -> dict[str, Any] | None:
    path = lua / "call.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_nothing_is_started_when_nothing_differs(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    result = run_module(prosody_account, accounts={FOCUS: PASSWORD}, roster=[CONTACT])
    assert result["changed"] is False
    assert result["accounts"] == [{"jid": FOCUS, "state": "unchanged"}]
    assert result["roster"] == [{**CONTACT, "state": "unchanged"}]
    assert (result["restart_needed"], result["diff"]) == (False, {"before": "", "after": ""})
    assert calls(lua) is None


def test_only_what_differs_is_set_and_passwords_go_by_standard_input(
    data_path: Path, lua: Path, run_module: RunModule, logged: list[str]
) -> None:
    canary = 'canary\'s "own" \\ word'
    keys = scram_keys(canary, "salt", 4096, "sha1")
    stored = to_prosody(
        {"salt": "salt", "iteration_count": 4096, "stored_key": keys[0], "server_key": keys[1]}
    )
    target = data_file(str(data_path), "auth.m.example.org", "accounts", "jvb")
    roster = data_file(str(data_path), "auth.m.example.org", "roster", "jvb")
    (lua / "then.py").write_text(
        f"pathlib.Path({str(target)!r}).write_text({f'return {stored};'!r})\n"
        f"pathlib.Path({str(roster)!r}).write_text({ROSTER!r})\n"
    )
    jvb = "jvb@auth.m.example.org"
    subscription = {"user": jvb, "contact": "focus.m.example.org"}

    result = run_module(
        prosody_account,
        accounts={FOCUS: PASSWORD, jvb: canary},
        roster=[CONTACT, subscription],
        _ansible_verbosity=3,
    )

    assert result["changed"] is True
    assert [each["state"] for each in result["accounts"]] == ["unchanged", "created"]
    assert [each["state"] for each in result["roster"]] == ["unchanged", "subscribed"]
    assert result["restart_needed"] is True
    assert result["diff"] == {
        "before": f"{jvb}: no account\n{jvb}: hidden from focus.m.example.org\n",
        "after": f"{jvb}: account, password set\n{jvb}: seen by focus.m.example.org\n",
    }
    call = calls(lua)
    assert call is not None
    assert call["stdin"].splitlines() == [
        str(lua / "prosodyctl"),
        f"account\tjvb\tauth.m.example.org\t{canary}",
        "subscribe\tjvb\tauth.m.example.org\tfocus.m.example.org",
    ]
    for place in (call["argv"], call["environ"], result, logged):
        assert "canary" not in str(place)
        assert "it's a" not in str(place)
    assert any("Invoked with" in line for line in logged)


def test_an_account_that_must_not_exist_is_removed(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    target = data_file(str(data_path), "auth.m.example.org", "accounts", "focus")
    (lua / "then.py").write_text(f"pathlib.Path({str(target)!r}).unlink()")
    absent = [FOCUS, "nobody@auth.m.example.org"]
    result = run_module(prosody_account, absent=absent)
    assert result["accounts"] == [{"jid": FOCUS, "state": "removed"}]
    assert result["diff"] == {"before": f"{FOCUS}: account\n", "after": f"{FOCUS}: no account\n"}
    call = calls(lua)
    assert call is not None
    assert call["stdin"].splitlines()[1:] == ["remove\tfocus\tauth.m.example.org\t-"]
    again = run_module(prosody_account, absent=absent)
    assert again["changed"] is False


def test_accounts_of_a_former_domain_go_without_its_host(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    """Prosody no longer has the host, so it is not asked; others on that host stay."""
    theirs = data_file(str(data_path), "auth.m.example.org", "accounts", "ada")
    theirs.write_text(ACCOUNTS["13.0.1"])
    wish = {
        "accounts": {"jvb@auth.m.example.org": PASSWORD},
        "leftovers": ["focus@auth.*", "jvb@auth.*"],
        "hosts": ["auth.new.example.org"],
    }
    data_file(str(data_path), "auth.m.example.org", "accounts", "jvb").write_text(
        ACCOUNTS["13.0.1"]
    )
    foreseen = run_module(prosody_account, **wish, _ansible_check_mode=True)
    result = run_module(prosody_account, **wish)
    assert {"jid": FOCUS, "state": "removed"} in result["accounts"] == foreseen["accounts"]
    assert calls(lua) is None
    stores = data_path / "auth%2em%2eexample%2eorg"
    left = {str(path.relative_to(stores)) for path in stores.rglob("*.dat")}
    assert left == {"accounts/ada.dat", "accounts/jvb.dat"}
    copies = {path.name for path in (data_path.parent / "backup").rglob("*.dat")}
    assert copies == {"focus.dat"}
    assert FOCUS in str(result["warnings"])
    assert run_module(prosody_account, **wish)["changed"] is False


def test_of_accounts_of_one_kind_those_go_that_nobody_wishes_for(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    for user in ("jvb-east", "jvb-west", "jvb"):
        path = data_file(str(data_path), "auth.m.example.org", "accounts", user)
        path.write_text(ACCOUNTS["13.0.1"])
    wish = {
        "accounts": {"jvb-east@auth.m.example.org": PASSWORD},
        "leftovers": ["jvb-*@auth.*"],
        "hosts": ["auth.new.example.org"],
    }
    result = run_module(prosody_account, **wish)
    removed = [each["jid"] for each in result["accounts"] if each["state"] == "removed"]
    assert removed == ["jvb-west@auth.m.example.org"]
    assert calls(lua) is None


def test_an_account_cannot_be_wanted_and_unwanted(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    result = run_module(prosody_account, accounts={FOCUS: PASSWORD}, absent=[FOCUS])
    assert "in accounts and in absent" in result["msg"]
    assert calls(lua) is None


def test_all_steps_of_a_host_stand_together(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    """Prosody loses the users of a host once it has read another one."""
    run_module(
        prosody_account,
        accounts={"new@auth.m.example.org": "a", "new@recorder.m.example.org": "b"},
        roster=[{"user": "new@auth.m.example.org", "contact": "focus.m.example.org"}],
    )
    call = calls(lua)
    assert call is not None
    assert [line.split("\t")[2] for line in call["stdin"].splitlines()[1:]] == [
        "auth.m.example.org",
        "auth.m.example.org",
        "recorder.m.example.org",
    ]


def test_check_mode_tells_and_changes_nothing(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    (lua / "prosodyctl").unlink()  # a fresh host has no Prosody yet
    result = run_module(
        prosody_account,
        accounts={FOCUS: "another one"},
        roster=[{**CONTACT, "contact": "x.example.org"}],
        _ansible_check_mode=True,
    )
    assert (result["changed"], result["restart_needed"]) == (True, True)
    assert result["accounts"] == [{"jid": FOCUS, "state": "password_changed"}]
    assert result["diff"]["after"] == (
        f"{FOCUS}: account, password changed\n{FOCUS}: seen by x.example.org\n"
    )
    assert calls(lua) is None
    assert Storage(str(data_path)).load("focus", "auth.m.example.org", "roster") is not None


def test_a_new_password_needs_no_restart(data_path: Path, lua: Path, run_module: RunModule) -> None:
    result = run_module(
        prosody_account,
        accounts={FOCUS: "another one"},
        roster=[CONTACT],
        _ansible_check_mode=True,
    )
    assert (result["changed"], result["restart_needed"]) == (True, False)


def test_without_prosody_it_says_so(data_path: Path, lua: Path, run_module: RunModule) -> None:
    (lua / "prosodyctl").unlink()
    result = run_module(prosody_account, accounts={FOCUS: "other"})
    assert result["failed"]
    assert "Prosody is not installed" in result["msg"]


def test_a_refusal_of_prosody_is_passed_on(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    (lua / "then.py").write_text("sys.exit('The host x is not in the configuration.')")
    result = run_module(prosody_account, accounts={FOCUS: "other"})
    assert result["failed"]
    assert result["msg"].endswith("The host x is not in the configuration.")


def test_a_change_that_is_not_stored_here_is_a_failure(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    result = run_module(prosody_account, accounts={FOCUS: "other"})
    assert result["failed"]
    assert f"the data of {FOCUS}, but it is not in {data_path}" in result["msg"]
    assert 'storage = "internal"' in result["msg"]


def test_a_roster_of_nobody_is_refused_before_anything_changes(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    result = run_module(
        prosody_account,
        accounts={FOCUS: "other"},
        roster=[{"user": "nobody@auth.m.example.org", "contact": "focus.m.example.org"}],
    )
    assert result["failed"]
    assert "nobody@auth.m.example.org is in roster but has no account" in result["msg"]
    assert calls(lua) is None


def test_a_broken_data_file_is_named_and_not_shown(
    data_path: Path, lua: Path, run_module: RunModule
) -> None:
    path = data_file(str(data_path), "auth.m.example.org", "accounts", "focus")
    path.write_text(ACCOUNTS["13.0.1"][:-60], encoding="utf-8")
    result = run_module(prosody_account, accounts={FOCUS: PASSWORD})
    assert result["failed"]
    assert f"{path} is not what Prosody writes" in result["msg"]
    assert "c033d36e" not in json.dumps(result)


# The Lua program, in a real Lua, with stand-ins for Prosody's libraries

STAND_INS = """
local calls = {};
local function note(...) calls[#calls + 1] = table.concat({...}, " "); end
prosody = { hosts = { ["a.example.org"] = {}, ["b.example.org"] = {} } };
local known = { ["old@a.example.org"] = true };
package.preload["util.startup"] = function ()
    return { prosodyctl = function () note("start", tostring(CFG_SOURCEDIR), arg[0]); end };
end
package.preload["prosody.util.startup"] = package.preload["util.startup"];
package.preload["core.storagemanager"] = function ()
    return { initialize_host = function (host) note("storage", host); end };
end
package.preload["core.usermanager"] = function ()
    return {
        initialize_host = function (host) note("users", host); end;
        user_exists = function (user, host) return known[user .. "@" .. host]; end;
        create_user = function (user, password, host)
            note("create", user, host, password); return true;
        end;
        set_password = function (user, password, host)
            note("set", user, host, password);
            if password == "bad" then return nil, "too bad"; end
            return true;
        end;
        enable_user = function (user, host) note("enable", user, host); return true; end;
    };
end
package.preload["core.rostermanager"] = function ()
    return {
        set_contact_pending_in = function (user, host, contact)
            note("asked", user, host, contact);
        end;
        subscribed = function (user, host, contact)
            note("agreed", user, host, contact); return true;
        end;
    };
end
local function read() return table.remove(input, 1); end
io = {
    read = read;
    lines = function () return read; end;
    open = function (path)
        note("open", path);
        return { read = function () return prosodyctl; end; close = function () end };
    end;
    stderr = { write = function (_, text) note("said", text); end };
};
os = {
    exit = function (code) note("exit", code); error("exit"); end;
    getenv = function () end;
};
return calls;
"""


# As in packages that have Prosody's libraries in one folder, and in the search path of Lua
STARTS = {
    "one folder": """#!/usr/bin/env lua5.4
CFG_SOURCEDIR='/usr/lib/prosody';
local startup = require "util.startup";
startup.prosodyctl();
note("went on");
""",
    "search path": """#!/usr/bin/env lua
CFG_SOURCEDIR=CFG_SOURCEDIR or os.getenv("PROSODY_SRCDIR");
local startup = require "prosody.util.startup";
startup.prosodyctl();
note("went on");
""",
}


def run_lua(*lines: str, prosodyctl: str = STARTS["one folder"]) -> list[str]:
    lua = lua54.LuaRuntime()
    lua.globals().input = lua.table("/usr/bin/prosodyctl", *lines)
    lua.globals().prosodyctl = prosodyctl
    noted = lua.execute(STAND_INS)
    with contextlib.suppress(lua54.LuaError):  # os.exit ends it so
        lua.execute(prosody_account._LUA)
    return list(noted.values())


def test_the_lua_program_takes_the_steps_of_prosodyctl() -> None:
    assert run_lua(
        'account\tnew\ta.example.org\tit\'s "x" \\',
        "account\told\ta.example.org\tpw",
        "account\tnew\tb.example.org\tpw",
        "subscribe\told\ta.example.org\tfocus.example.org",
    ) == [
        "open /usr/bin/prosodyctl",
        "start /usr/lib/prosody prosodyctl",
        "storage a.example.org",
        "users a.example.org",
        'create new a.example.org it\'s "x" \\',
        "set old a.example.org pw",
        "enable old a.example.org",
        "storage b.example.org",
        "users b.example.org",
        "create new b.example.org pw",
        "asked old a.example.org focus.example.org",
        "agreed old a.example.org focus.example.org",
    ]


def test_the_lua_program_starts_where_the_libraries_are_in_the_search_path() -> None:
    """As those of Prosody's own repository, with a folder for each version of Lua."""
    said = run_lua("account\tnew\ta.example.org\tpw", prosodyctl=STARTS["search path"])
    assert said[1] == "start nil prosodyctl"
    assert said[-1] == "create new a.example.org pw"


def test_the_lua_program_stops_where_prosodyctl_starts_in_another_way() -> None:
    said = run_lua("account\tnew\ta.example.org\tpw", prosodyctl="#!/bin/sh\nexec other\n")
    assert said[-2:] == [
        "said This prosodyctl does not start as those of 0.12 and 13 do.",
        "exit 1",
    ]


def test_the_lua_program_stops_at_a_host_that_is_not_configured() -> None:
    said = run_lua("account\tnew\tc.example.org\tSECRET", "account\tnew\ta.example.org\tSECRET")
    assert said[2:] == [
        "said The host c.example.org is not in Prosody's configuration, or not enabled.",
        "exit 1",
    ]


def test_the_lua_program_stops_at_a_refusal() -> None:
    said = run_lua("account\told\ta.example.org\tbad", "account\tnew\ta.example.org\tpw")
    assert said[-2:] == ["said The step account failed for old@a.example.org: too bad", "exit 1"]


def test_data_of_somebody_else_is_found_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "auth%2eexample%2eorg" / "accounts").mkdir(parents=True)
    (tmp_path / "auth%2eexample%2eorg" / "accounts" / "focus.dat").touch()
    (tmp_path / "custom_plugins").mkdir()  # somebody's own
    (tmp_path / "auth.example.org.key").touch()

    class Entry:
        pw_uid, pw_gid = os.getuid() + 1, os.getgid()

    monkeypatch.setattr("pwd.getpwnam", lambda _: Entry)
    found = prosody_account.of_others(str(tmp_path))
    assert [Path(path).name for path in found] == [
        tmp_path.name,
        "auth.example.org.key",
        "auth%2eexample%2eorg",
        "accounts",
        "focus.dat",
    ]
    given: list[tuple[str, int]] = []
    monkeypatch.setattr("os.chown", lambda path, uid, *_, **__: given.append((path, uid)))
    prosody_account.give_to_prosody(found)
    assert given == [(path, os.getuid() + 1) for path in found]
    Entry.pw_uid = os.getuid()
    assert prosody_account.of_others(str(tmp_path)) == []

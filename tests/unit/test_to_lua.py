"""Filter ``to_lua``: every Lua reads back what went in, and nothing else happens."""

from __future__ import annotations

import datetime
import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.to_lua import FilterModule
from vestibule.rendering import DEPTH, EXACT, LINE, RESERVED, to_lua

ROOT = Path(__file__).resolve().parents[2]
LUAS = {
    version: importlib.import_module(f"lupa.{version}").LuaRuntime()
    for version in ("lua51", "lua52", "lua53", "lua54", "lua55")
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
hostile_parts = [
    *['"', "'", "\\", "\\\\", "]]", "]==]", "--", "--[[", "\n", "\r", "\r\n", "\0", "\x7f", "1"],
    *["\x1a", "%s", "{{ x }}", "{% y %}", "${z}", "os.exit()", '" .. x .. "', "\u202e", "ž"],
    *["\ufeff", "\U0001f512", "\t", "\v", "$(id)", "`id`", "\\000", "\\u{0}", "\\z", " "],
]
hostile_texts = st.lists(st.sampled_from(hostile_parts)).map("".join)
keys = texts | hostile_texts | st.sampled_from(sorted(RESERVED)) | st.integers(-EXACT, EXACT)
numbers = st.integers(-EXACT, EXACT) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    texts | hostile_texts | st.booleans() | numbers,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=40,
)


def as_table(value: Any) -> Any:
    """What a value looks like in Lua, where a list is a table with keys from 1 on."""
    if isinstance(value, list):
        return {number: as_table(item) for number, item in enumerate(value, 1)}
    if isinstance(value, dict):
        return {key: as_table(item) for key, item in value.items()}
    return value


def read_by(version: str, literal: str) -> Any:
    """What that Lua makes of the literal, in an environment where nothing can be called."""
    lua = LUAS[version]
    if version == "lua51":
        chunk = lua.eval("function(text) return setfenv(assert(loadstring(text)), {})() end")
    else:
        chunk = lua.eval("function(text) return assert(load(text, 'x', 't', {}))() end")
    return as_python(lua, chunk(f"return {literal}"))


def as_python(lua: Any, value: Any) -> Any:
    if lua.globals().type(value) == "table":
        return {key: as_python(lua, item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("version", LUAS)
@given(values, st.integers(0, 12))
def test_every_lua_reads_the_same_value(version: str, value: Any, indent: int) -> None:
    assert read_by(version, to_lua(value, indent)) == as_table(value)


@pytest.mark.parametrize("version", LUAS)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_digit_of_a_number_arrives(version: str, value: float) -> None:
    assert read_by(version, to_lua(value)) == value


@pytest.mark.parametrize("version", ["lua53", "lua54", "lua55"])
@given(numbers)
def test_a_lua_with_integers_keeps_them_apart_from_floats(version: str, value: float) -> None:
    kind = LUAS[version].eval(f"math.type({to_lua(value)})")
    assert kind == ("integer" if isinstance(value, int) else "float")


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        ('say "\\n"', r'"say \"\\n\""'),
        ("two\r\nlines\t", r'"two\r\nlines\t"'),
        ("\x001", r'"\0001"'),
        ("žluťoučký 🔒", '"žluťoučký 🔒"'),
        ("left\u202eright", r'"left\226\128\174right"'),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-5, "-5"),
        (EXACT, "9007199254740992"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        ([], "{}"),
        ({}, "{}"),
        (["a", 1, True], '{ "a", 1, true }'),
        (("a",), '{ "a" }'),
        ({"b": 1, "a": 2}, "{ b = 1, a = 2 }"),
        ({"a-b": 1, "end": 2, "goto": 3}, '{ ["a-b"] = 1, ["end"] = 2, ["goto"] = 3 }'),
        ({"global": 1, "Global": 2}, '{ ["global"] = 1, Global = 2 }'),
        ({"1a": 1, "": 2, "ž": 3, "a\n": 4}, r'{ ["1a"] = 1, [""] = 2, ["ž"] = 3, ["a\n"] = 4 }'),
        ({5281: "x"}, '{ [5281] = "x" }'),
        ({"a": [{"b": []}]}, "{ a = { { b = {} } } }"),
    ],
)  # fmt: skip
def test_the_literal_is_what_a_person_would_write(value: Any, literal: str) -> None:
    assert to_lua(value) == literal


def test_a_long_table_stands_on_lines_of_its_own() -> None:
    value = {"short": ["a"], "long": [f"module_number_{number}" for number in range(6)], "n": 1}
    assert to_lua(value, indent=4) == (
        "{\n"
        '        short = { "a" },\n'
        "        long = {\n"
        '            "module_number_0",\n'
        '            "module_number_1",\n'
        '            "module_number_2",\n'
        '            "module_number_3",\n'
        '            "module_number_4",\n'
        '            "module_number_5",\n'
        "        },\n"
        "        n = 1,\n"
        "    }"
    )


@given(st.lists(st.text("ab", max_size=30), min_size=1), st.integers(0, 40))
def test_one_line_where_it_fits(value: list[str], indent: int) -> None:
    literal = to_lua(value, indent)
    short = "{ " + ", ".join(f'"{item}"' for item in value) + " }"
    assert ("\n" not in literal) == (indent + len(short) < LINE)


@given(
    st.recursive(
        st.text("ab", max_size=30),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("c", max_size=20), inner),
    ),
    st.integers(0, 20),
)
def test_no_table_reaches_past_the_line(value: Any, indent: int) -> None:
    first, *lines = to_lua(value, indent).split("\n")
    for line in (" " * indent + first, *lines):
        assert "{ " not in line or len(line) <= LINE


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            None,
            "value is of type NoneType. In Lua, a field with the value nil does not exist. Leave "
            "it out.",
        ),
        (
            {"limits": [1, {"c2s": None}]},
            "value['limits'][1]['c2s'] is of type NoneType. In Lua, a field with the value nil "
            "does not exist. Leave it out.",
        ),
        (
            [b"canary"],
            "value[0] is of type bytes. Use text, a number, a boolean, a list or a mapping.",
        ),
        (
            {"since": datetime.date(2001, 2, 3)},
            "value['since'] is of type date. Use text, a number, a boolean, a list or a mapping.",
        ),
        (
            {"canary"},
            "value is of type set. Use text, a number, a boolean, a list or a mapping.",
        ),
        (
            [EXACT + 1],
            "value[0] is a whole number beyond 2^53, which Lua cannot hold exactly. Put it in "
            "quotes.",
        ),
        (
            -math.inf,
            "value is infinite or not a number, which Lua cannot write. Use a number.",
        ),
        (
            [math.nan],
            "value[0] is infinite or not a number, which Lua cannot write. Use a number.",
        ),
        ({"a": "canary\udcff"}, "value['a'] is text that UTF-8 cannot encode."),
        ({"a": {None: 1}}, "value['a'] has a key of type NoneType. Use text."),
        ({True: 1}, "value has a key of type bool. Use text."),
        ({1.5: 1}, "value has a key of type float. Use text."),
    ],
)
def test_what_lua_cannot_say_is_refused_by_place_and_type(value: Any, sentence: str) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        FilterModule().filters()["to_lua"](value)
    assert str(error.value) == sentence


@pytest.mark.parametrize("version", LUAS)
def test_the_deepest_value_is_read_by_every_lua(version: str) -> None:
    value: list[Any] = []
    for _ in range(DEPTH):
        value = [value]
    assert read_by(version, to_lua(value)) == as_table(value)
    with pytest.raises(ValueError, match=r"value\[0\]\[0\]\[0\] is nested deeper than 100 levels"):
        to_lua([value])


def test_a_value_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    with pytest.raises(ValueError, match="nested deeper"):
        to_lua(value)


PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  vars:
    http_port: 5280
    sealed: !vault |
{sealed}
    value:
      text: "port {{{{ http_port }}}}"
      number: "{{{{ http_port }}}}"
      list: "{{{{ ['a', 'b'] | map('upper') }}}}"
      keys: "{{{{ {{'x': 1}}.keys() }}}}"
      sealed: "{{{{ sealed }}}}"
      fine: true
    broken: {{known: 1, unknown: "{{{{ nowhere }}}}"}}
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ value | to_lua }}}}"
        dest: "{{{{ playbook_dir }}}}/value.lua"
        mode: "0600"
    - ansible.builtin.debug: {{msg: "{{{{ broken | to_lua }}}}"}}
      ignore_errors: true
    - ansible.builtin.debug: {{msg: "{{{{ nowhere | to_lua }}}}"}}
      ignore_errors: true
    - ansible.builtin.debug: {{msg: "{{{{ {{'since': stamp}} | to_lua }}}}"}}
      ignore_errors: true
      vars: {{stamp: 2001-02-03}}
"""


def test_it_takes_the_values_that_ansible_gives(tmp_path: Path) -> None:
    """Ansible's texts, lists and mappings are subclasses with tags, some rendered when read."""
    ansible = [sys.executable, "-m", "ansible"]
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "ansible.cfg").write_text(
        f"[defaults]\nfilter_plugins = {ROOT}/filter_plugins\nvault_password_file = password\n"
    )
    sealed = subprocess.run(
        [*ansible, "vault", "encrypt", "-"],
        cwd=tmp_path, input="open\n", text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    indented = "".join(f"      {line}\n" for line in sealed.splitlines())
    (tmp_path / "play.yml").write_text(PLAYBOOK.format(sealed=indented.rstrip("\n")))
    play = subprocess.run(
        [*ansible, "playbook", "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        check=False,
        text=True,
        capture_output=True,
    )
    output = play.stdout + play.stderr
    assert read_by("lua54", (tmp_path / "value.lua").read_text()) == as_table(
        {
            "text": "port 5280",
            "number": 5280,
            "list": ["A", "B"],
            "keys": ["x"],
            "sealed": "open\n",
            "fine": True,
        }
    ), output
    assert output.count("'nowhere' is undefined") >= 2, output
    assert "value['since'] is of type date" in output

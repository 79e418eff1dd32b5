"""What programs say, and what runs a script: facts that several modules read."""

from __future__ import annotations

import pytest
from ansible.module_utils.vestibule.programs import interpreter, program, reason


@pytest.mark.parametrize(
    ("output", "said"),
    [
        pytest.param(
            "compiling\n==> ERROR: A failure occurred in build().\n    Aborting...\n",
            "==> ERROR: A failure occurred in build().",
            id="a build",
        ),
        pytest.param("one\n\ntwo\n", "one two", id="nothing that sounds like a reason"),
        pytest.param("", "", id="nothing at all"),
        pytest.param(
            "Reading lists...\nE: 1\nE: 2\nE: 3\nE: 4\n", "E: 2 E: 3 E: 4", id="the last of many"
        ),
        pytest.param(
            "Get:1 http://x stable/ InRelease\nErr:1 http://x stable/ InRelease\n  NO_PUBKEY 12\n",
            "Err:1 http://x stable/ InRelease",
            id="a line of apt",
        ),
        pytest.param(
            "lua: x.lua:1: boom\nstack traceback:\n\t[C]: in function 'error'\n",
            "lua: x.lua:1: boom",
            id="Lua with its stack",
        ),
    ],
)
def test_the_reason_is_picked_from_what_a_program_said(output: str, said: str) -> None:
    assert reason(output) == said


@pytest.mark.parametrize(
    ("first", "argv", "name"),
    [
        ("#!/usr/bin/lua5.4", ["/usr/bin/lua5.4"], "/usr/bin/lua5.4"),
        ("#!/usr/bin/env lua5.4", ["/usr/bin/env", "lua5.4"], "lua5.4"),
        ("#! /usr/bin/env -S lua5.4", ["/usr/bin/env", "-S", "lua5.4"], "lua5.4"),
        ("#!/usr/bin/env", ["/usr/bin/env"], None),
        ("-- no such line", [], None),
    ],
)
def test_the_first_line_names_the_interpreter(
    first: str, argv: list[str], name: str | None
) -> None:
    script = f"{first}\n-- more\n"
    assert (interpreter(script), program(script)) == (argv, name)

"""Whether a change of Prosody's configuration counts after a reload, by its text alone."""

from __future__ import annotations

import pytest
from ansible.module_utils.vestibule.prosody_config import Unread, counts_after_reload, read

REREAD = {"token_guard": ["leeway", "lifetime"], "other": ["pause"]}
BEFORE = """-- Made by Vestibule, role prosody. Changes made here are overwritten.
-- The hosts of meet.example.org. "quoted" { and open

fail_closed_required = {
    ["meet.example.org"] = { "token_guard" },
}
pause = 1

-- meet.example.org: where people log in
VirtualHost "meet.example.org"
    authentication = "token" -- do not delete me
    app_id = "a \\"--{ b"
    leeway = 30
    lifetime = 86400
    pause = 2
    negative = -5
    modules_enabled = {
        "websocket",
        "token_guard",
    }

-- conference.meet.example.org: the meetings
Component "conference.meet.example.org" "muc"
    leeway = 30
    modules_enabled = { "muc_hide_all" }
"""


def changed(old: str, new: str) -> str:
    assert BEFORE.count(old) >= 1
    return BEFORE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(BEFORE, True, id="nothing"),
        pytest.param(changed("leeway = 30", "leeway = 5"), True, id="one that is read again"),
        pytest.param(changed("    lifetime = 86400\n", ""), True, id="one that is gone"),
        pytest.param(
            changed("leeway = 30", "leeway = 5").replace("86400", "{ 1, 2 }"), True, id="two"
        ),
        pytest.param(changed("where people", "whence people"), True, id="a comment"),
        pytest.param(changed("negative = -5", "negative = 5"), False, id="one that is read once"),
        pytest.param(
            changed("leeway = 30", "leeway = 5").replace("-5", "6"), False, id="one of each kind"
        ),
        pytest.param(changed("    pause = 2", "    pause = 3"), False, id="of a module elsewhere"),
        pytest.param(changed("pause = 1", "pause = 3"), False, id="above all hosts"),
        pytest.param(
            changed('"muc"\n    leeway = 30', '"muc"\n    leeway = 5'), False, id="no such module"
        ),
        pytest.param(changed('"websocket",', '"bosh",'), False, id="modules"),
        pytest.param(changed('"token_guard",\n    }', "}"), False, id="the module itself"),
        pytest.param(changed('" "muc"', '" "other"'), False, id="another kind of host"),
        pytest.param(BEFORE + 'VirtualHost "more"\n', False, id="another host"),
        pytest.param("", False, id="all is gone"),
        # What the parser does not know is no reload
        pytest.param(BEFORE + 'Include "conf.d/*.cfg.lua"\n', False, id="an include"),
        pytest.param(BEFORE + "if true then leeway = 3 end\n", False, id="a program"),
        pytest.param(changed("leeway = 30", "leeway = 30; x = 1"), False, id="two in a line"),
        pytest.param(changed("leeway = 30", "leeway = 30 os.exit()"), False, id="a call behind"),
        pytest.param(changed("leeway = 30", "leeway = f()"), False, id="a call"),
        pytest.param(changed("leeway = 30", "leeway = {} x = {}"), False, id="two tables"),
        pytest.param(changed("leeway = 30", "leeway = [[30]]"), False, id="a long text"),
        pytest.param(changed("leeway = 30", "--[[ leeway = 30"), False, id="a long comment"),
        pytest.param(changed("leeway = 30", "leeway = {"), False, id="an open brace"),
        pytest.param(changed("leeway = 30", 'leeway = "'), False, id="an open text"),
        pytest.param(
            changed("lifetime = 86400", "lifetime = 86400\n    leeway = 2"), False, id="said twice"
        ),
        pytest.param(
            BEFORE + 'VirtualHost "meet.example.org"\n    leeway = 3\n', False, id="opened twice"
        ),
    ],
)
def test_what_counts_after_a_reload(after: str, expected: bool) -> None:
    assert counts_after_reload(BEFORE, after, REREAD) is expected
    assert counts_after_reload(after, BEFORE, REREAD) is expected


def test_values_stay_the_text_that_they_are() -> None:
    host = read(BEFORE)['VirtualHost "meet.example.org"']
    assert host["app_id"] == r'"a \"--{ b"'
    assert host["authentication"] == '"token"'
    assert host["negative"] == "-5"
    with pytest.raises(Unread):
        read("os.exit()\n")

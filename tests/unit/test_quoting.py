"""What ends up in a file is one value of the language that is read there."""

from __future__ import annotations

import json
import re

import pytest

from vestibule.model.role_variables import served_folder_fault
from vestibule.quoting import LANGUAGES, QuotingError, quoted

HOSTILE = "/srv/x; autoindex on; } server { root /"


@pytest.mark.parametrize("value", ["0.0.0.0:80", "[::]:443", "/usr/share/jitsi-meet", 5, "8k"])
@pytest.mark.parametrize("language", ["nginx", "nginx_part", "systemd", "line"])
def test_what_is_plain_stays_as_it_is(value: object, language: str) -> None:
    assert quoted(value, language) == str(value)


def test_a_parameter_of_nginx_cannot_end_its_directive() -> None:
    assert quoted(HOSTILE, "nginx") == f'"{HOSTILE}"'
    assert quoted('a"; b \\', "nginx") == r'"a\"; b \\"'
    with pytest.raises(QuotingError, match=r"with \$"):
        quoted("/srv/$document_root", "nginx")


@pytest.mark.parametrize("value", [HOSTILE, "a b", 'a"b', "a'b", "$x", "a;b", "{", ""])
def test_a_part_of_a_parameter_is_plain_or_refused(value: str) -> None:
    with pytest.raises(QuotingError, match="part of a word"):
        quoted(value, "nginx_part")


def test_an_argument_in_a_unit_has_neither_variables_nor_specifiers() -> None:
    assert quoted("sed 's/x/y/' > /z", "systemd") == "\"sed 's/x/y/' > /z\""
    assert quoted('%n $x "y" \\', "systemd") == r'"%%n $$x \"y\" \\"'


@pytest.mark.parametrize("value", ["a-b", "end", "1a", "a = 1 --", "", "ä"])
def test_a_name_in_lua_is_a_name(value: str) -> None:
    with pytest.raises(QuotingError, match="name of letters"):
        quoted(value, "lua_name")


@pytest.mark.parametrize(
    "language", sorted(set(LANGUAGES) - {"hocon", "javascript", "tenant_javascript", "nginx_names"})
)
@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\rb", "a\u2028b", None, True, 1.5, ["a"]])
def test_one_line_of_text_is_one_line_of_text(language: str, value: object) -> None:
    with pytest.raises(QuotingError):
        quoted(value, language)


def test_json_reads_back_and_ends_no_script() -> None:
    value = {"x": '</script>"\\\u2028', "y": [1, True, None]}
    for language in ("hocon", "javascript"):
        assert json.loads(quoted(value, language)) == value
    assert not re.search("[<\u2028]", quoted(value, "javascript"))
    with pytest.raises(QuotingError):
        quoted(float("nan"), "hocon")


@pytest.mark.parametrize(
    "folder",
    ["/", "/etc", "/etc/nginx", "/var", "/home/me", "/proc/1/root", "/srv", "/srv/x", "/usr/share"],
)
def test_a_folder_is_not_served_with_what_nobody_may_read(folder: str) -> None:
    assert served_folder_fault(folder, ["/srv/x/tls.key"])


@pytest.mark.parametrize("folder", ["/usr/share/jitsi-meet", "/srv/y", "/opt/jitsi/", "/var/www/x"])
def test_a_folder_of_the_client_is_served(folder: str) -> None:
    assert served_folder_fault(folder, ["/srv/x/tls.key", "/etc/x"]) == ""


def test_the_tenant_is_all_that_nginx_puts_in() -> None:
    said = quoted({"x": "{tenant}<!--# include -->"}, "tenant_javascript")
    assert said.count("<") == 1 and '<!--# echo var="vestibule_tenant" -->' in said
    assert quoted(["css", "libs"], "nginx_names") == "css|libs"
    for names in (["a/b"], ["a", "b)("], "css", []):
        with pytest.raises(QuotingError):
            quoted(names, "nginx_names")


def test_a_policy_has_one_variable_and_a_link_two() -> None:
    assert (
        quoted("script-src 'nonce-{nonce}'", "nginx_policy") == "\"script-src 'nonce-$request_id'\""
    )
    with pytest.raises(QuotingError):
        quoted("script-src $http_host", "nginx_policy")
    link = quoted('https://x.org/"><!--# exec -->?a&b={room}', "room_link")
    room = '<!--# echo var="vestibule_room_asked" default="" -->'
    assert link == f"https://x.org/&quot;&gt;&lt;!--# exec --&gt;?a&amp;b={room}"


def test_no_value_is_told() -> None:
    with pytest.raises(QuotingError) as error:
        quoted("a secret\n", "line")
    assert "secret" not in str(error.value)
    with pytest.raises(QuotingError, match="no language latin"):
        quoted("x", "latin")

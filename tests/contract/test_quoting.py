"""No expression of a template reaches a file without the filter of its language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(ROOT.glob("roles/*/templates/*"))
# By the end of a template's name: what may be the last filter, with its language
LANGUAGES = {
    ".cfg.lua.j2": {"to_lua", "quoted lua_name", "quoted line"},
    "jicofo.conf.j2": {"quoted hocon"},
    "jvb.conf.j2": {"quoted hocon"},
    "config.js.j2": {"quoted javascript"},
    "tenant.js.j2": {"quoted tenant_javascript"},
    "nginx.conf.j2": {"quoted nginx"},
    "site.conf.j2": {
        "quoted nginx",
        "quoted nginx_names",
        "quoted nginx_part",
        "quoted nginx_policy",
        "quoted line",
    },
    "stream.conf.j2": {"quoted nginx", "quoted nginx_part", "quoted line"},
    "turnserver.conf.j2": {"quoted turnserver", "quoted turnserver_range", "quoted line"},
    ".path.j2": {"quoted systemd", "quoted line"},
    "coturn.service.j2": {"quoted systemd", "quoted plain"},
    "renewal.service.j2": {"quoted plain", "quoted systemd"},
    ".service.j2": {"quoted plain"},
    ".timer.j2": {"quoted plain"},
    "jicofo.service.j2": {"quoted plain"},
    "service.conf.j2": {"quoted systemd", "quoted line"},
    ".html.j2": {"e", "quoted room_link"},
    ".sh.j2": {"quoted plain"},
}


def unquoted(text: str, allowed: set[str]) -> list[int]:
    """Lines of expressions that are written as they are, or for another language."""
    tree = Environment(autoescape=False).parse(text)  # noqa: S701 — nothing is rendered
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    return [node.lineno for node in _written(tree) if not _is_quoted(node, allowed, macros)]


def _written(tree: nodes.Template) -> Iterator[nodes.Expr]:
    for output in tree.find_all(nodes.Output):
        yield from (each for each in output.nodes if not isinstance(each, nodes.TemplateData))


def _is_quoted(node: nodes.Expr, allowed: set[str], macros: set[str]) -> bool:
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
        return node.node.name in macros  # what stands in it is looked at where it stands
    if not isinstance(node, nodes.Filter):
        return False
    language = [each.value for each in node.args if isinstance(each, nodes.Const)]
    name = " ".join([node.name, *language]) if node.name == "quoted" else node.name
    return name in allowed


def _allowed(path: Path) -> set[str]:
    return next(each for end, each in LANGUAGES.items() if path.name.endswith(end))


def test_there_are_templates_of_all_these_languages() -> None:
    for end in LANGUAGES:
        assert [path for path in TEMPLATES if path.name.endswith(end)], end


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_every_expression_is_written_in_the_language_of_its_file(path: Path) -> None:
    assert unquoted(path.read_text(encoding="utf-8"), _allowed(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ x }}",
        "root {{ x }};",
        "{{ x | quoted('systemd') }}",
        "{{ x | quoted('nginx') | lower }}",
        "{{ '-' ~ (x | quoted('nginx')) }}",
        "{% if x %}{{ x if y else '' }}{% endif %}",
        "{% macro m() %}{{ x }}{% endmacro %}{{ m() }}",
        "{{ lookup('file', x) }}",
    ],
)
def test_what_is_not_is_found(text: str) -> None:
    assert unquoted(text, {"quoted nginx"}) == [1]


def test_what_is_taken() -> None:
    text = "{% macro m(a) %}{{ a | quoted('nginx') }}{% endmacro %}{{ m(x) }}"
    assert unquoted(text, {"quoted nginx"}) == []

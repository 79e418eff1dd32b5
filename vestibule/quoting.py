"""Text that becomes part of a file, so that the program that reads it sees one value of it.

One function a language. Each refuses what its language cannot say in one value.
"""

from __future__ import annotations

import html
import ipaddress
import json
import re
from collections.abc import Callable, Mapping

from vestibule.rendering import RESERVED
from vestibule.values import type_name

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What no language here takes for more than itself
_PLAIN = re.compile(r"[A-Za-z0-9._:/@%+=,~\[\]-]+")
_PLAIN_ARGUMENT = re.compile(r"[A-Za-z0-9._:/@+=,~\[\]-]+")


class QuotingError(ValueError):
    """The value cannot be said in the language. The message names the type, not the value."""


def _text(value: object, language: str) -> str:
    """The text of a value that is one line."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise QuotingError(
            f"A value of type {type_name(value)} cannot stand in {language}. Use text or a whole"
            " number."
        )
    text = str(value)
    if any(not character.isprintable() for character in text):
        raise QuotingError(
            f"A text with a line break or another control character cannot stand in {language}."
            " Remove it."
        )
    return text


def to_nginx(value: object) -> str:
    """One parameter of a directive. Between quotes nginx would still read a variable."""
    text = _text(value, "nginx's configuration")
    if _PLAIN.fullmatch(text):
        return text
    if "$" in text:
        raise QuotingError("A text with $ cannot stand in nginx's configuration. Remove it.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_nginx_part(value: object) -> str:
    """A part of a parameter, which cannot be in quotes."""
    text = _text(value, "nginx's configuration")
    if not _PLAIN.fullmatch(text):
        raise QuotingError(
            "A text with other characters than letters, digits and . _ : / @ % + = , ~ [ ] -"
            " cannot be a part of a word of nginx's configuration. Remove them."
        )
    return text


def to_systemd(value: object) -> str:
    """One argument of a command in a unit (systemd.service(5), COMMAND LINES)."""
    text = _text(value, "a unit")
    if _PLAIN_ARGUMENT.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + quoted.replace("%", "%%").replace("$", "$$") + '"'


def to_line(value: object) -> str:
    """The rest of a line, as of a comment."""
    return _text(value, "one line")


def to_lua_name(value: object) -> str:
    """A name in Lua, as of a setting."""
    text = _text(value, "a configuration in Lua")
    if not _NAME.fullmatch(text) or text in RESERVED:
        raise QuotingError(
            "A setting in Lua needs a name of letters, digits and _, which is no word of Lua's."
        )
    return text


def to_hocon(value: object) -> str:
    """JSON, which is HOCON as well."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise QuotingError(f"JSON cannot say a part of this value: {error}.") from None


def to_javascript(value: object) -> str:
    """A literal, also where a page has it between the tags of a script."""
    text = to_hocon(value).replace("<", "\\u003c")
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def to_tenant_javascript(value: object) -> str:
    """A literal into which nginx puts the tenant of a path, in place of ``{tenant}``."""
    return to_javascript(value).replace("{tenant}", '<!--# echo var="vestibule_tenant" -->')


def to_nginx_policy(value: object) -> str:
    """A policy for the content of pages, into which nginx puts a number in place of ``{nonce}``."""
    return to_nginx(value).replace("{nonce}", "$request_id")


def to_room_link(value: object) -> str:
    """An address in a page of HTML, with what nginx knows of a room in place of its names."""
    text = html.escape(_text(value, "an address"), quote=True)
    for name in ("room", "tenant"):
        text = text.replace(
            f"{{{name}}}", f'<!--# echo var="vestibule_{name}_asked" default="" -->'
        )
    return text


def to_nginx_names(value: object) -> str:
    """Alternatives in a regular expression, all of them plain names."""
    names = [to_nginx_part(each) for each in value] if isinstance(value, list) else []
    if not names or not all(map(_PLAIN_NAME.fullmatch, names)):
        raise QuotingError("Alternatives in nginx's configuration are a list of plain names.")
    return "|".join(names)


def to_plain(value: object) -> str:
    """A word that no language takes for more."""
    text = _text(value, "the middle of a command")
    if not _PLAIN_ARGUMENT.fullmatch(text):
        raise QuotingError("A word in the middle of a command has to be plain.")
    return text


def to_turnserver(value: object) -> str:
    """The value of an option in turnserver.conf, which knows no quotes; it may be empty."""
    text = _text(value, "turnserver.conf")
    if text and not _PLAIN_ARGUMENT.fullmatch(text):
        raise QuotingError("An option of turnserver.conf has to be plain.")
    return text


def to_turnserver_range(value: object) -> str:
    """A network, as turnserver.conf has it: the first and the last address."""
    try:
        network = ipaddress.ip_network(_text(value, "turnserver.conf"))
    except ValueError:
        raise QuotingError("A range in turnserver.conf is made of a network.") from None
    first, last = network[0], network[-1]
    return str(first) if first == last else f"{first}-{last}"


LANGUAGES: Mapping[str, Callable[[object], str]] = {
    "hocon": to_hocon,
    "javascript": to_javascript,
    "line": to_line,
    "lua_name": to_lua_name,
    "nginx": to_nginx,
    "nginx_names": to_nginx_names,
    "nginx_part": to_nginx_part,
    "nginx_policy": to_nginx_policy,
    "plain": to_plain,
    "room_link": to_room_link,
    "systemd": to_systemd,
    "tenant_javascript": to_tenant_javascript,
    "turnserver": to_turnserver,
    "turnserver_range": to_turnserver_range,
}


def quoted(value: object, language: str) -> str:
    """``value`` as ``language`` writes it. Raises QuotingError."""
    if language not in LANGUAGES:
        raise QuotingError(f"There is no language {language}; there are {', '.join(LANGUAGES)}.")
    return LANGUAGES[language](value)

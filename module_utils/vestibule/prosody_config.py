"""What differs between two states of a configuration of Prosody, as the role ``prosody`` writes it.

Values stay the text that they are, and nothing is run. What is not written like that is not guessed
at: it raises Unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_TEXT = r'"(?:[^"\\\n]|\\.)*"'
_HOST = re.compile(rf"(?:VirtualHost|Component) {_TEXT}(?: {_TEXT})?")
_OPTION = re.compile(rf"(\w+) = ({_TEXT}|-?[\w.]+|\{{.*\}})", re.DOTALL)
# Texts, comments, braces, and anything else but texts and comments of many lines
_PART = re.compile(rf"{_TEXT}|--(?!\[)[^\n]*|[{{}}\n]|\[(?![\[=])|-(?!-)|[^\"{{}}\-\[\n]+")
_END = re.compile(r"[ ]*(?:--(?!\[)[^\n]*)?(?:\n|$)")
_MODULES = "modules_enabled"

# By the line that begins a host, its options; those above all hosts by an empty text
Options = dict[str, dict[str, str]]


class Unread(ValueError):
    """Something else than this project writes."""


def _statements(text: str) -> Iterable[str]:
    """What stands there one after the other, without comments."""
    position, depth, statement = 0, 0, ""
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise Unread(text[position : position + 20])
        position = part.end()
        depth += {"{": 1, "}": -1}.get(part[0], 0)
        if part[0] == "}" and depth == 0 and not _END.match(text, position):
            raise Unread(statement)
        statement += "" if part[0].startswith("--") else part[0]
        if part[0] == "\n" and depth == 0:
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise Unread(statement)


def read(text: str) -> Options:
    """The options of each host. Raises Unread."""
    host = ""
    found: Options = {host: {}}
    for statement in filter(None, _statements(text)):
        option = _OPTION.fullmatch(statement)
        if option and option[1] not in found[host]:
            found[host][option[1]] = option[2]
        elif _HOST.fullmatch(statement) and statement not in found:
            host = statement
            found[host] = {}
        else:
            raise Unread(statement)
    return found


def counts_after_reload(before: str, after: str, reread: Mapping[str, Iterable[str]]) -> bool:
    """Whether all that differs counts once Prosody has read its configuration again.

    ``reread`` has by module the options that it reads again then, on hosts that have it.
    """
    try:
        old, new = read(before), read(after)
    except Unread:
        return False
    if old.keys() != new.keys():
        return False
    for host, options in new.items():
        modules = re.findall(r'"(\w+)"', options.get(_MODULES, ""))
        known = {each for module in modules for each in reread.get(module, ())}
        changed = {
            name
            for name in old[host].keys() | options.keys()
            if old[host].get(name) != options.get(name)
        }
        if not changed <= known:
            return False
    return True

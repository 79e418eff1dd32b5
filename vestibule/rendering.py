"""A value as the Lua literal that reads back as the same value."""

from __future__ import annotations

import math
import re

from vestibule.values import type_name

LINE = 100  # columns
STEP = 4  # columns
DEPTH = 100  # Lua's own parser gives up at 200 (LUAI_MAXCCALLS)
EXACT = 2**53  # up to here a double, Lua's only number before 5.3, holds every whole number

# Of all versions: goto came with 5.2, global with 5.5, and quotes do no harm elsewhere.
RESERVED = frozenset(
    {
        *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "global"),
        *("goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true"),
        *("until", "while"),
    }
)
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


Path = tuple[object, ...]  # keys and indexes that lead from the whole value to a part
Field = tuple[str, object, object]  # how the field starts in Lua, its key, its value


class LuaValueError(ValueError):
    """The value has no literal. The message names the place and the type, not the value."""


def to_lua(value: object, indent: int = 0) -> str:
    """Write `value` as a Lua literal that starts on a line indented by `indent` columns.

    Raises LuaValueError for what Lua 5.1 to 5.5 cannot all read back.
    """
    return _literal(value, (), indent, indent)


def _literal(value: object, path: Path, indent: int, column: int) -> str:
    """Write the value at `path`, from `column` on, in a line indented by `indent` columns."""
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, bool):  # before int, whose subclass it is
        return "true" if value else "false"
    if isinstance(value, int):
        return _whole_number(value, path)
    if isinstance(value, float):
        return _number(value, path)
    if isinstance(value, (list, tuple)):
        return _table([("", index, item) for index, item in enumerate(value)], path, indent, column)
    if isinstance(value, dict):
        fields = [(_key(key, path), key, item) for key, item in value.items()]
        return _table(fields, path, indent, column)
    raise _no_literal(value, path)


def _table(fields: list[Field], path: Path, indent: int, column: int) -> str:
    if not fields:
        return "{}"
    if len(path) >= DEPTH:
        raise LuaValueError(f"{_place(path[:3])} is nested deeper than {DEPTH} levels.")
    deeper = indent + STEP
    written = [
        start + _literal(item, (*path, key), deeper, deeper + len(start))
        for start, key, item in fields
    ]
    line = f"{{ {', '.join(written)} }}"
    if "\n" not in line and column + len(line) < LINE:  # less, as a comma may follow
        return line
    lines = "".join(f"{' ' * deeper}{field},\n" for field in written)
    return f"{{\n{lines}{' ' * indent}}}"


def _key(key: object, path: Path) -> str:
    """Write a key, up to where its value starts."""
    if isinstance(key, str):
        bare = _NAME.fullmatch(key) and key not in RESERVED
        return f"{key} = " if bare else f"[{_text(key, path)}] = "
    if isinstance(key, int) and not isinstance(key, bool):
        return f"[{_whole_number(key, path)}] = "
    raise LuaValueError(f"{_place(path)} has a key of type {type_name(key)}. Use text.")


def _text(value: str, path: Path) -> str:
    try:
        return f'"{"".join(map(_character, value))}"'
    except UnicodeEncodeError:
        raise LuaValueError(f"{_place(path)} is text that UTF-8 cannot encode.") from None


def _character(character: str) -> str:
    """Write what can be seen as it is, and of the rest the bytes: never shorter than 3 digits."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03d}" for byte in character.encode())


def _whole_number(value: int, path: Path) -> str:
    if abs(value) > EXACT:
        raise LuaValueError(
            f"{_place(path)} is a whole number beyond 2^53, which Lua cannot hold exactly. "
            "Put it in quotes."
        )
    return int.__repr__(value)


def _number(value: float, path: Path) -> str:
    if not math.isfinite(value):
        raise LuaValueError(
            f"{_place(path)} is infinite or not a number, which Lua cannot write. Use a number."
        )
    return float.__repr__(value)


def _no_literal(value: object, path: Path) -> LuaValueError:
    advice = "Use text, a number, a boolean, a list or a mapping."
    if value is None:
        advice = "In Lua, a field with the value nil does not exist. Leave it out."
    return LuaValueError(f"{_place(path)} is of type {type_name(value)}. {advice}")


def _place(path: Path) -> str:
    """Name a place as Jinja would: value['limits'][0]."""
    return "value" + "".join(f"[{key!r}]" for key in path)

"""Rows of a table of people, one after the other, however long it is."""

from __future__ import annotations

import csv
import difflib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from vestibule.command import CommandError
from vestibule.tokens.shown import shown
from vestibule.values import type_name

# The columns, and what mint.yml calls them
COLUMNS: Mapping[str, str] = {
    "room": "room",
    "name": "display_name",
    "owner": "moderator",
    "for": "lifetime",
    "tenant": "tenant",
    "features": "features",
    "email": "email",
}
REQUIRED = ("room", "name")
LONGEST_ROW = 1 << 20  # characters of JSON
_CHUNK = 1 << 16  # characters
_NEAR = 0.75  # of difflib

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """What one row asks for by the columns, or what is wrong with it."""

    number: int
    asked: Mapping[str, Any]
    problem: str = ""


def opened(path: Path, tell: Tell) -> Iterator[Row]:
    """The rows of a table. Raises CommandError where there is none, before the first row.

    ``tell`` is told of columns of which nothing is made.
    """
    rows = _rows(path, tell)
    first = next(rows, None)
    if first is None:
        raise CommandError(f"{path} has no row of a person.")
    return itertools.chain([first], rows)


def _rows(path: Path, tell: Tell) -> Iterator[Row]:
    read = {".csv": _read_csv, ".json": _read_json, ".jsonl": _read_json}.get(path.suffix.lower())
    if read is None:
        raise CommandError(f"{path} is no table. Give it the ending .csv or .json.")
    try:
        # What is no UTF-8 is a fault of its row
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    with file:
        yield from read(path, file, tell)


# CSV


def _read_csv(path: Path, file: TextIO, tell: Tell) -> Iterator[Row]:
    first = file.readline()
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        titles = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:
        raise CommandError(
            f"{path} has no titles in its first row ({error}). It has to name the columns:"
            f" {', '.join(COLUMNS)}."
        ) from None
    columns = [title.strip().lower() for title in titles]
    _check_columns(path, columns, tell)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    number = 1  # the titles are the first row, as in a spreadsheet
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, {}, f"is no row of CSV ({error}). Correct its quotes.")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            yield Row(number, {}, f"has {len(cells)} cells, and there are {len(columns)} columns.")
            continue
        asked = {
            name: cell.strip()
            for name, cell in zip(columns, cells, strict=False)
            if name in COLUMNS and cell.strip()
        }
        yield Row(number, asked, _encoding_fault(asked))


def _check_columns(path: Path, columns: list[str], tell: Tell) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise CommandError(f"{path} has the column {shown(name)} twice. Remove one.")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CommandError(
            f"{path} has no column {' and no column '.join(missing)}. Its first row has to name the"
            f" columns: {', '.join(COLUMNS)}, of which room and name have to be there."
        )
    _check_known(str(path), "column", columns, tell)


def _check_known(where: str, kind: str, names: list[str], tell: Tell) -> None:
    for name in names:
        if name in COLUMNS:
            continue
        near = difflib.get_close_matches(name, COLUMNS, 1, _NEAR)
        if near:
            raise CommandError(
                f"{where} has a {kind} {shown(name)}. Did you mean {near[0]}? There are"
                f" {', '.join(COLUMNS)}."
            )
        tell(f"{where} has a {kind} {shown(name)}, of which nothing is made.")


def _encoding_fault(asked: Mapping[str, Any]) -> str:
    for name, value in asked.items():
        if isinstance(value, str) and any("\udc80" <= each <= "\udcff" for each in value):
            return f"has a {name} that is no UTF-8. Save the table as UTF-8."
    return ""


# JSON


def _read_json(path: Path, file: TextIO, tell: Tell) -> Iterator[Row]:
    told: set[str] = set()
    for number, (item, twice) in enumerate(_items(path, file), 1):
        if not isinstance(item, dict):
            yield Row(number, {}, f"is of type {type_name(item)}, and has to be an object.")
            continue
        if twice:
            yield Row(number, {}, f"has the member {shown(twice)} twice. Remove one.")
            continue
        unknown = [name for name in item if name not in told]
        told.update(unknown)
        try:
            _check_known(f"{path}, row {number},", "member", unknown, tell)
        except CommandError as error:
            if number == 1:
                raise
            yield Row(number, {}, str(error).partition(", row ")[2].partition(", ")[2])
            continue
        asked = {
            name: value
            for name, value in item.items()
            if name in COLUMNS and value not in (None, "")
        }
        yield Row(number, _texts(asked), _json_fault(asked) or _encoding_fault(asked))


def _texts(asked: Mapping[str, Any]) -> dict[str, Any]:
    features = asked.get("features")
    if isinstance(features, list):
        return {**asked, "features": ",".join(str(each) for each in features)}
    return dict(asked)


def _json_fault(asked: Mapping[str, Any]) -> str:
    for name, value in asked.items():
        is_list = name == "features" and isinstance(value, list)
        if not isinstance(value, str) and not is_list and not (name == "owner" and value in (0, 1)):
            return f"has a {name} of type {type_name(value)}. Use a text."
    return ""


def _items(path: Path, file: TextIO) -> Iterator[tuple[Any, str]]:
    """The members of a list, or values one after the other, and no more of them at once.

    Each comes with the name of a member that an object in it has twice, or an empty text.
    """
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                twice.append(name)
            found[name] = value
        return found

    decoder = json.JSONDecoder(object_pairs_hook=once)
    text, at, is_over, in_list = "", 0, False, False
    count = 0
    while True:
        while at < len(text) and (text[at].isspace() or (text[at] == "," and count)):
            at += 1
        if at < len(text) and not in_list and not count and text[at] == "[":
            at, in_list = at + 1, True
            continue
        if at < len(text) and in_list and text[at] == "]":
            _refuse_more(path, text[at + 1 :], file)
            return
        if at < len(text):
            twice.clear()
            try:
                value, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                if is_over or len(text) - at > LONGEST_ROW:
                    raise CommandError(
                        f"{path} is no JSON at row {count + 1}: {getattr(error, 'msg', error)}. Use"
                        " a list of objects, each with room and name."
                    ) from None
            else:
                # A number may go on in what is not read yet
                if end < len(text) or is_over:
                    at, count = end, count + 1
                    yield value, next(iter(twice), "")
                    continue
        elif is_over:
            if in_list or not count:
                raise CommandError(f"{path} ends in the middle. Use a list of objects.")
            return
        chunk = file.read(_CHUNK)
        text, at, is_over = text[at:] + chunk, 0, not chunk


def _refuse_more(path: Path, text: str, file: TextIO) -> None:
    while not text.strip():
        text = file.read(_CHUNK)
        if not text:
            return
    raise CommandError(f"{path} goes on after its list. Put all people into one list.")

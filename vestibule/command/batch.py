"""A link for each row of a table."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from vestibule.command import CommandError, tables
from vestibule.command.deployment import Deployment
from vestibule.command.mint import COLUMNS, Link, NoLink, link_for

TITLES = ("row", "room", "tenant", "name", "email", "role", "expires", "link")
_SHOW_EVERY = 0.2  # seconds

Tell = Callable[[str], None]


def links(
    rows: Iterable[tables.Row], deployment: Deployment, tell: Tell
) -> Iterator[tuple[int, Link]]:
    """The links of a table with the numbers of their rows; ``tell`` is told why others have none.

    Of the rows that were read, 16 bytes each are kept, to find those that come twice.
    """
    seen: dict[bytes, int] = {}
    for row in rows:
        if row.problem:
            tell(f"Row {row.number} {row.problem}")
            continue
        if "name" not in row.asked:
            tell(f"Row {row.number} has no name. Give the person one, which others will see.")
            continue
        asked = {"moderator": False} | {
            tables.COLUMNS[name]: value for name, value in row.asked.items()
        }
        same = json.dumps(asked, sort_keys=True, default=str).lower().encode()
        first = seen.setdefault(hashlib.blake2b(same, digest_size=16).digest(), row.number)
        if first != row.number:
            tell(f"Row {row.number} says the same as row {first}, which has its link. Remove one.")
            continue
        try:
            yield row.number, link_for(asked, deployment, COLUMNS)
        except NoLink as error:
            tell(f"Row {row.number}: {error}")


def write(
    found: Iterator[tuple[int, Link]], output: Path | None, tell: Tell, *, as_json: bool
) -> int:
    """Write the links as CSV, or as an object of JSON a line, and say how many there are."""
    count, shown = 0, time.monotonic()
    # Links on the same terminal are progress enough
    is_watched = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())
    progress = sys.stderr if is_watched else None
    with _opened(output) as file:
        table = csv.writer(file, lineterminator="\n")
        if not as_json:
            table.writerow(TITLES)
        for number, link in found:
            row = {"row": number, **asdict(link)}
            if as_json:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            else:
                table.writerow([row[title] for title in TITLES])
            count += 1
            if progress and time.monotonic() - shown > _SHOW_EVERY:
                shown = time.monotonic()
                progress.write(f"\r{count} links")
                progress.flush()
        if progress:
            progress.write("\r\033[K")
    if output:
        tell(f"{count} {'link is' if count == 1 else 'links are'} in {output}.")
    return count


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output; or a file that has its name when it is whole, for its owner alone."""
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    new = output.with_name(f".{output.name}.new")
    try:
        if output.exists() and not output.is_file():
            raise CommandError(f"{output} is no file. Name one for --output.")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(output)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
        raise

"""A link as a QR code: in the terminal, or as a picture."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import TextIO

import segno

from vestibule.command import CommandError

_BORDER = 2  # modules; scanners ask for four on paper, and a terminal has its own
_KINDS = {".png": "png", ".svg": "svg"}


def draw(link: str, out: TextIO) -> None:
    """Draw it with half blocks. Raises CommandError where the terminal is too narrow."""
    code = _code(link)
    width = code.symbol_size(border=_BORDER)[0]
    if out.isatty() and shutil.get_terminal_size().columns < width:
        raise CommandError(
            f"The code is {width} characters wide, and this terminal has"
            f" {shutil.get_terminal_size().columns}. Make it wider, or name a file: --qr link.png."
        )
    code.terminal(out, border=_BORDER, compact=True)


def save(link: str, file: Path) -> None:
    """Write it as a picture, for its owner alone, as it is as good as the token."""
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise CommandError(
            f"{file} is no picture that --qr writes. Give it the ending .png or .svg."
        )
    picture = io.BytesIO()
    _code(link).save(picture, kind=kind, scale=4)
    new = file.with_name(f".{file.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(picture.getvalue())
        new.replace(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None


def _code(link: str) -> segno.QRCode:
    try:
        return segno.make_qr(link, error="l", boost_error=False)
    except segno.DataOverflowError:
        raise CommandError(
            f"The link has {len(link)} characters, and a QR code holds 2953. Take shorter names."
        ) from None

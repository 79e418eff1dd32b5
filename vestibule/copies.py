"""Files of the controller that a server gets as they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def entries(paths: Iterable[str], folder: str) -> list[dict[str, str]]:
    """What the module config_files is told, for everybody to read in ``folder`` on the server."""
    return [
        {
            "path": f"{folder}/{Path(path).name}",
            "content": Path(path).read_text(encoding="utf-8"),
            "mode": "0644",
        }
        for path in paths
    ]

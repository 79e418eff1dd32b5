"""Files of JSON for machines."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, content: Any) -> None:
    """Write it, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
    written = Path(file.name)
    written.chmod(0o644)
    written.replace(path)

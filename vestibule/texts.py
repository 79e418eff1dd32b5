"""Templates of roles, rendered with what a task knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path


def render_all(
    roles: Path,
    templates: Iterable[str],
    read: Callable[[str], str],
    render: Callable[[str], str],
) -> list[str]:
    """What templates become, each a text. They are named as ``role/file``."""
    parts = [each.partition("/") for each in templates]
    return [render(read(str(roles / role / "templates" / name))) for role, _, name in parts]

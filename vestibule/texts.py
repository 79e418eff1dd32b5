"""Templates of files, rendered with what a task knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def render_all(
    paths: Iterable[str], read: Callable[[str], str], render: Callable[[str], str]
) -> list[str]:
    """What the templates at these paths become, each a text."""
    return [render(read(path)) for path in paths]

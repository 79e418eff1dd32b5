"""Errors of Ansible that name the place in a file, and show no lines of it (ansible-core 2.19)."""

from __future__ import annotations

from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible._internal._errors._error_utils import SourceContext


def place_alone(cls: type[SourceContext], value: Any) -> SourceContext | None:
    """Where a value was written, in place of `SourceContext.from_value`, which shows it."""
    if value is None:
        return None
    origin = value if isinstance(value, Origin) else Origin.get_tag(value)
    return cls.error("a secret may stand there", origin or Origin.UNKNOWN)


def close() -> None:
    """Have this process, and those that it forks, show no lines."""
    SourceContext.from_value = SourceContext.from_origin = classmethod(place_alone)
